//! Clients that commit without pause and remember what was acknowledged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crate::cluster::{Cluster, READY};
use crate::session::{Failure, Session};
use crate::wait::{eventually, wait_a_moment};

/// What one client knows of its table `writer_N`, whose comment counts its commits.
#[derive(Debug, Default)]
struct Tally {
    /// The highest number that the server acknowledged.
    acknowledged: AtomicU64,
    /// The highest number sent; it may have been committed without an answer.
    sent: AtomicU64,
}

pub struct Writers {
    tallies: Vec<Arc<Tally>>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    created: Arc<std::sync::Mutex<Vec<String>>>,
}

impl Writers {
    /// Starts `count` clients. They look for the primary on the masters' ports, again after every
    /// failure, as a program with a multi-host URL does.
    pub fn start(cluster: &Cluster, count: usize) -> Writers {
        let ports: Vec<u16> = cluster.masters().iter().map(|node| node.pg_port).collect();
        let stop = Arc::new(AtomicBool::new(false));
        let created = Arc::new(std::sync::Mutex::new(Vec::new()));
        let mut writers = Writers { tallies: Vec::new(), stop, threads: Vec::new(), created };
        for number in 0..count {
            let table = format!("writer_{number}");
            cluster.psql(&format!("create table if not exists {table} (id int)"));
            let tally = Arc::new(Tally::default());
            writers.tallies.push(Arc::clone(&tally));
            let (ports, stop) = (ports.clone(), Arc::clone(&writers.stop));
            let created = Arc::clone(&writers.created);
            writers.threads.push(std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let Some(session) = any(&ports) else {
                        wait_a_moment();
                        continue;
                    };
                    let _ = write(&session, &table, &tally, (&stop, &created));
                }
            }));
        }
        writers
    }

    pub fn acknowledged(&self) -> u64 {
        self.tallies.iter().map(|tally| tally.acknowledged.load(Ordering::SeqCst)).sum()
    }

    /// Waits until `more` further commits are acknowledged.
    pub fn eventually_commit(&self, more: u64, cluster: &Cluster) {
        let before = self.acknowledged();
        eventually("commits", READY, || {
            let now = self.acknowledged();
            if now >= before + more { Ok(()) } else { Err(format!("{now}\n{}", cluster.report())) }
        });
    }

    /// Everything acknowledged before this call is in the catalog of the primary, and nothing that
    /// was never sent. May be called while the clients go on.
    pub fn check(&self, cluster: &Cluster) {
        let acknowledged: Vec<u64> =
            self.tallies.iter().map(|tally| tally.acknowledged.load(Ordering::SeqCst)).collect();
        let created = self.created.lock().expect("list").clone();
        let ask = |sql: &str| {
            eventually(sql, READY, || {
                let session = Session::connect(cluster.primary().pg_port);
                session.and_then(|it| it.query(sql)).map_err(|failure| format!("{failure:?}"))
            })
        };
        for (number, tally) in self.tallies.iter().enumerate() {
            let sql = format!("select obj_description('writer_{number}'::regclass)");
            let found = ask(&sql).into_iter().flatten().next();
            let found: u64 = found.and_then(|text| text.parse().ok()).unwrap_or(0);
            let sent = tally.sent.load(Ordering::SeqCst);
            assert!(
                found >= acknowledged[number] && found <= sent,
                "writer {number}: {found} stored, {} acknowledged, {sent} sent",
                acknowledged[number]
            );
        }
        let sql = "select relname from pg_class where relname like 'made_%'";
        let tables: Vec<String> = ask(sql).into_iter().flatten().collect();
        let lost: Vec<&String> = created.iter().filter(|name| !tables.contains(name)).collect();
        assert!(lost.is_empty(), "acknowledged tables are gone: {lost:?}");
    }

    /// Stops the clients and checks a last time.
    pub fn finish(mut self, cluster: &Cluster) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("writer");
        }
        self.check(cluster);
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn any(ports: &[u16]) -> Option<Session> {
    ports.iter().find_map(|port| Session::connect(*port).ok())
}

type Shared<'a> = (&'a AtomicBool, &'a std::sync::Mutex<Vec<String>>);

/// Commits until something fails. Every sixteenth commit is a new table, so that rows are added and
/// not only changed.
fn write(
    session: &Session,
    table: &str,
    tally: &Tally,
    (stop, created): Shared,
) -> Result<(), Failure> {
    while !stop.load(Ordering::Relaxed) {
        let number = tally.sent.load(Ordering::SeqCst) + 1;
        tally.sent.store(number, Ordering::SeqCst);
        session.execute(&format!("comment on table {table} is '{number}'"))?;
        tally.acknowledged.store(number, Ordering::SeqCst);
        if number.is_multiple_of(16) {
            let name = format!("made_{table}_{number}");
            session.execute(&format!("create table {name} (id int not null, what text)"))?;
            created.lock().expect("list").push(name);
        }
    }
    Ok(())
}
