//! Which error has which SQLSTATE.
//!
//! Exhaustive matches without a `_` arm, so that a new kind of error does not compile until it has
//! a code. It never words a message: the error's own `Display` does.

use std::fmt::Write as _;

use crate::catalog::CommitError;

use super::SqlState;

/// How a commit failed.
#[must_use]
pub fn of_commit(error: &CommitError) -> SqlState {
    match error {
        CommitError::NotPrimary { .. } => SqlState::ReadOnlySqlTransaction,
        CommitError::NotNow { .. } => SqlState::CannotConnectNow,
        CommitError::Conflict { .. } => SqlState::SerializationFailure,
        CommitError::Unknown { .. } => SqlState::TransactionResolutionUnknown,
        CommitError::Terminated => SqlState::AdminShutdown,
    }
}

/// The table of `docs/sqlstates.md`.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::from(
        "# SQLSTATEs\n\nWhat this server answers and when. Printed from \
         `src/frontend/sqlstate.rs`; a test compares.\n\n\
         | SQLSTATE | Condition | When |\n|---|---|---|\n",
    );
    for state in SqlState::all() {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "| {} | {} | {} |", state.code(), state.name(), state.when());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commit_errors_row_by_row() {
        let text = String::new;
        let rows = [
            (CommitError::NotPrimary { primary: None }, "25006"),
            (CommitError::NotNow { reason: text() }, "57P03"),
            (CommitError::Conflict { relation: text() }, "40001"),
            (CommitError::Unknown { xid: 7, reason: text() }, "08007"),
            (CommitError::Terminated, "57P01"),
        ];
        for (error, code) in rows {
            assert_eq!(of_commit(&error).code(), code, "{error}");
        }
    }

    /// `UPDATE_DOCS=1 cargo test` writes the file anew.
    #[test]
    fn the_documented_table_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sqlstates.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, markdown()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == markdown(), "docs/sqlstates.md is stale: run with UPDATE_DOCS=1");
    }
}
