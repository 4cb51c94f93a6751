//! Messages of other masters on their way in, whichever side has opened the stream; and the way
//! back to those that are no peers of ours.
//!
//! A node that was removed while it could not be reached knows where we are, and we no longer know
//! where it is: what the node's loop has to say to it goes back on the stream that it has opened.
//! It may be lost, as every message may.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;
use tonic::Status;

use crate::proto::v1;
use crate::types::{ClusterId, Envelope, NodeId};

/// Messages from other masters that wait for the node's loop.
pub(crate) const MESSAGES_MAX: usize = 4096;

#[derive(Debug)]
pub struct Intake {
    cluster: ClusterId,
    node: NodeId,
    inbox: mpsc::Sender<Envelope>,
    /// By node: the newest stream that it has opened.
    callers: Mutex<BTreeMap<NodeId, mpsc::Sender<Envelope>>>,
}

impl Intake {
    /// What is for `node`; the node's loop takes it from the other end.
    #[must_use]
    pub fn open(
        cluster: ClusterId,
        node: NodeId,
        messages_max: usize,
    ) -> (Arc<Intake>, mpsc::Receiver<Envelope>) {
        let (inbox, received) = mpsc::channel(messages_max);
        let callers = Mutex::new(BTreeMap::new());
        (Arc::new(Intake { cluster, node, inbox, callers }), received)
    }

    /// Passes a message on to the node's loop.
    pub(crate) async fn pass(&self, envelope: Envelope) -> Result<(), Status> {
        self.inbox.send(envelope).await.map_err(|_| stopping())
    }

    /// Whether a message is for this node.
    pub(crate) fn accept(&self, message: v1::Envelope) -> Result<Envelope, Status> {
        let envelope =
            Envelope::try_from(message).map_err(|bad| Status::invalid_argument(bad.to_string()))?;
        if envelope.cluster != self.cluster {
            let (found, expected) = (envelope.cluster, self.cluster);
            let text = format!("message of cluster {found}, this node is of cluster {expected}");
            return Err(Status::failed_precondition(text));
        }
        if envelope.to != self.node {
            let (found, expected) = (envelope.to, self.node);
            let text = format!("message for node {found}, this is node {expected}");
            return Err(Status::failed_precondition(text));
        }
        Ok(envelope)
    }

    /// The node's loop has ended.
    pub(crate) async fn closed(&self) {
        self.inbox.closed().await;
    }

    /// `node` has a stream open to us, on which `answers` go back.
    pub(crate) fn called_by(&self, node: NodeId, answers: &mpsc::Sender<Envelope>) {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.retain(|_, stream| !stream.is_closed());
        callers.insert(node, answers.clone());
    }

    /// False when there is no such stream, or no room, and the message is lost.
    pub(crate) fn answer(&self, envelope: Envelope) -> bool {
        let callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        callers.get(&envelope.to).is_some_and(|stream| stream.try_send(envelope).is_ok())
    }
}

pub(crate) fn stopping() -> Status {
    Status::unavailable("the node is stopping")
}
