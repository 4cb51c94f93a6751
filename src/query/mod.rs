//! SQL text to catalog changes or rows (DataFusion).

mod live;

pub use live::{Live, ReplicationRow, ServerState, SessionRow, SettingRow};
