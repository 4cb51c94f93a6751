//! Whether sessions may come in, as `master` says at any moment.
//!
//! The gate only words the answer; who is primary is decided in `ha`.

use super::failure::STANDBY_HINT;
use super::{Failure, SqlState};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gate {
    /// Not ready, or taking over.
    Starting {
        reason: String,
    },
    Standby {
        /// Read-only sessions are served (`hawq_hot_standby`).
        hot: bool,
        /// Host and port, where known.
        primary: Option<String>,
    },
    Primary,
    ShuttingDown,
}

/// What a session may do for as long as the gate that let it in stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    ReadWrite,
    ReadOnly,
}

impl Gate {
    /// Lets a session in or says why not.
    pub fn admit(&self) -> Result<Admission, Failure> {
        let refuse = |message: &str| Failure::fatal(SqlState::CannotConnectNow, message);
        match self {
            Gate::Primary => Ok(Admission::ReadWrite),
            Gate::Standby { hot: true, .. } => Ok(Admission::ReadOnly),
            Gate::Standby { hot: false, primary } => {
                let detail = match primary {
                    Some(primary) => {
                        format!("This node is a standby master; the primary is at {primary}.")
                    }
                    None => "This node is a standby master; the primary is not known.".to_owned(),
                };
                let failure = refuse("the database system is not accepting connections");
                Err(failure.with_detail(detail).with_hint(STANDBY_HINT))
            }
            Gate::Starting { reason } => {
                let failure = refuse("the database system is starting up");
                Err(if reason.is_empty() { failure } else { failure.with_detail(reason) })
            }
            Gate::ShuttingDown => Err(refuse("the database system is shutting down")),
        }
    }

    /// Whether a session let in with `admission` may stay.
    #[must_use]
    pub fn keeps(&self, admission: Admission) -> bool {
        self.admit() == Ok(admission)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_gate_row_by_row() {
        let standby = |hot| Gate::Standby { hot, primary: Some("mdw:5432".to_owned()) };
        assert_eq!(Gate::Primary.admit(), Ok(Admission::ReadWrite));
        assert_eq!(standby(true).admit(), Ok(Admission::ReadOnly));
        let refusals = [
            (Gate::Starting { reason: "replay".to_owned() }, "the database system is starting up"),
            (standby(false), "the database system is not accepting connections"),
            (Gate::ShuttingDown, "the database system is shutting down"),
        ];
        for (gate, message) in refusals {
            let failure = gate.admit().unwrap_err();
            assert_eq!(failure.state.code(), "57P03");
            assert!(failure.is_fatal());
            assert_eq!(failure.message, message);
        }
        let failure = standby(false).admit().unwrap_err();
        assert!(failure.detail.is_some_and(|detail| detail.contains("mdw:5432")));
        assert_eq!(failure.hint.as_deref(), Some(STANDBY_HINT));
    }

    #[test]
    fn a_session_stays_only_while_its_kind_is_admitted() {
        let hot = Gate::Standby { hot: true, primary: None };
        assert!(Gate::Primary.keeps(Admission::ReadWrite));
        assert!(!Gate::Primary.keeps(Admission::ReadOnly));
        assert!(hot.keeps(Admission::ReadOnly));
        assert!(!hot.keeps(Admission::ReadWrite));
        assert!(!Gate::ShuttingDown.keeps(Admission::ReadWrite));
    }
}
