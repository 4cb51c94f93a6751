//! The segment agent: registers with every master, sends heartbeats, answers probes, is a witness.
//!
//! `agent` decides, `service` acts. For masters there are the other ends of its calls: `registry`
//! hears heartbeats, `client` asks agents to promise, follow and store. It never decides whether a
//! segment is up: it says what it sees, the masters judge.

mod agent;
mod calls;
mod client;
mod data_dir;
mod directories;
mod event;
mod fence;
mod fence_file;
mod postgres;
mod registry;
mod schedule;
mod sender;
mod service;

pub use agent::{Agent, AgentSettings};
pub use client::{CallError, FencingClient};
pub use data_dir::{AgentFile, DataDirectory, DataDirectoryError};
pub use directories::Directories;
pub use event::{Effect, Event, FenceRequest, MasterAddress};
pub use fence::FenceState;
pub use fence_file::{FenceFile, FenceFileError};
pub use postgres::PostgresAddress;
pub use registry::{RegistryReply, RegistryServer, registry_server};
pub use service::{RunningAgent, ServiceError, ServiceSettings, Stop, start};

#[cfg(test)]
mod agent_tests;
#[cfg(test)]
mod service_tests;
