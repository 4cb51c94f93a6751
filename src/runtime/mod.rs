//! Process plumbing, and the traits through which kernels meet the world: `Clock`, `Disk`, `Net`.
//! The simulation replaces each of them; the daemons use the real ones.

mod clock;
pub mod config;
mod disk;
pub mod log_line;
mod net;
pub mod site_xml;

pub use clock::{BootClock, Clock};
pub use disk::{Disk, DiskFile};
pub use net::Net;
