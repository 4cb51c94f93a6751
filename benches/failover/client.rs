//! The client that a failover is measured by: a program with a multi-host connection string that
//! commits one row after another and, when something fails, tries again every 20 ms.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Config, NoTls};

const RETRY: Duration = Duration::from_millis(20);
/// A host that answers nothing is passed over after so long, and a commit that is not answered is
/// given up: otherwise the wait would be the client's TCP, not the cluster.
const PATIENCE: Duration = Duration::from_millis(250);

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

pub struct Stream {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Seen>>,
    acknowledged: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Stream {
    /// `place` puts the client's thread where it belongs (a namespace), before it opens sockets.
    pub fn start(target: &str, place: impl FnOnce() + Send + 'static) -> Stream {
        let mut config: Config = target.parse().expect("a connection string");
        config.connect_timeout(PATIENCE);
        let stop = Arc::new(AtomicBool::new(false));
        let (seen, acknowledged) = (Arc::<Mutex<Seen>>::default(), Arc::<AtomicU64>::default());
        let shared = (Arc::clone(&stop), Arc::clone(&seen), Arc::clone(&acknowledged));
        let thread = std::thread::spawn(move || {
            place();
            let runtime = Builder::new_current_thread().enable_all().build().expect("runtime");
            runtime.block_on(run(&config, &shared.0, &shared.1, &shared.2));
        });
        Stream { stop, seen, acknowledged, thread: Some(thread) }
    }

    /// The number that the last acknowledged commit wrote.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged.load(Ordering::SeqCst)
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

    pub fn finish(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("client");
        }
        self.acknowledged()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

async fn run(config: &Config, stop: &AtomicBool, seen: &Mutex<Seen>, acknowledged: &AtomicU64) {
    let mut number = 0;
    while !stop.load(Ordering::Relaxed) {
        let Ok(Ok((client, connection))) = timeout(PATIENCE * 4, config.connect(NoTls)).await
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
            acknowledged.store(number, Ordering::SeqCst);
            seen.lock().expect("seen").acknowledged(sent, Instant::now());
        }
        connection.abort();
        sleep(RETRY).await;
    }
}

async fn commit(client: &Client, number: u64) -> bool {
    let sql = format!("comment on table stream is '{number}'");
    matches!(timeout(PATIENCE, client.simple_query(&sql)).await, Ok(Ok(_)))
}
