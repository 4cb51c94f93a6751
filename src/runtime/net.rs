//! Sending to other master nodes.

use crate::types::Envelope;

/// Fire and forget: a message may be lost, repeated or late, and nobody is told.
pub trait Net: Send + Sync + 'static {
    fn send(&self, envelope: Envelope);
}
