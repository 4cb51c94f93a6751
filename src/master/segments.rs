//! Drives the fault tolerance machine: heartbeats in, probes and catalog transactions out. Runs on
//! every master node; the machine acts only on the open primary.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::catalog::{Catalog, Commit, CommitError};
use crate::fts::{
    Effect, Event, Machine, Prober, SegmentAddress, SegmentView, Severity, StoreError, Write,
};
use crate::runtime::Clock;
use crate::types::{Epoch, Heartbeat, Instant};

use super::node::NodeView;
use super::segment_rows;

/// Heartbeats and reports that may wait; more are dropped, as by a network.
const WAITING_MAX: usize = 65_536;

/// The longest sleep without a deadline.
const SLEEP_MAX: Duration = Duration::from_secs(1);

#[derive(Debug)]
enum Input {
    Event { at: Instant, event: Event },
    Agents(oneshot::Sender<Vec<SegmentAddress>>),
    Views(oneshot::Sender<Vec<SegmentView>>),
}

/// Where the rest of the process talks to the machine.
#[derive(Clone)]
pub(super) struct Segments {
    inputs: mpsc::Sender<Input>,
    clock: Arc<dyn Clock>,
}

/// What the driver works with.
pub(super) struct Driver {
    pub(super) catalog: Catalog,
    pub(super) commit: Arc<dyn Commit>,
    pub(super) prober: Prober,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) node: watch::Receiver<Arc<NodeView>>,
}

impl Segments {
    /// Starts the driver; it ends when every `Segments` is gone.
    pub(super) fn start(machine: Machine, driver: Driver) -> Segments {
        let (inputs, received) = mpsc::channel(WAITING_MAX);
        let clock = Arc::clone(&driver.clock);
        let weak = inputs.downgrade();
        let running = Running { machine, driver: Arc::new(driver), inputs: weak, reign: None };
        tokio::spawn(running.run(received));
        Segments { inputs, clock }
    }

    pub(super) fn heartbeat(&self, heartbeat: Heartbeat, peer_address: String) {
        self.send(Event::HeartbeatReceived { heartbeat, peer_address });
    }

    fn send(&self, event: Event) {
        let at = self.clock.now();
        // Dropped where too much waits: the next heartbeat says the same.
        let _ = self.inputs.try_send(Input::Event { at, event });
    }

    /// Where the agents answer that were heard recently.
    pub(super) async fn agents(&self) -> Vec<SegmentAddress> {
        let (answer, agents) = oneshot::channel();
        if self.inputs.send(Input::Agents(answer)).await.is_err() {
            return Vec::new();
        }
        agents.await.unwrap_or_default()
    }

    pub(super) async fn views(&self) -> Vec<SegmentView> {
        let (answer, views) = oneshot::channel();
        if self.inputs.send(Input::Views(answer)).await.is_err() {
            return Vec::new();
        }
        views.await.unwrap_or_default()
    }
}

struct Running {
    machine: Machine,
    driver: Arc<Driver>,
    inputs: mpsc::WeakSender<Input>,
    reign: Option<Epoch>,
}

