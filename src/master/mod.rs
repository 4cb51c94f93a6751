//! Owns the machines, runs the loop, performs their effects.

mod event;
pub mod node;

pub mod console;
mod control_file;
mod control_json;
pub mod data_dir;
mod fatal;
mod seeded;
mod segment_table;
mod segments;
mod mirroring;
mod upkeep;
mod witnesses;
mod checkpointer;
mod control_service;
mod digest_watch;
mod parts;
mod status;

mod answers;
mod applier;
mod commit;
mod control_writer;
mod digest_points;
mod door;
mod inbox;
mod log_tail;
mod log_writer;
mod node_loop;
mod performer;
mod queue;
mod waiters;

pub use control_file::{ControlFile, ControlFileError};
pub use event::{
    Answer, Control, Effect, Event, Level, LogState, Payload, Rejection, Request,
};
