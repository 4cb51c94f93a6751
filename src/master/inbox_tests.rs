//! Who takes the node's turn, and that nobody's event is left lying.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;
use crate::runtime::BootClock;

/// Notes what it takes, and says when it wants to be driven next.
struct Noting {
    taken: Arc<Mutex<Vec<u64>>>,
    turns: Arc<AtomicUsize>,
    deadline: Arc<Mutex<Option<Instant>>>,
    /// What a turn itself brings to the inbox, once.
    brings: Option<Arc<Inbox>>,
}

impl Driver for Noting {
    fn turn(&mut self, inputs: &mut Vec<Input>) {
        self.turns.fetch_add(1, Ordering::SeqCst);
        for input in inputs.drain(..) {
            let Input::Propose { ticket, .. } = input else { panic!("{input:?}") };
            self.taken.lock().unwrap().push(ticket);
        }
        if let Some(inbox) = self.brings.take() {
            assert!(inbox.propose(Epoch(1), u64::MAX, Vec::new()));
        }
    }

    fn deadline(&self) -> Option<Instant> {
        *self.deadline.lock().unwrap()
    }
}

struct Bench {
    inbox: Arc<Inbox>,
    taken: Arc<Mutex<Vec<u64>>>,
    turns: Arc<AtomicUsize>,
    deadline: Arc<Mutex<Option<Instant>>>,
    node: thread::JoinHandle<()>,
}

fn bench(brings: bool) -> Bench {
    let inbox = Arc::new(Inbox::new(Arc::new(BootClock), Fatal::new(|why| panic!("{why}"))));
    let (taken, turns, deadline) = (Arc::default(), Arc::default(), Arc::default());
    let noting = Noting {
        taken: Arc::clone(&taken),
        turns: Arc::clone(&turns),
        deadline: Arc::clone(&deadline),
        brings: brings.then(|| Arc::clone(&inbox)),
    };
    let driven = Arc::clone(&inbox);
    let node = thread::spawn(move || driven.run(Box::new(noting)));
    Bench { inbox, taken, turns, deadline, node }
}

impl Bench {
    fn end(self) -> Vec<u64> {
        self.inbox.close();
        self.node.join().unwrap();
        assert!(!self.inbox.propose(Epoch(1), 0, Vec::new()), "closed");
        std::mem::take(&mut self.taken.lock().unwrap())
    }
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = std::time::Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn every_input_is_taken_once_and_in_order() {
    const SENDERS: u64 = 4;
    const INPUTS: u64 = 3_000;
    let bench = bench(false);
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let inbox = Arc::clone(&bench.inbox);
            thread::spawn(move || {
                for n in 0..INPUTS {
                    assert!(inbox.propose(Epoch(1), sender * INPUTS + n, Vec::new()));
                }
            })
        })
        .collect();
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    let taken = bench.end();
    for sender in 0..SENDERS {
        let range = sender * INPUTS..(sender + 1) * INPUTS;
        let of_sender = taken.iter().copied().filter(|ticket| range.contains(ticket));
        assert!(of_sender.eq(range.clone()), "sender {sender}");
    }
    assert_eq!(taken.len() as u64, SENDERS * INPUTS);
}

/// Nobody is woken for it: when the call returns, the turn is over.
#[test]
fn whoever_brings_something_takes_the_turn() {
    let bench = bench(false);
    wait_until("driven", || bench.turns.load(Ordering::SeqCst) > 0);
    // Judged where the node's thread has slept through it: it also gets up by itself.
    wait_until("brought while it sleeps", || {
        let asleep_until = bench.inbox.waiting().asleep_until;
        bench.taken.lock().unwrap().clear();
        assert!(bench.inbox.propose(Epoch(1), 7, Vec::new()));
        let taken = bench.taken.lock().unwrap().clone();
        let slept = asleep_until.is_some() && bench.inbox.waiting().asleep_until == asleep_until;
        assert!(!slept || taken == [7], "{taken:?}");
        slept
    });
    bench.end();
}

#[test]
fn what_a_turn_itself_brings_is_taken_in_the_next() {
    let bench = bench(true);
    wait_until("taken", || *bench.taken.lock().unwrap() == [u64::MAX]);
    bench.end();
}

/// The node's own thread sleeps for the deadline of before, which may be hours away.
#[test]
fn an_earlier_deadline_gets_the_nodes_thread_up() {
    let bench = bench(false);
    wait_until("asleep", || bench.inbox.waiting().asleep_until.is_some());
    bench.inbox.waiting().asleep_until = Some(Instant(u64::MAX));
    *bench.deadline.lock().unwrap() = Some(Instant(1));
    let before = bench.turns.load(Ordering::SeqCst);
    assert!(bench.inbox.propose(Epoch(1), 1, Vec::new()));
    // A second turn beyond that of the proposal, and the bell was rung for it.
    wait_until("up", || bench.turns.load(Ordering::SeqCst) >= before + 2);
    bench.end();
}

#[test]
fn too_much_is_turned_away_but_completions_are_not() {
    let inbox = Inbox::new(Arc::new(BootClock), Fatal::process());
    for ticket in 0..WAITING_MAX as u64 {
        assert!(inbox.propose(Epoch(1), ticket, Vec::new()));
    }
    assert!(!inbox.propose(Epoch(1), 0, Vec::new()));
    inbox.report(Event::Deadline);
    assert_eq!(inbox.taken().len(), WAITING_MAX + 1);
}
