//! An error as people read it: with all of its causes, in one line.

use std::error::Error;

/// The message, then each cause after a colon; a transparent error leaves its own out.
#[must_use]
pub fn error_text(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Failed {
        #[error("open the log")]
        Open(#[source] io::Error),
        #[error("start")]
        Start(#[source] Box<Failed>),
        #[error(transparent)]
        Other(Box<Failed>),
    }

    #[test]
    fn every_cause_is_told_once() {
        let open = || Box::new(Failed::Open(io::Error::other("disk on fire")));
        assert_eq!(error_text(&io::Error::other("alone")), "alone");
        let all = "start: open the log: disk on fire";
        assert_eq!(error_text(&Failed::Start(open())), all);
        assert_eq!(error_text(&Failed::Other(Box::new(Failed::Start(open())))), all);
    }
}
