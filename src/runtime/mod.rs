//! Process plumbing, and the traits through which kernels meet the world: `Clock`, `Disk`, `Net`.
//! The simulation replaces each of them; the daemons use the real ones.

mod clock;
pub mod config;
mod disk;
pub mod log_line;
mod net;
mod rpc_auth;
pub mod site_xml;

pub use clock::{BootClock, Clock};
pub use disk::{Disk, DiskFile};
pub use net::Net;
pub use rpc_auth::{CLUSTER_ID_KEY, CheckRequests, RpcAuth, RpcAuthError, SECRET_KEY};
