//! The log on disk.

pub mod record;
