//! Settings of both daemons: `hawq-site.xml` with HAWQ's names, then the command line.
//!
//! Loading either gives checked values or says which file, setting and value is wrong and what
//! would be right; nothing else in the program reads the file. What a setting means stands in
//! `table`; relations between settings are checked where the typed structs are made. `${NAME}` in
//! a value is replaced by the environment variable of that name.

mod accepted;
mod availability;
mod fencing;
mod find;
mod master_settings;
mod sample;
mod segment_settings;
mod settings;
mod table;
mod value;
mod zookeeper_settings;

pub use fencing::FencingMethod;
pub use find::nearest;
pub use master_settings::{ManualShrink, MasterSettings, Peer, SyncMode};
pub use sample::sample_site_xml;
pub use segment_settings::SegmentSettings;
pub use settings::{ConfigError, Origin, SettingRow, Settings, assignment};
pub use table::Setting;
pub use value::{Kind, Unit};
pub use zookeeper_settings::{ZooKeeperAcl, ZooKeeperAuth, ZooKeeperSettings};

#[cfg(test)]
mod config_tests;
