//! A failure as the client sees it: severity, SQLSTATE, message, detail, hint, position.
//!
//! Everything that goes wrong in a session ends here; nothing is decided from a message's text.

use pgwire::messages::response::{ErrorResponse, NoticeResponse};

use super::SqlState;

/// What HAWQ's standby says to a client, word for word.
pub const STANDBY_HINT: &str = "queries cannot be executed against the standby master. \
     Queries should be issued against the activate master. If this host is not available, \
     activate the standby so that it can process queries.";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The statement failed; the session goes on.
    Error,
    /// The session ends.
    Fatal,
}

impl Severity {
    #[must_use]
    pub fn text(self) -> &'static str {
        match self {
            Severity::Error => "ERROR",
            Severity::Fatal => "FATAL",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {} ({})", severity.text(), message, state.code())]
pub struct Failure {
    pub severity: Severity,
    pub state: SqlState,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
    /// Characters into the statement, from one.
    pub position: Option<u32>,
}

impl Failure {
    #[must_use]
    pub fn error(state: SqlState, message: impl Into<String>) -> Failure {
        let message = message.into();
        let severity = Severity::Error;
        Failure { severity, state, message, detail: None, hint: None, position: None }
    }

    #[must_use]
    pub fn fatal(state: SqlState, message: impl Into<String>) -> Failure {
        Failure { severity: Severity::Fatal, ..Failure::error(state, message) }
    }

    #[must_use]
    pub fn with_detail(self, detail: impl Into<String>) -> Failure {
        Failure { detail: Some(detail.into()), ..self }
    }

    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Failure {
        Failure { hint: Some(hint.into()), ..self }
    }

    /// While a session is being opened every failure ends it.
    #[must_use]
    pub fn into_fatal(self) -> Failure {
        Failure { severity: Severity::Fatal, ..self }
    }

    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.severity == Severity::Fatal
    }

    #[must_use]
    pub fn canceled() -> Failure {
        Failure::error(SqlState::QueryCanceled, "canceling statement due to user request")
    }

    #[must_use]
    pub fn statement_timeout() -> Failure {
        Failure::error(SqlState::QueryCanceled, "canceling statement due to statement timeout")
    }

    #[must_use]
    pub fn terminated() -> Failure {
        let message = "terminating connection due to administrator command";
        Failure::fatal(SqlState::AdminShutdown, message)
    }

    #[must_use]
    pub fn protocol(message: impl Into<String>) -> Failure {
        Failure::error(SqlState::ProtocolViolation, message)
    }

    #[must_use]
    pub fn internal(message: impl Into<String>) -> Failure {
        Failure::error(SqlState::InternalError, message)
    }

    /// A commit whose outcome the server cannot tell any more.
    #[must_use]
    pub fn outcome_unknown() -> Failure {
        let state = SqlState::TransactionResolutionUnknown;
        Failure::error(state, "the outcome of the transaction is unknown")
            .with_detail("The session was ended while its commit was being replicated.")
            .with_hint("Look whether the change is there before you repeat it.")
    }

    #[must_use]
    pub fn response(&self) -> ErrorResponse {
        ErrorResponse::new(fields(self, self.severity.text()))
    }
}

/// Something that a statement says beside its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// `NOTICE`, `WARNING`, `INFO`, `LOG`, `DEBUG`.
    pub severity: String,
    pub code: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl Notice {
    #[must_use]
    pub fn response(&self) -> NoticeResponse {
        let mut fields = vec![
            (b'S', self.severity.clone()),
            (b'V', self.severity.clone()),
            (b'C', self.code.clone()),
            (b'M', self.message.clone()),
        ];
        fields.extend(self.detail.clone().map(|detail| (b'D', detail)));
        fields.extend(self.hint.clone().map(|hint| (b'H', hint)));
        NoticeResponse::new(without_zero_bytes(fields))
    }
}

fn fields(failure: &Failure, severity: &str) -> Vec<(u8, String)> {
    let mut fields = vec![
        (b'S', severity.to_owned()),
        (b'V', severity.to_owned()),
        (b'C', failure.state.code().to_owned()),
        (b'M', failure.message.clone()),
    ];
    fields.extend(failure.detail.clone().map(|detail| (b'D', detail)));
    fields.extend(failure.hint.clone().map(|hint| (b'H', hint)));
    fields.extend(failure.position.map(|position| (b'P', position.to_string())));
    without_zero_bytes(fields)
}

/// A zero byte would end the field early and shift all that follows.
fn without_zero_bytes(mut fields: Vec<(u8, String)>) -> Vec<(u8, String)> {
    for (_, value) in &mut fields {
        if value.contains('\0') {
            *value = value.replace('\0', "\u{fffd}");
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_response_carries_every_field_in_order() {
        let failure = Failure {
            position: Some(8),
            ..Failure::error(SqlState::UndefinedTable, "relation \"a\0b\" does not exist")
                .with_detail("D")
                .with_hint("H")
        };
        let fields = failure.response().fields;
        let text: Vec<String> =
            fields.iter().map(|(code, value)| format!("{}={value}", *code as char)).collect();
        assert_eq!(
            text.join(" "),
            "S=ERROR V=ERROR C=42P01 M=relation \"a\u{fffd}b\" does not exist D=D H=H P=8"
        );
    }

    #[test]
    fn the_standby_hint_holds_hawqs_sentence() {
        assert!(STANDBY_HINT.starts_with("queries cannot be executed against the standby master"));
        assert!(!STANDBY_HINT.contains("  "));
    }
}
