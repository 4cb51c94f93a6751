//! Process tests: real masters and segments on loopback, driven as a user drives them.
//!
//! Every cluster is started by `hawq demo` in a directory and on ports of its own, and stopped when
//! the test ends, whether it passes or not. One binary, so that everything is linked once.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::print_stdout, reason = "what a test prints is for who reads its log")]

mod address;
mod auto;
mod bad_input;
mod broken_disks;
mod cluster;
mod commands;
mod coordinator_lost;
mod damage;
mod digests;
mod ensemble;
mod fabric;
mod failover;
mod ha_at_once;
mod ha_commands;
mod ha_voters;
mod health;
mod history;
mod hooks;
mod hosts;
mod jdbc;
mod kills;
mod machine;
mod namespace;
mod node;
mod partitions;
mod registers;
mod restarts;
mod run;
mod seeding;
mod segments;
mod session;
mod supervisor;
mod supervisor_auto;
mod traces;
mod views;
mod wait;
mod writers;
mod zookeeper;
mod zookeeper_conforms;
mod zookeeper_mode;

// Where the checks that the library shares with these tests look for them.
use aerie::types;
