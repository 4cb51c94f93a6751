//! The client that a failover is measured by: a program with a multi-host connection string that
//! commits one row after another and, when something fails, tries again every 20 ms.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Config, NoTls};

use crate::session::Session;

/// Commits take turns on so many tables: each of the last ones can be looked for afterwards.
const TABLES: usize = 16;
const RETRY: Duration = Duration::from_millis(20);
/// A commit that is not answered for so long is given up.
const COMMIT_MAX: Duration = Duration::from_millis(250);

#[derive(Default)]
struct Seen {
    last: Option<Instant>,
    /// The longest time between two acknowledged commits since it was asked for last.
    gap: Duration,
    fault: Option<Instant>,
    /// When the first commit that was sent after the fault was acknowledged.
    recovered: Option<Instant>,
}

impl Seen {
    fn acknowledged(&mut self, sent: Instant, now: Instant) {
        self.gap = self.gap.max(self.last.map_or(Duration::ZERO, |last| now - last));
        self.last = Some(now);
        if self.recovered.is_none() && self.fault.is_some_and(|fault| sent >= fault) {
            self.recovered = Some(now);
        }
    }
}

/// The number of the last acknowledged commit, of all and by table.
#[derive(Default)]
struct Tally {
    last: AtomicU64,
    of_table: [AtomicU64; TABLES],
}

/// Before a stream starts.
pub fn make_tables(session: &Session) {
    for table in 0..TABLES {
        session.execute(&format!("create table stream_{table} (id int)")).expect("create");
    }
}

pub struct Stream {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    tally: Arc<Tally>,
    thread: Option<JoinHandle<()>>,
}

impl Stream {
    /// `place` puts the client's thread where it belongs (a namespace), before it opens sockets.
    ///
    /// A host that answers nothing is passed over after `patience`: otherwise the wait would be the
    /// client's TCP, not the cluster.
    pub fn start(
        target: &str,
        patience: Duration,
        place: impl FnOnce() + Send + 'static,
    ) -> Stream {
        let mut config: Config = target.parse().expect("a connection string");
        config.connect_timeout(patience);
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, tally) = (Arc::<Mutex<Seen>>::default(), Arc::<Tally>::default());
        let shared = (Arc::clone(&stop), Arc::clone(&seen), Arc::clone(&tally));
        let thread = std::thread::spawn(move || {
            place();
            let runtime = Builder::new_current_thread().enable_all().build().expect("runtime");
            runtime.block_on(run((&config, patience), &shared.0, &shared.1, &shared.2));
        });
        Stream { stop, seen, tally, thread: Some(thread) }
    }

    fn acknowledged(&self) -> u64 {
        self.tally.last.load(Ordering::SeqCst)
    }

    /// Of the last commit acknowledged on each table: how many are not there. One that was sent and
    /// not answered may be there in its place.
    pub fn lost(&self, session: &Session) -> usize {
        let of_table = self.tally.of_table.iter();
        let wanted: Vec<u64> = of_table.map(|number| number.load(Ordering::SeqCst)).collect();
        let lost = |(table, wanted): (usize, u64)| {
            let sql = format!("select obj_description('stream_{table}'::regclass)");
            let found = session.value(&sql).expect("comment");
            found.parse::<u64>().unwrap_or(0) < wanted
        };
        wanted.into_iter().enumerate().filter(|row| lost(*row)).count()
    }

    pub fn wait_for_commits(&self, more: u64, limit: Duration) -> Result<(), String> {
        let (wanted, began) = (self.acknowledged() + more, Instant::now());
        while self.acknowledged() < wanted {
            if began.elapsed() > limit {
                return Err(format!("no commit for {limit:?}"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Something is about to happen to the cluster.
    pub fn fault(&self) -> Instant {
        let now = Instant::now();
        let mut seen = self.seen.lock().expect("seen");
        (seen.fault, seen.recovered) = (Some(now), None);
        now
    }

    /// From the fault to the first commit sent after it and acknowledged.
    pub fn wait_for_recovery(&self, fault: Instant, limit: Duration) -> Result<Duration, String> {
        while fault.elapsed() < limit {
            if let Some(recovered) = self.seen.lock().expect("seen").recovered {
                return Ok(recovered - fault);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Err(format!("no commit within {limit:?}"))
    }

    pub fn take_gap(&self) -> Duration {
        std::mem::take(&mut self.seen.lock().expect("seen").gap)
    }
}

impl Drop for Stream {
    /// Its connections and statements have bounds.
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

async fn run(
    (config, patience): (&Config, Duration),
    stop: &AtomicBool,
    seen: &Mutex<Seen>,
    tally: &Tally,
) {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let Ok(Ok((client, connection))) = timeout(patience * 8, config.connect(NoTls)).await
        else {
            sleep(RETRY).await;
            continue;
        };
        let connection = tokio::spawn(connection);
        while !stop.load(Ordering::Relaxed) {
            number += 1;
            let sent = Instant::now();
            if !commit(&client, number).await {
                break;
            }
            tally.of_table[number as usize % TABLES].store(number, Ordering::SeqCst);
            tally.last.store(number, Ordering::SeqCst);
            seen.lock().expect("seen").acknowledged(sent, Instant::now());
        }
        connection.abort();
        sleep(RETRY).await;
    }
}

async fn commit(client: &Client, number: u64) -> bool {
    let table = number as usize % TABLES;
    let sql = format!("comment on table stream_{table} is '{number}'");
    matches!(timeout(COMMIT_MAX, client.simple_query(&sql)).await, Ok(Ok(_)))
}
