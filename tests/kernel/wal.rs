//! Of the log only what a record looks like.

#[path = "../../src/wal/record.rs"]
pub mod record;

pub use record::PayloadKind;
