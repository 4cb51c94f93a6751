//! One segment: its reasons and how what happens changes them. The flat part of the machine.
//!
//! The table is HAWQ's. A heartbeat clears what a heartbeat disproves; an agent that started anew
//! costs one heartbeat period of being down, unless the segment was already down for want of an
//! answer; a segment without a report of the global resource manager is not cured by heartbeats.
//!
//! * A segment is up if and only if it has no reason.
//! * Every change of the set of reasons, or of the failed directories, is one line of history.

use crate::types::{ProbeOutcome, Reason, Reasons, UP_HISTORY_TEXT};

/// What a heartbeat says that bears on the status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SignOfLife {
    pub(crate) started_anew: bool,
    pub(crate) failed_directories: Vec<String>,
}

/// The reasons that say "no answer was had".
const UNANSWERED: [Reason; 3] =
    [Reason::HeartbeatTimeout, Reason::FailedProbing, Reason::CommunicationError];

/// The reasons after a heartbeat.
#[must_use]
pub(crate) fn after_heartbeat(before: &Reasons, sign: SignOfLife) -> Reasons {
    let mut reasons = before.clone();
    let was_unanswered = UNANSWERED.into_iter().any(|reason| before.contains(reason));
    if sign.started_anew && !was_unanswered {
        reasons.insert(Reason::ResourceManagerReset);
    } else {
        UNANSWERED.into_iter().for_each(|reason| reasons.remove(reason));
        reasons.remove(Reason::ResourceManagerReset);
    }
    reasons.set_failed_directories(sign.failed_directories);
    reasons
}

/// The reasons after `heartbeat_timeout` of silence; recorded also for one that is down already.
#[must_use]
pub(crate) fn after_timeout(before: &Reasons) -> Reasons {
    let mut reasons = before.clone();
    reasons.insert(Reason::HeartbeatTimeout);
    reasons
}

/// The reasons after the last try of a probe; nothing is recorded for one that is down already.
#[must_use]
pub(crate) fn after_probe(before: &Reasons, outcome: ProbeOutcome) -> Reasons {
    let mut reasons = before.clone();
    if before.is_empty() {
        match outcome {
            ProbeOutcome::Alive => {}
            ProbeOutcome::Failed => reasons.insert(Reason::FailedProbing),
            ProbeOutcome::CommunicationError => reasons.insert(Reason::CommunicationError),
        }
    }
    reasons
}

/// What history says of a segment that now has these reasons.
#[must_use]
pub(crate) fn history_text(reasons: &Reasons) -> String {
    if reasons.is_empty() { UP_HISTORY_TEXT.to_owned() } else { reasons.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIRECTORY: u8 = 0x08;

    /// Every set of reasons, as HAWQ's bits.
    fn all_sets() -> impl Iterator<Item = (u8, Reasons)> {
        (0u8..64).map(|bits| {
            let mut reasons = Reasons::default();
            for reason in Reason::ALL {
                if bits & reason.bit() != 0 && reason != Reason::FailedTemporaryDirectory {
                    reasons.insert(reason);
                }
            }
            if bits & DIRECTORY != 0 {
                reasons.set_failed_directories(vec!["/old".to_owned()]);
            }
            (bits, reasons)
        })
    }

    fn bits_of(reasons: &Reasons) -> u8 {
        Reason::ALL.into_iter().filter(|r| reasons.contains(*r)).map(Reason::bit).sum()
    }

    fn check_heartbeat(started_anew: bool, directories: &[&str], expect: impl Fn(u8) -> u8) {
        for (bits, before) in all_sets() {
            let failed_directories: Vec<String> =
                directories.iter().map(|d| (*d).to_owned()).collect();
            let sign = SignOfLife { started_anew, failed_directories: failed_directories.clone() };
            let after = after_heartbeat(&before, sign);
            assert_eq!(bits_of(&after), expect(bits), "from {before}");
            assert_eq!(after.failed_directories(), failed_directories, "from {before}");
        }
    }

    #[test]
    fn a_heartbeat_clears_no_answer_and_reset_but_never_the_node_report() {
        check_heartbeat(false, &[], |bits| bits & 0x20);
        check_heartbeat(false, &["/a", "/b"], |bits| bits & 0x20 | DIRECTORY);
    }

    #[test]
    fn a_new_start_costs_a_period_unless_it_was_down_without_an_answer() {
        let expect = |bits: u8| {
            if bits & 0x07 == 0 { bits & 0x20 | 0x10 } else { bits & 0x20 }
        };
        check_heartbeat(true, &[], expect);
        check_heartbeat(true, &["/a"], |bits| expect(bits) | DIRECTORY);
    }

    #[test]
    fn a_timeout_is_added_to_whatever_is_there() {
        for (bits, before) in all_sets() {
            let after = after_timeout(&before);
            assert_eq!(bits_of(&after), bits | 0x01, "from {before}");
            assert_eq!(after.failed_directories(), before.failed_directories());
        }
    }

    #[test]
    fn a_probe_is_recorded_only_for_a_segment_that_is_up() {
        for (bits, before) in all_sets() {
            let up = bits == 0;
            let after = |outcome| bits_of(&after_probe(&before, outcome));
            assert_eq!(after(ProbeOutcome::Alive), bits);
            assert_eq!(after(ProbeOutcome::Failed), if up { 0x02 } else { bits });
            assert_eq!(after(ProbeOutcome::CommunicationError), if up { 0x04 } else { bits });
        }
    }

    #[test]
    fn history_and_description_use_hawqs_words() {
        assert_eq!(history_text(&Reasons::default()), "segment is up");
        let mut reasons = Reasons::default();
        reasons.set_failed_directories(vec!["/d1/tmp".to_owned(), "/d2/tmp".to_owned()]);
        reasons.insert(Reason::HeartbeatTimeout);
        assert_eq!(
            history_text(&reasons),
            "heartbeat timeout;failed temporary directory:/d1/tmp,/d2/tmp"
        );
    }

    #[test]
    fn every_description_reads_back() {
        for (_, reasons) in all_sets() {
            assert_eq!(Reasons::parse(&reasons.to_string()), Some(reasons));
        }
    }
}
