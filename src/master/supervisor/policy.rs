//! What follows the end of a master's process: start it again, and when, or leave with it.
//!
//! It starts nothing and reads no clock.

use std::time::Duration;

/// The first wait: long enough for a standby that was told to be the primary by then, short where
/// nobody else could be.
const BACK_OFF_MIN: Duration = Duration::from_millis(250);

const BACK_OFF_MAX: Duration = Duration::from_secs(30);

/// A process that lived so long counts as healthy: the next wait is the first again.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);

/// The statuses with which a master leaves; see `src/bin/hawq-master.rs`.
const STOPPED: i32 = 0;
const COULD_NOT_START: i32 = 1;
const BAD_FLAGS: i32 = 2;

/// What a shell makes of a signal.
const KILLED_BASE: i32 = 128;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Exited(i32),
    Killed(i32),
}

impl Ending {
    /// Told to stop, and stopped: not a crash, and nothing to report.
    pub(super) fn is_clean(self) -> bool {
        self == Ending::Exited(STOPPED)
    }

    fn status(self) -> i32 {
        match self {
            Ending::Exited(status) => status,
            Ending::Killed(signal) => KILLED_BASE + signal,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Leave(i32),
    Restart { after: Duration },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Policy {
    /// The next wait.
    wait: Duration,
    /// Some process did start, so that a refusal to start is of the moment and may pass.
    ran: bool,
    /// Somebody asked for the end.
    stopping: bool,
}

impl Policy {
    pub(super) fn new() -> Policy {
        Policy { wait: BACK_OFF_MIN, ran: false, stopping: false }
    }

    pub(super) fn stop(&mut self) {
        self.stopping = true;
    }

    /// A process that lived for `lived` ended.
    pub(super) fn ended(&mut self, lived: Duration, ending: Ending) -> Verdict {
        let refused = ending == Ending::Exited(COULD_NOT_START);
        let healthy = lived >= HEALTHY_AFTER;
        self.ran |= !refused || healthy;
        let flags = ending == Ending::Exited(BAD_FLAGS);
        if self.stopping || ending.is_clean() || flags || !self.ran {
            return Verdict::Leave(ending.status());
        }
        if healthy {
            self.wait = BACK_OFF_MIN;
        }
        let after = self.wait;
        self.wait = (after * 2).min(BACK_OFF_MAX);
        Verdict::Restart { after }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_millis(10);
    const KILLED: Ending = Ending::Killed(9);

    fn waits(policy: &mut Policy, endings: &[(Duration, Ending)]) -> Vec<u128> {
        let wait = |(lived, ending): &(Duration, Ending)| match policy.ended(*lived, *ending) {
            Verdict::Restart { after } => after.as_millis(),
            Verdict::Leave(status) => panic!("left with {status}"),
        };
        endings.iter().map(wait).collect()
    }

    #[test]
    fn crashes_are_followed_by_longer_and_longer_waits() {
        let mut policy = Policy::new();
        let found = waits(&mut policy, &[(SOON, KILLED); 9]);
        assert_eq!(found, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        let healthy = [(HEALTHY_AFTER, Ending::Exited(3)), (SOON, KILLED)];
        assert_eq!(waits(&mut policy, &healthy), [250, 500], "what lived long begins anew");
    }

    #[test]
    fn a_clean_stop_is_final() {
        let mut policy = Policy::new();
        assert_eq!(policy.ended(SOON, Ending::Exited(0)), Verdict::Leave(0));
        assert!(Ending::Exited(0).is_clean() && !Ending::Exited(3).is_clean());
    }

    #[test]
    fn what_a_person_has_to_mend_is_not_tried_again() {
        for status in [1, 2] {
            let mut policy = Policy::new();
            assert_eq!(policy.ended(SOON, Ending::Exited(status)), Verdict::Leave(status));
        }
        let mut policy = Policy::new();
        waits(&mut policy, &[(SOON, KILLED)]);
        assert_eq!(policy.ended(SOON, Ending::Exited(2)), Verdict::Leave(2));
    }

    #[test]
    fn a_refusal_after_a_crash_may_pass() {
        let found = waits(&mut Policy::new(), &[(SOON, KILLED), (SOON, Ending::Exited(1))]);
        assert_eq!(found, [250, 500]);
        let lived = [(HEALTHY_AFTER, Ending::Exited(1))];
        assert_eq!(waits(&mut Policy::new(), &lived), [250]);
    }

    #[test]
    fn whoever_is_told_to_stop_starts_nothing() {
        let mut policy = Policy::new();
        waits(&mut policy, &[(SOON, KILLED)]);
        policy.stop();
        assert_eq!(policy.ended(SOON, KILLED), Verdict::Leave(137));
    }
}
