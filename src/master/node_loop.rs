//! One turn of the node: take what has come in, step, perform. It decides nothing and never waits;
//! whatever takes time is done elsewhere and reported. Whose thread it runs on is `inbox`'s matter.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::runtime::Clock;
use crate::types::{Epoch, Instant, Message};

use super::inbox::{Driver, Input};
use super::node::{Node, NodeView};
use super::{Effect, Event, Rejection};

/// How old the state that others are shown may get while nothing important happens.
const VIEW_AGE_MAX: Duration = Duration::from_millis(20);

/// Carries out effects.
pub(super) trait World: Send + 'static {
    fn perform(&mut self, effect: Effect);
    /// Reads that nobody confirms end by then, `None`: now. Told before the effects of the step
    /// that took the right away: another node may begin to write as soon as they are performed.
    fn narrow(&mut self, readable_until: Option<Instant>);
    /// What `perform` has gathered is handed on; what is done at once is reported through `done`.
    fn settle(&mut self, done: &mut Vec<Event>);
    /// The node's state after a step; `now` is the time of that step.
    fn published(&mut self, now: Instant, view: &NodeView);
}

pub(super) struct NodeLoop<W: World> {
    pub(super) node: Node,
    pub(super) world: W,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) view: watch::Sender<Arc<NodeView>>,
    /// The reign for which proposals are taken.
    pub(super) reign: Option<Epoch>,
    /// Reads wait for answers (`ha_read_mode = confirm`): each is shown at once.
    pub(super) confirms: bool,
    pub(super) viewed_at: Instant,
}

impl<W: World> Driver for NodeLoop<W> {
    fn turn(&mut self, inputs: &mut Vec<Input>) {
        let mut publish = false;
        for input in inputs.drain(..) {
            // Anything else may change the role, or where a standby's log stands.
            if !is_routine(&input) {
                publish |= self.settle();
            }
            publish |= self.take(input);
        }
        publish |= self.settle();
        if self.node.deadline().is_some_and(|at| self.clock.now() >= at) {
            publish |= self.step(Event::Deadline);
        }
        publish |= self.settle();
        if publish || self.clock.now().since(self.viewed_at) >= VIEW_AGE_MAX {
            self.publish();
        }
    }

    fn deadline(&self) -> Option<Instant> {
        self.node.deadline()
    }
}

impl<W: World> NodeLoop<W> {
    /// `effects` are those of the node's start.
    pub(super) fn begin(&mut self, effects: Vec<Effect>) {
        self.perform(effects);
        self.settle();
        self.publish();
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
        self.world.narrow(self.node.readable_until());
        self.perform(effects)
    }

    /// True when others should see the node's state at once.
    fn perform(&mut self, effects: Vec<Effect>) -> bool {
        let mut important = false;
        for effect in effects {
            tracing::debug!(target: "node", "{effect}");
            important |= self.note(&effect);
            self.world.perform(effect);
        }
        important
    }

    /// Hands on what was gathered, and takes what follows from it.
    fn settle(&mut self) -> bool {
        let mut important = false;
        let mut done = Vec::new();
        loop {
            self.world.settle(&mut done);
            if done.is_empty() {
                return important;
            }
            for event in done.drain(..) {
                important |= self.step(event);
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
        self.world.published(now, &view);
        self.view.send_if_modified(|shown| {
            let is_news = view.is_news(shown);
            *shown = Arc::new(view);
            is_news
        });
    }
}

/// What only makes the log longer, or tells how far somebody is: its effects are worth gathering.
fn is_routine(input: &Input) -> bool {
    match input {
        Input::Propose { .. }
        | Input::Event(Event::Propose { .. } | Event::Flushed { .. } | Event::Applied { .. }) => {
            true
        }
        Input::Event(Event::Received { message, .. }) => {
            matches!(message, Message::Append { .. } | Message::Ack { .. })
        }
        Input::Event(_) => false,
    }
}

#[cfg(test)]
#[path = "node_loop_tests.rs"]
mod tests;
