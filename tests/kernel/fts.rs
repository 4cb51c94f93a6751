//! Segment fault tolerance without its prober.

#[path = "../../src/fts/allocate.rs"]
mod allocate;
#[path = "../../src/fts/detector.rs"]
mod detector;
#[path = "../../src/fts/event.rs"]
mod event;
#[path = "../../src/fts/machine.rs"]
mod machine;
#[path = "../../src/fts/probes.rs"]
mod probes;
#[path = "../../src/fts/registered.rs"]
mod registered;
#[path = "../../src/fts/segment.rs"]
mod segment;
#[path = "../../src/fts/settings.rs"]
mod settings;
#[path = "../../src/fts/store.rs"]
mod store;

pub use event::{Effect, Event, SegmentRow, Severity, StoreError, Suspect, Write};
pub use machine::Machine;
pub use settings::{Settings, SettingsError};
