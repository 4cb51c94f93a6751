//! The small parent of a master's process: it starts the process again after a crash, and tells the
//! other masters at once that it ended, so that nobody has to wait for a lease to lapse (rule 10).
//!
//! `policy` decides what follows an end, `report` says which epochs ended with it and to whom,
//! `supervise` starts, watches and passes on signals. It opens no log and no catalog, and serves
//! nobody: when it is killed the master goes on, and only the lease tells of that one's end.

mod policy;
mod report;
mod supervise;

pub use supervise::{Program, SuperviseError, supervise};
