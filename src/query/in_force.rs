//! What every statement asks of its session's settings, worked out once for each change of them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::live::Live;
use super::settings::Settings;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct InForce {
    /// What clients are told: canonical name and value.
    pub reported: Vec<(String, String)>,
    pub statement_timeout: Option<Duration>,
    pub default_read_only: bool,
    pub transaction_read_only: bool,
    pub search_path: Vec<String>,
}

impl InForce {
    fn of(settings: &Settings, user: &str, live: &dyn Live) -> InForce {
        let is_on = |name: &str| settings.get(name, live).as_deref() == Some("on");
        let timeout = settings.get("statement_timeout", live);
        let millis = timeout.and_then(|millis| millis.parse().ok()).filter(|millis| *millis > 0);
        InForce {
            reported: settings.reported(live),
            statement_timeout: millis.map(Duration::from_millis),
            default_read_only: is_on("default_transaction_read_only"),
            transaction_read_only: is_on("transaction_read_only"),
            search_path: settings.search_path(user, live),
        }
    }
}

/// The last answer, and the settings that it was worked out from.
#[derive(Debug, Default)]
pub(crate) struct Known {
    last: Mutex<Option<(u64, Arc<InForce>)>>,
}

impl Known {
    pub(crate) fn get(&self, settings: &Settings, user: &str, live: &dyn Live) -> Arc<InForce> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((version, known)) = last.as_ref()
            && *version == settings.version()
        {
            return Arc::clone(known);
        }
        let known = Arc::new(InForce::of(settings, user, live));
        *last = Some((settings.version(), Arc::clone(&known)));
        known
    }
}
