//! Whether the coordinator can be reached from this node, for people to see (rule 15): nothing in
//! the node depends on it, since each question to the coordinator has an answer of its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::ha::{Authority, ReadOutcome};
use crate::types::Mode;

use super::coordinators::Coordinators;
use super::parts::Parts;

/// Time between two looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// One unanswered look may be chance; so many in a row are said aloud.
const MISSES_MAX: u32 = 2;

#[derive(Debug, Default)]
pub(super) struct CoordinatorHealth {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    misses: u32,
    reason: String,
}

/// What changed by a look.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Lost(String),
    Back,
    Nothing,
}

impl CoordinatorHealth {
    /// Why it cannot be reached.
    pub(super) fn trouble(&self) -> Option<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        (seen.misses >= MISSES_MAX).then(|| seen.reason.clone())
    }

    fn note(&self, looked: Result<(), String>) -> Change {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        match looked {
            Ok(()) => {
                let back = seen.misses >= MISSES_MAX;
                seen.misses = 0;
                if back { Change::Back } else { Change::Nothing }
            }
            Err(reason) => {
                seen.misses = seen.misses.saturating_add(1);
                seen.reason.clone_from(&reason);
                if seen.misses == MISSES_MAX { Change::Lost(reason) } else { Change::Nothing }
            }
        }
    }
}

/// Looks from time to time, for as long as the process lives.
pub(super) async fn watch(parts: Arc<Parts>, coordinators: Arc<Coordinators>) {
    let mut before = Mode::Manual;
    loop {
        let mode = parts.view().record.as_ref().map_or(Mode::Manual, |record| record.mode);
        if before != mode {
            coordinators.leave(before);
            before = mode;
        }
        let looked = look(&coordinators, mode).await;
        match parts.coordinator_health.note(looked) {
            Change::Lost(reason) => tracing::warn!(
                "the coordinator ({mode}) cannot be reached: {reason}; a primary goes on with the \
                 set that it has, and nobody takes over, until it is back"
            ),
            Change::Back => tracing::info!("the coordinator ({mode}) answers again"),
            Change::Nothing => {}
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}

async fn look(coordinators: &Coordinators, mode: Mode) -> Result<(), String> {
    if mode == Mode::Manual {
        return Ok(());
    }
    match coordinators.read(mode, Authority::Rules).await {
        ReadOutcome::Record(_) => Ok(()),
        ReadOutcome::Empty if mode == Mode::ZooKeeper => {
            let text = "it holds no record of this cluster: its data were wiped, or it is another \
                        one (ha_zookeeper_quorum, ha_zookeeper_path); put the data back, or \
                        correct the setting";
            Err(text.to_owned())
        }
        ReadOutcome::Empty => Err("it holds no record: wiped?".to_owned()),
        ReadOutcome::Unavailable { reason } => Err(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_single_miss_is_not_said() {
        let health = CoordinatorHealth::default();
        let miss = || Err("nobody there".to_owned());
        assert_eq!(health.note(miss()), Change::Nothing);
        assert_eq!((health.trouble(), health.note(Ok(()))), (None, Change::Nothing));
        assert_eq!(health.note(miss()), Change::Nothing);
        assert_eq!(health.note(miss()), Change::Lost("nobody there".to_owned()));
        assert_eq!(health.note(miss()), Change::Nothing);
        assert_eq!(health.trouble(), Some("nobody there".to_owned()));
        assert_eq!((health.note(Ok(())), health.trouble()), (Change::Back, None));
    }
}
