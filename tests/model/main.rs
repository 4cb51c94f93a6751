//! Exhaustive models that drive the real machines: every order of what can happen, within bounds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test says what it expects")]
#![allow(clippy::print_stdout, reason = "what a test prints is for who reads its log")]

mod register;
mod tiny;
