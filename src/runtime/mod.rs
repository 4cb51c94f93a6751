//! Process plumbing, and the traits through which kernels meet the world: `Clock`, `Disk`, `Net`.
//! The simulation replaces each of them; the daemons use the real ones.

mod clock;
pub mod config;
mod disk;
mod error_text;
mod file_disk;
mod incoming;
mod leave;
mod lock_file;
pub mod log_line;
mod net;
mod rpc_auth;
mod script;
mod sim_disk;
mod sim_disk_state;
pub mod site_xml;

pub use clock::{BootClock, Clock};
pub use disk::{Disk, DiskFile};
pub use error_text::error_text;
pub use file_disk::FileDisk;
pub use incoming::incoming;
pub use leave::leave;
pub use lock_file::lock_file;
pub use net::Net;
pub use rpc_auth::{CLUSTER_ID_KEY, CheckRequests, RpcAuth, RpcAuthError, SECRET_KEY};
pub use script::Script;
pub use sim_disk::{SimDisk, SimFile};
