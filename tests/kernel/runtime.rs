//! The disk that is simulated.

#[path = "../../src/runtime/disk.rs"]
mod disk;
#[path = "../../src/runtime/sim_disk.rs"]
mod sim_disk;
#[path = "../../src/runtime/sim_disk_state.rs"]
mod sim_disk_state;

pub use disk::{Disk, DiskFile};
pub use sim_disk::{SimDisk, SimFile};
