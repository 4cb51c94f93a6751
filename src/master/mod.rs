//! Owns the machines, runs the loop, performs their effects.

mod event;
pub mod node;
mod reign_note;
mod testimony;

mod fatal;
mod inbox;
mod node_loop;
mod performer;
mod queue;

mod applier;
mod control_file;
mod control_json;
mod control_writer;
mod coordinator_health;
mod coordinators;
mod log_tail;
mod log_writer;

mod commit;
mod door;
mod voter_choice;
mod voters;
mod waiters;

pub mod intake;
mod outbox;
pub mod replication_service;
pub mod seed;
pub mod seed_fetch;
pub mod transport;

mod audit;
mod fencing;
mod history;
mod mirroring;
mod segment_rows;
mod segments;
mod upkeep;
mod witnesses;

mod answers;
mod checkpointer;
mod control_service;
mod digest_points;
mod digest_watch;
mod parts;
mod status;

pub mod console;
pub mod data_dir;
mod enable;
mod errands;
pub mod init;
mod seeded;
pub mod supervisor;

mod clients;
mod found;
mod handover;
mod health;
mod health_facts;
mod health_metrics;
mod health_pages;
mod lags;
mod live;
mod node_settings;
mod old_primary;
mod own_address;
mod reach;
mod relations;
mod reload;
mod role_changes;
mod run;
mod services;
mod start;
mod threads;
mod wire;

pub use run::{End, RunError, run};

pub use control_file::{ControlFile, ControlFileError};
pub use event::{Answer, Control, Effect, Event, Level, LogState, Payload, Rejection, Request};
pub use reign_note::ReignNote;
pub use testimony::segment_refusal;
