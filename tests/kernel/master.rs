//! The node machine with its events and effects, and what it hears of segments.

#[path = "../../src/master/event.rs"]
mod event;
#[path = "../../src/master/node/mod.rs"]
pub mod node;
#[path = "../../src/master/reign_note.rs"]
mod reign_note;
#[path = "../../src/master/testimony.rs"]
mod testimony;

pub use event::{Answer, Control, Effect, Event, Level, LogState, Payload, Rejection, Request};
pub use reign_note::ReignNote;
pub use testimony::segment_refusal;
