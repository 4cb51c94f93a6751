//! Process plumbing, and the traits through which kernels meet the world: `Clock`, `Disk`, `Net`.
//! The simulation replaces each of them; the daemons use the real ones.

mod clock;
mod disk;
mod net;

pub use clock::{BootClock, Clock};
pub use disk::{Disk, DiskFile};
pub use net::Net;
