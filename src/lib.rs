//! Aerie: a highly available metadata master with segment fault tolerance.
//!
//! Modules in reading order; an arrow of `use` may only go down a floor (`tests/tidy.rs`):
//!
//! ```text
//!  floor 4   bin/* -> master
//!  floor 3   frontend -> query      segment_rm
//!  floor 2   fts   ha   wal <- replication   catalog
//!  floor 1   proto   runtime
//!  floor 0   types
//! ```
//!
//! Siblings on a floor do not see each other, the two arrows drawn apart.

pub mod types;

pub mod proto;
pub mod runtime;

pub mod catalog;
pub mod fts;
pub mod ha;
pub mod replication;
pub mod wal;

pub mod frontend;
pub mod query;
pub mod segment_rm;

pub mod master;
