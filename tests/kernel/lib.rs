//! The kernel of Aerie as a library of its own: the very files of `src/` that decide, and nothing
//! that they do not need. What is added is `shape`, which says when two nodes are the same node.

#![allow(dead_code, unused_imports, reason = "the drivers that use the rest are not here")]

pub mod ha;
pub mod master;
#[path = "../../src/replication/mod.rs"]
pub mod replication;
#[path = "../../src/types/mod.rs"]
pub mod types;
pub mod wal;

pub mod shape;
