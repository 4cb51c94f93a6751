//! What a takeover at a person's word, or an opening by force, knew and may have lost (rule 16):
//! kept until the open primary has written it to `gp_configuration_history`. Never writes itself.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Sentences that wait for the catalog; each is one operator's command.
const WAITING_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Audit(Mutex<VecDeque<String>>);

impl Audit {
    pub(super) fn note(&self, text: String) {
        let mut waiting = self.lock();
        if waiting.len() >= WAITING_MAX {
            waiting.pop_front();
        }
        waiting.push_back(text);
    }

    /// What is to be written, oldest first.
    pub(super) fn waiting(&self) -> Vec<String> {
        self.lock().iter().cloned().collect()
    }

    /// These are durable.
    pub(super) fn written(&self, texts: &[String]) {
        self.lock().retain(|text| !texts.contains(text));
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
