//! The kernel of Aerie as a library of its own: the very files of `src/` that decide, the driver
//! of manual mode, the log and the catalog on disks in memory, and nothing that they do not need:
//! built in seconds. What is added is `shape`, which says when two nodes are the same node.

#![allow(dead_code, unused_imports, reason = "the drivers that use the rest are not here")]

pub mod catalog;
pub mod fts;
pub mod ha;
pub mod master;
#[path = "../../src/replication/mod.rs"]
pub mod replication;
pub mod runtime;
pub mod segment_rm;
#[path = "../../src/types/mod.rs"]
pub mod types;
#[path = "../../src/wal/mod.rs"]
pub mod wal;

pub mod shape;

/// The store on disk is not here; its errors have a name all the same.
extern crate self as rocksdb;
pub use std::io::Error;
