//! Process tests: real masters and segments on loopback, driven as a user drives them.
//!
//! Every cluster is started by `hawq demo` in a directory and on ports of its own, and stopped when
//! the test ends, whether it passes or not. One binary, so that everything is linked once.

mod bad_input;
mod cluster;
mod commands;
mod failover;
mod jdbc;
mod kills;
mod restarts;
mod run;
mod seeding;
mod segments;
mod session;
mod traces;
mod views;
mod wait;
mod writers;
