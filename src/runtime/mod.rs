//! Process plumbing, and the traits through which kernels meet the world: `Clock`, `Disk`, `Net`.
//! The simulation replaces each of them; the daemons use the real ones.

mod clock;
mod disk;
mod file_disk;
mod net;
mod sim_disk;

pub use clock::{BootClock, Clock};
pub use disk::{Disk, DiskFile};
pub use file_disk::FileDisk;
pub use net::Net;
pub use sim_disk::{SimDisk, SimFile};
