//! Owns the machines, runs the loop, performs their effects.

mod event;
pub mod node;

pub use event::{
    Answer, Control, Effect, Event, Level, LogState, Payload, Rejection, Request,
};
