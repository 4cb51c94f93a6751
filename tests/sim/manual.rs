//! The real driver of manual mode on a simulated host, and the tasks in which it runs.
//!
//! Its record is the one in the host's control file. What it asks lies on a desk, from where the
//! world carries it to segments, masters and the disk (`witnessing`); a task is polled when
//! something that it may wait for has come. Nothing wakes anything: a seed replays bit-equal.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use aerie::ha::manual_policy::{MasterAnswer, SegmentAnswer};
use aerie::ha::{Authority, Coordinator, ManualCoordinator, ManualShrink, RecordStore, Witnesses};
use aerie::master::Event;
use aerie::segment_rm::FenceRequest;
use aerie::types::{ClusterState, Epoch, Member, NodeId};

/// What a driver wants to know or have done.
#[derive(Debug)]
pub enum Question {
    Segments(Box<FenceRequest>),
    Masters(Box<ClusterState>),
    Replace { expected: Box<ClusterState>, proposed: Box<ClusterState> },
}

#[derive(Debug)]
pub enum Reply {
    Segments(Vec<SegmentAnswer>),
    Masters(Vec<MasterAnswer>),
    Replaced(bool),
}

/// What the driver sees of its host, and what lies there to be fetched.
#[derive(Debug, Default)]
struct Papers {
    record: Option<ClusterState>,
    registered: usize,
    questions: u64,
    asked: Vec<(u64, Question)>,
    replies: BTreeMap<u64, Reply>,
    said: Vec<String>,
}

#[derive(Debug, Clone, Default)]
pub struct Desk(Arc<Mutex<Papers>>);

impl Desk {
    fn papers(&self) -> MutexGuard<'_, Papers> {
        self.0.lock().unwrap()
    }

    async fn ask(&self, question: Question) -> Reply {
        let number = {
            let mut papers = self.papers();
            papers.questions += 1;
            let number = papers.questions;
            papers.asked.push((number, question));
            number
        };
        poll_fn(|_| self.papers().replies.remove(&number).map_or(Poll::Pending, Poll::Ready)).await
    }

    async fn ask_segments(&self, request: FenceRequest) -> Vec<SegmentAnswer> {
        match self.ask(Question::Segments(Box::new(request))).await {
            Reply::Segments(answers) => answers,
            other => panic!("segments answered {other:?}"),
        }
    }
}

impl RecordStore for Desk {
    fn current(&self) -> Option<ClusterState> {
        self.papers().record.clone()
    }

    async fn replace(&self, expected: &ClusterState, proposed: &ClusterState) -> io::Result<bool> {
        let (expected, proposed) = (Box::new(expected.clone()), Box::new(proposed.clone()));
        match self.ask(Question::Replace { expected, proposed }).await {
            Reply::Replaced(replaced) => Ok(replaced),
            other => panic!("the disk answered {other:?}"),
        }
    }
}

impl Witnesses for Desk {
    fn registered(&self) -> usize {
        self.papers().registered
    }

    async fn follow(&self, record: ClusterState) -> Vec<SegmentAnswer> {
        let epoch = record.epoch;
        self.ask_segments(FenceRequest::Follow { epoch, record: Some(record) }).await
    }

    async fn promise(&self, epoch: Epoch, candidate: Member) -> Vec<SegmentAnswer> {
        self.ask_segments(FenceRequest::Promise { epoch, candidate }).await
    }

    async fn begin(&self, epoch: Epoch) -> Vec<SegmentAnswer> {
        self.ask_segments(FenceRequest::Follow { epoch, record: None }).await
    }

    async fn store(&self, record: ClusterState) -> Vec<SegmentAnswer> {
        let (epoch, version) = (record.epoch, record.version);
        self.ask_segments(FenceRequest::StoreSyncState { epoch, version, record }).await
    }

    async fn masters(&self, record: ClusterState) -> Vec<MasterAnswer> {
        match self.ask(Question::Masters(Box::new(record))).await {
            Reply::Masters(answers) => answers,
            other => panic!("masters answered {other:?}"),
        }
    }

    fn say(&self, text: String) {
        self.papers().said.push(text);
    }
}

type Task = Pin<Box<dyn Future<Output = Option<Event>>>>;

/// The driver of one process, and what runs in its name.
pub struct Manual {
    coordinator: Arc<ManualCoordinator<Desk, Desk>>,
    desk: Desk,
    tasks: Vec<Task>,
    /// By the newest swap; it may have ended.
    pub proposed: Option<ClusterState>,
}

impl Manual {
    pub fn new(node: NodeId, shrink: ManualShrink) -> Manual {
        let desk = Desk::default();
        let (store, witnesses) = (Arc::new(desk.clone()), Arc::new(desk.clone()));
        let coordinator = Arc::new(ManualCoordinator::new(node, shrink, store, witnesses));
        Manual { coordinator, desk, tasks: Vec::new(), proposed: None }
    }

    pub fn read(&mut self, attempt: u64, authority: Authority) {
        let coordinator = Arc::clone(&self.coordinator);
        self.tasks.push(Box::pin(async move {
            let outcome = coordinator.read(authority).await;
            Some(Event::RecordRead { attempt, outcome })
        }));
    }

    pub fn swap(&mut self, authority: Authority, proposed: ClusterState) {
        let coordinator = Arc::clone(&self.coordinator);
        self.proposed = Some(proposed.clone());
        self.tasks.push(Box::pin(async move {
            let nonce = proposed.nonce;
            let outcome = coordinator.compare_and_swap(authority, proposed).await;
            Some(Event::Swapped { nonce, outcome })
        }));
    }

    /// Tells the segments of a reign; what they answer is heard on its way.
    pub fn tell(&mut self, record: ClusterState) {
        let desk = self.desk.clone();
        self.tasks.push(Box::pin(async move {
            desk.follow(record).await;
            None
        }));
    }

    pub fn reply(&mut self, number: u64, reply: Reply) {
        self.desk.papers().replies.insert(number, reply);
    }

    /// Runs every task until it waits, with the host as it is now.
    pub fn poll(&mut self, record: Option<&ClusterState>, registered: usize) -> Polled {
        {
            let mut papers = self.desk.papers();
            papers.record = record.cloned();
            papers.registered = registered;
        }
        let mut context = Context::from_waker(Waker::noop());
        let mut events = Vec::new();
        self.tasks.retain_mut(|task| match task.as_mut().poll(&mut context) {
            Poll::Ready(event) => {
                events.extend(event);
                false
            }
            Poll::Pending => true,
        });
        let mut papers = self.desk.papers();
        let asked = std::mem::take(&mut papers.asked);
        Polled { events, asked, said: std::mem::take(&mut papers.said) }
    }
}

/// What came of it.
pub struct Polled {
    pub events: Vec<Event>,
    pub asked: Vec<(u64, Question)>,
    pub said: Vec<String>,
}
