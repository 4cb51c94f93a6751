//! What the rest of the process is told, and when: a real node that reigns alone in its set and
//! lets a standby in.

use std::collections::VecDeque;
use std::sync::Mutex;

use super::*;
use crate::ha::manual_policy::tests::{member, record};
use crate::ha::{ReadOutcome, SwapOutcome};
use crate::master::event::LogState;
use crate::master::node::NodeSettings;
use crate::master::{Control, Event};
use crate::types::{ClusterId, ClusterState, Lsn, Member, Mode, TimelineHistory};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    Readable(Option<Instant>),
    SwapForBoth,
}

/// Whatever the node asks for is done at once.
struct Obliging {
    record: ClusterState,
    end: Lsn,
    told: Arc<Mutex<Vec<Told>>>,
    answers: Arc<Mutex<VecDeque<Event>>>,
}

impl Obliging {
    fn answer(&self, event: Event) {
        self.answers.lock().unwrap().push_back(event);
    }
}

impl World for Obliging {
    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Append { lsn, .. } => self.end = lsn.advance(0x28),
            Effect::Flush { epoch } => self.answer(Event::Flushed { epoch, end: self.end }),
            Effect::Apply { lsn } => self.answer(Event::Applied { lsn }),
            Effect::Persist { ticket, .. } => self.answer(Event::Persisted { ticket }),
            Effect::ReadRecord { attempt, .. } => {
                let outcome = ReadOutcome::Record(Box::new(self.record.clone()));
                self.answer(Event::RecordRead { attempt, outcome });
            }
            Effect::Swap { proposed, .. } => {
                if proposed.in_sync.len() > 1 {
                    self.told.lock().unwrap().push(Told::SwapForBoth);
                }
                self.record = (*proposed).clone();
                let (nonce, outcome) = (proposed.nonce, SwapOutcome::Done);
                self.answer(Event::Swapped { nonce, outcome });
            }
            _ => {}
        }
    }

    fn narrow(&mut self, readable_until: Option<Instant>) {
        self.told.lock().unwrap().push(Told::Readable(readable_until));
    }

    fn settle(&mut self, _: &mut Vec<Event>) {}

    fn published(&mut self, _: Instant, _: &NodeView) {}
}

struct Hand(Mutex<Instant>);

impl Clock for Hand {
    fn now(&self) -> Instant {
        *self.0.lock().unwrap()
    }

    fn wall_micros(&self) -> i64 {
        0
    }
}

struct Bench {
    node: NodeLoop<Obliging>,
    clock: Arc<Hand>,
    told: Arc<Mutex<Vec<Told>>>,
    answers: Arc<Mutex<VecDeque<Event>>>,
}

/// Node 1 of two, alone in the set.
fn bench() -> Bench {
    let clock = Arc::new(Hand(Mutex::new(Instant(1_000_000_000))));
    let record = ClusterState { mode: Mode::Embedded, ..record(1, 1, 2, &[1]) };
    let control =
        Control { followed: record.epoch, promised: Epoch::ZERO, record: Some(record.clone()) };
    let found = LogState::default();
    let (me, mut effects) = (member(1), Vec::new());
    let settings = NodeSettings::default();
    let node = Node::new(settings, (ClusterId(7), me), control, found, (clock.now(), &mut effects));
    let (told, answers) = (Arc::default(), Arc::default());
    let world =
        Obliging { record, end: Lsn::ZERO, told: Arc::clone(&told), answers: Arc::clone(&answers) };
    let (view, _) = watch::channel(Arc::new(node.view()));
    let viewed_at = clock.now();
    let shared: Arc<dyn Clock> = clock.clone();
    let (reign, confirms) = (None, false);
    let mut node = NodeLoop { node, world, clock: shared, view, reign, confirms, viewed_at };
    node.begin(effects);
    Bench { node, clock, told, answers }
}

impl Bench {
    fn take(&mut self, event: Event) {
        let mut next = Some(event);
        while let Some(event) = next {
            self.node.turn(&mut vec![Input::Event(event)]);
            next = self.answers.lock().unwrap().pop_front();
        }
    }

    fn pass(&mut self, span: Duration) {
        let now = self.clock.now().after(span);
        *self.clock.0.lock().unwrap() = now;
        self.take(Event::Deadline);
    }

    fn hear(&mut self, from: Member, message: Message) {
        self.take(Event::Received { from, message });
    }
}

/// As soon as the swap is under way the standby may be recorded, take over and write: whoever reads
/// here goes by its acks from then on, not by "alone, so for ever".
#[test]
fn the_right_to_read_ends_before_the_swap_that_ends_it() {
    let mut bench = bench();
    bench.take(Event::Deadline);
    bench.pass(Duration::from_secs(2));
    let view = bench.node.node.view();
    assert!(view.open, "{view:?}");
    assert_eq!(view.readable_until, Some(Instant(u64::MAX)), "alone in the set");
    let (epoch, end) = (view.epoch, view.write_lsn);
    let standby = member(2);
    bench.hear(
        standby,
        Message::Hello {
            followed: epoch,
            end: Lsn::ZERO,
            commit_lsn: Lsn::ZERO,
            history: TimelineHistory::default(),
            seeding: false,
        },
    );
    bench.told.lock().unwrap().clear();
    for _ in 0..20 {
        let echo = bench.clock.now();
        let (flush_lsn, apply_lsn, record_version) = (end, end, 1);
        bench.hear(standby, Message::Ack { epoch, flush_lsn, apply_lsn, record_version, echo });
        bench.pass(Duration::from_millis(50));
    }
    let told = bench.told.lock().unwrap();
    let swap = told.iter().position(|it| *it == Told::SwapForBoth).expect("the standby is let in");
    let Some(Told::Readable(Some(until))) = told[..swap].last() else { panic!("{told:?}") };
    assert!(*until < Instant(u64::MAX), "{told:?}");
}
