//! Owns the machines, runs the loop, performs their effects.

mod control_file;
mod control_json;
pub mod data_dir;
mod event;
mod log_tail;
pub mod node;
mod queue;
mod waiters;

pub use control_file::{ControlFile, ControlFileError};
pub use event::{
    Answer, Control, Effect, Event, Level, LogState, Payload, Rejection, Request,
};
