//! The thread that drives the node: take what has come in, step, perform. It decides nothing and
//! never waits for anything but its inbox; whatever takes time is done elsewhere and reported.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::runtime::Clock;
use crate::types::{Epoch, Instant};

use super::inbox::{Inbox, Input};
use super::node::{Node, NodeView};
use super::queue::Drained;
use super::{Effect, Event, Rejection};

/// The longest sleep: the clock that decides counts suspend, the one that wakes us does not.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// How old the state that others are shown may get while nothing important happens.
const VIEW_AGE_MAX: Duration = Duration::from_millis(20);

/// Carries out effects; what is done at once is reported through `done`.
pub(super) trait World: Send + 'static {
    fn perform(&mut self, effect: Effect, done: &mut Vec<Event>);
    /// The node's state after a step.
    fn published(&mut self, view: &NodeView);
}

pub(super) struct NodeLoop<W: World> {
    pub(super) node: Node,
    pub(super) world: W,
    pub(super) inbox: Arc<Inbox>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) view: watch::Sender<Arc<NodeView>>,
    /// The reign for which proposals are taken.
    pub(super) reign: Option<Epoch>,
    /// Reads wait for answers (`ha_read_mode = confirm`): each is shown at once.
    pub(super) confirms: bool,
    pub(super) viewed_at: Instant,
}

impl<W: World> NodeLoop<W> {
    /// `effects` are those of the node's start.
    pub(super) fn run(mut self, effects: Vec<Effect>) {
        self.perform(effects);
        self.publish();
        let mut inputs = Vec::new();
        loop {
            let now = self.clock.now();
            let until = self.node.deadline().map_or(SLEEP_MAX, |at| at.since(now));
            let state = self.inbox.drain(until.min(SLEEP_MAX), &mut inputs);
            let mut publish = false;
            for input in inputs.drain(..) {
                publish |= self.take(input);
            }
            if self.node.deadline().is_some_and(|at| self.clock.now() >= at) {
                publish |= self.step(Event::Deadline);
            }
            if publish || self.clock.now().since(self.viewed_at) >= VIEW_AGE_MAX {
                self.publish();
            }
            if state == Drained::Closed {
                return;
            }
        }
    }

    /// True when others should see the node's state at once.
    fn take(&mut self, input: Input) -> bool {
        match input {
            Input::Event(event) => {
                let answer = self.confirms && matches!(event, Event::Received { .. });
                self.step(event) | answer
            }
            Input::Propose { epoch, ticket, payload } if self.reign == Some(epoch) => {
                self.step(Event::Propose { ticket, payload })
            }
            // It was checked for conflicts in a reign that is over.
            Input::Propose { ticket, .. } => {
                let reason = Rejection::NotOpen;
                self.perform(vec![Effect::Rejected { ticket, reason }]);
                false
            }
        }
    }

    fn step(&mut self, event: Event) -> bool {
        tracing::debug!(target: "node", "{event}");
        let mut effects = Vec::new();
        self.node.step(self.clock.now(), event, &mut effects);
        self.perform(effects)
    }

    /// Performs effects and whatever follows at once from what they report.
    fn perform(&mut self, effects: Vec<Effect>) -> bool {
        let mut important = false;
        let (mut effects, mut done) = (effects, Vec::new());
        loop {
            for effect in effects.drain(..) {
                tracing::debug!(target: "node", "{effect}");
                important |= self.note(&effect);
                self.world.perform(effect, &mut done);
            }
            if done.is_empty() {
                return important;
            }
            for event in done.drain(..) {
                self.node.step(self.clock.now(), event, &mut effects);
            }
        }
    }

    fn note(&mut self, effect: &Effect) -> bool {
        match effect {
            Effect::Open { fence } => self.reign = Some(fence.epoch()),
            Effect::Close { .. } => self.reign = None,
            Effect::Report { .. } | Effect::Answer { .. } | Effect::Persist { .. } => {}
            _ => return false,
        }
        true
    }

    fn publish(&mut self) {
        let now = self.clock.now();
        self.viewed_at = now;
        let view = self.node.view();
        self.world.published(&view);
        self.view.send_if_modified(|shown| {
            if **shown == view {
                return false;
            }
            *shown = Arc::new(view);
            true
        });
    }
}