impl Running {
    async fn run(mut self, mut received: mpsc::Receiver<Input>) {
        let mut node = self.driver.node.clone();
        loop {
            let now = self.driver.clock.now();
            let wait = self.machine.deadline().map_or(SLEEP_MAX, |at| at.since(now));
            let input = tokio::select! {
                biased;
                input = received.recv() => input,
                changed = node.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    self.follow_node(&node);
                    continue;
                }
                () = tokio::time::sleep(wait.min(SLEEP_MAX)) => {
                    if self.machine.deadline().is_some_and(|at| self.driver.clock.now() >= at) {
                        self.step(self.driver.clock.now(), Event::Deadline);
                    }
                    continue;
                }
            };
            match input {
                None => return,
                Some(Input::Event { at, event }) => self.step(at, event),
                Some(Input::Agents(answer)) => {
                    let _ = answer.send(self.machine.agents(self.driver.clock.now()));
                }
                Some(Input::Views(answer)) => {
                    let _ = answer.send(self.machine.segments());
                }
            }
            // A steady stream of heartbeats must not keep the scan from happening.
            if self.machine.deadline().is_some_and(|at| self.driver.clock.now() >= at)
                && received.is_empty()
            {
                self.step(self.driver.clock.now(), Event::Deadline);
            }
        }
    }

    /// Begins and ends the machine's reign with the node's.
    fn follow_node(&mut self, node: &watch::Receiver<Arc<NodeView>>) {
        let (open, epoch) = {
            let view = node.borrow();
            (view.is_open_primary(), view.epoch)
        };
        let reign = open.then_some(epoch);
        if reign == self.reign {
            return;
        }
        let now = self.driver.clock.now();
        if self.reign.is_some() {
            self.step(now, Event::ReignEnded);
            self.reign = None;
        }
        if reign.is_none() {
            return;
        }
        match segment_rows::load(&self.driver.catalog.snapshot()) {
            Ok(rows) => {
                self.reign = reign;
                self.step(now, Event::ReignBegan);
                self.step(now, Event::Loaded { rows });
            }
            // Tried again with the next change of the node's state.
            Err(error) => tracing::error!("cannot read gp_segment_configuration: {error}"),
        }
    }

    fn step(&mut self, at: Instant, event: Event) {
        tracing::debug!(target: "fts", "{event}");
        let mut effects = Vec::new();
        self.machine.step(at, event, &mut effects);
        for effect in effects {
            tracing::debug!(target: "fts", "{effect}");
            self.perform(effect);
        }
    }

    fn perform(&self, effect: Effect) {
        let (driver, inputs) = (Arc::clone(&self.driver), self.inputs.clone());
        match effect {
            Effect::Probe { order, address, rpc_port, attempt } => {
                let epoch = self.reign.unwrap_or_default();
                tokio::spawn(async move {
                    let result = driver.prober.probe(&address, rpc_port, epoch).await;
                    let (outcome, reason) = (result.outcome, result.reason);
                    tracing::debug!(target: "fts", "probe of segment {order}: {reason}");
                    let event = Event::ProbeFinished { order, attempt, outcome };
                    report(&driver, &inputs, event).await;
                });
            }
            Effect::Register(write) => {
                tokio::spawn(async move { store(&driver, &inputs, write, false).await });
            }
            Effect::Change(write) => {
                tokio::spawn(async move { store(&driver, &inputs, write, true).await });
            }
            Effect::Report { severity: Severity::Info, text } => tracing::info!("{text}"),
            Effect::Report { severity: Severity::Warning, text } => tracing::warn!("{text}"),
        }
    }
}

async fn store(driver: &Driver, inputs: &mpsc::WeakSender<Input>, write: Write, only_known: bool) {
    let (order, generation) = (write.row.order, write.generation);
    let event = match commit(driver, &write, only_known).await {
        Ok(()) => Event::Stored { order, generation },
        Err(error) => Event::StoreFailed { order, generation, error },
    };
    report(driver, inputs, event).await;
}

async fn commit(driver: &Driver, write: &Write, only_known: bool) -> Result<(), StoreError> {
    let mut transaction = driver.catalog.begin();
    let now = driver.clock.wall_micros();
    let written = segment_rows::store(&mut transaction, write, only_known, now);
    match written {
        Ok(true) => {}
        Ok(false) => return Ok(()),
        Err(error) => {
            tracing::error!("cannot write segment {}: {error}", write.row.order);
            return Err(StoreError::NotStored);
        }
    }
    match driver.commit.commit(transaction.into_transaction()).await {
        Ok(_) => Ok(()),
        Err(CommitError::Unknown { .. }) => Err(StoreError::Unknown),
        Err(_) => Err(StoreError::NotStored),
    }
}

/// A completion must not get lost, so this waits for room.
async fn report(driver: &Driver, inputs: &mpsc::WeakSender<Input>, event: Event) {
    if let Some(inputs) = inputs.upgrade() {
        let _ = inputs.send(Input::Event { at: driver.clock.now(), event }).await;
    }
}
