//! The segment's agent: when it speaks, and what it remembers of the reigns.

#[path = "../../src/segment_rm/agent.rs"]
mod agent;
#[path = "../../src/segment_rm/event.rs"]
mod event;
#[path = "../../src/segment_rm/fence.rs"]
mod fence;
#[path = "../../src/segment_rm/schedule.rs"]
mod schedule;

pub use agent::{Agent, AgentSettings};
pub use event::{Effect, Event, FenceRequest, MasterAddress};
pub use fence::FenceState;
