//! Clients that write and read registers through failovers, as programs with a multi-host URL do,
//! and remember when they asked and what they were told. A register is a table's comment.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Instant;

use crate::cluster::READY;
use crate::history::{Operation, check};
use crate::session::{Failure, Session};
use crate::wait::{eventually, wait_a_moment};

pub const REGISTERS: usize = 2;
const CLIENTS: usize = 4;

pub type Connect = Arc<dyn Fn() -> Result<Session, Failure> + Send + Sync>;

struct Shared {
    connect: Connect,
    began: Instant,
    stop: AtomicBool,
    /// The last value written anywhere: every write has one of its own.
    value: AtomicU64,
    acknowledged: AtomicU64,
    histories: Mutex<Vec<Vec<Operation>>>,
}

pub struct Registers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Registers {
    pub fn start(connect: Connect) -> Registers {
        for register in 0..REGISTERS {
            let sql = format!("create table if not exists register_{register} (id int)");
            eventually("create", READY, || {
                let created = connect().and_then(|session| session.execute(&sql));
                created.map_err(|failure| format!("{failure:?}"))
            });
        }
        let shared = Arc::new(Shared {
            connect,
            began: Instant::now(),
            stop: AtomicBool::new(false),
            value: AtomicU64::new(0),
            acknowledged: AtomicU64::new(0),
            histories: Mutex::new(vec![Vec::new(); REGISTERS]),
        });
        let threads = (0..CLIENTS)
            .map(|number| {
                let shared = Arc::clone(&shared);
                std::thread::spawn(move || shared.run(number))
            })
            .collect();
        Registers { shared, threads }
    }

    pub fn acknowledged(&self) -> u64 {
        self.shared.acknowledged.load(Ordering::SeqCst)
    }

    /// Waits until `more` writes are acknowledged.
    pub fn eventually_write(&self, more: u64, report: impl Fn() -> String) {
        let wanted = self.acknowledged() + more;
        eventually("acknowledged writes", READY, || {
            let found = self.acknowledged();
            if found >= wanted { Ok(()) } else { Err(format!("{found}/{wanted}\n{}", report())) }
        });
    }

    /// Stops the clients; what they saw must fit one copy of each register.
    pub fn finish(mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().expect("client");
        }
        let histories = self.shared.histories.lock().expect("histories");
        for (register, history) in histories.iter().enumerate() {
            let reads = history.iter().filter(|operation| !operation.is_write).count();
            assert!(reads > 0 && reads < history.len(), "register {register} was not used");
            if let Err(why) = check(history) {
                panic!("register {register} is not linearizable: {why}");
            }
        }
    }
}

impl Drop for Registers {
    /// Waits for the clients: they hold the cluster, which is to end with the test, also a failed
    /// one. Their connections and statements have bounds.
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn run(&self, number: usize) {
        let mut turn = number;
        while !self.stop.load(Ordering::Relaxed) {
            let Ok(session) = (self.connect)() else {
                wait_a_moment();
                continue;
            };
            let mut works = true;
            while works && !self.stop.load(Ordering::Relaxed) {
                turn += 1;
                works = self.once(&session, turn % REGISTERS, turn.is_multiple_of(3));
            }
        }
    }

    /// One operation; whether the session is worth another.
    fn once(&self, session: &Session, register: usize, is_read: bool) -> bool {
        let started = self.began.elapsed();
        if is_read {
            let sql = format!("select obj_description('register_{register}'::regclass)");
            let Ok(found) = session.value(&sql) else { return false };
            let value = if found == "NULL" { 0 } else { found.parse().expect("a value") };
            let ended = Some(self.began.elapsed());
            self.note(register, Operation { value, is_write: false, started, ended });
            return true;
        }
        let value = self.value.fetch_add(1, Ordering::SeqCst) + 1;
        let sql = format!("comment on table register_{register} is '{value}'");
        let answer = session.execute(&sql);
        let ended = answer.is_ok().then(|| self.began.elapsed());
        self.note(register, Operation { value, is_write: true, started, ended });
        if answer.is_ok() {
            self.acknowledged.fetch_add(1, Ordering::SeqCst);
        }
        // A conflict with another client is no reason to look for another primary.
        answer.map_or_else(|failure| failure.sqlstate == "40001", |()| true)
    }

    fn note(&self, register: usize, operation: Operation) {
        self.histories.lock().expect("histories")[register].push(operation);
    }
}
