//! Owns the machines, runs the loop, performs their effects.

mod event;

pub mod auth;
mod outbox;
pub mod replication_service;
pub mod seed;
pub mod seed_fetch;
pub mod transport;

pub use event::{
    Answer, Control, Effect, Event, Level, LogState, Payload, Rejection, Request,
};
