//! A voter of this process: the pure acceptor, its file, and the thread that waits for the disk.
//!
//! Requests are done one after the other; each is durable before it is answered. A disk that hangs
//! hangs this thread alone: who asks waits `ANSWER_MAX` at most, and beyond `REQUESTS_MAX` waiting
//! requests is turned away at once.

use std::fmt;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::runtime::{Disk, error_text};
use crate::types::{ClusterState, Incarnation};

use super::register::{Acceptor, Answer, Ballot};
use super::voter_file::VoterFile;

const REQUESTS_MAX: usize = 64;

/// Longer than any proposer waits.
const ANSWER_MAX: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VoterError {
    #[error("voter {found} lives here, not {asked}: its file was lost or made anew")]
    AnotherLife { asked: Incarnation, found: Incarnation },
    #[error("{0}")]
    Disk(String),
    #[error("the voter's disk does not answer")]
    Hung,
    #[error("the voter does not run: {0}")]
    Closed(String),
}

enum Request {
    Prepare(Ballot),
    Accept(Ballot, Box<ClusterState>),
}

struct Waiting {
    request: Request,
    answer: oneshot::Sender<Result<Answer<ClusterState>, VoterError>>,
}

/// A handle on the voter; its thread ends with the last one.
#[derive(Clone)]
pub struct Voting {
    incarnation: Incarnation,
    requests: SyncSender<Waiting>,
    held: Arc<Mutex<Acceptor<ClusterState>>>,
}

impl Voting {
    /// `file` and `acceptor` are what `VoterFile::open` returned.
    pub fn start<D: Disk>(
        file: VoterFile<D>,
        acceptor: Acceptor<ClusterState>,
    ) -> io::Result<Voting> {
        let (requests, received) = sync_channel(REQUESTS_MAX);
        let incarnation = file.incarnation();
        let held = Arc::new(Mutex::new(acceptor));
        let voter = Voter { file, held: Arc::clone(&held) };
        // Not joined: nothing waits for a disk that hangs.
        let _detached = std::thread::Builder::new()
            .name("voter".to_owned())
            .spawn(move || voter.run(&received))?;
        Ok(Voting { incarnation, requests, held })
    }

    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// What was made durable last.
    #[must_use]
    pub fn held(&self) -> Acceptor<ClusterState> {
        lock(&self.held).clone()
    }

    pub async fn prepare(
        &self,
        asked: Incarnation,
        ballot: Ballot,
    ) -> Result<Answer<ClusterState>, VoterError> {
        self.ask(asked, Request::Prepare(ballot)).await
    }

    pub async fn accept(
        &self,
        asked: Incarnation,
        ballot: Ballot,
        record: ClusterState,
    ) -> Result<Answer<ClusterState>, VoterError> {
        self.ask(asked, Request::Accept(ballot, Box::new(record))).await
    }

    async fn ask(
        &self,
        asked: Incarnation,
        request: Request,
    ) -> Result<Answer<ClusterState>, VoterError> {
        let found = self.incarnation;
        if asked != found {
            return Err(VoterError::AnotherLife { asked, found });
        }
        let (answer, answered) = oneshot::channel();
        if self.requests.try_send(Waiting { request, answer }).is_err() {
            return Err(VoterError::Hung);
        }
        match tokio::time::timeout(ANSWER_MAX, answered).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Err(VoterError::Closed("its thread ended".to_owned())),
            Err(_) => Err(VoterError::Hung),
        }
    }
}

impl fmt::Debug for Voting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Voting({})", self.incarnation)
    }
}

struct Voter<D> {
    file: VoterFile<D>,
    held: Arc<Mutex<Acceptor<ClusterState>>>,
}

impl<D: Disk> Voter<D> {
    fn run(mut self, requests: &Receiver<Waiting>) {
        while let Ok(Waiting { request, answer }) = requests.recv() {
            // Nobody waits any more for an answer that took too long.
            let _ = answer.send(self.answer(request));
        }
    }

    fn answer(&mut self, request: Request) -> Result<Answer<ClusterState>, VoterError> {
        let mut next = lock(&self.held).clone();
        let answer = match request {
            Request::Prepare(ballot) => next.prepare(ballot),
            Request::Accept(ballot, record) => next.accept(ballot, *record),
        };
        if *lock(&self.held) != next {
            self.file.store(&next).map_err(|error| {
                let text = error_text(&error);
                tracing::error!("{text}");
                VoterError::Disk(text)
            })?;
            *lock(&self.held) = next;
        }
        Ok(answer)
    }
}

fn lock(held: &Mutex<Acceptor<ClusterState>>) -> MutexGuard<'_, Acceptor<ClusterState>> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::proto::test_record;
    use crate::runtime::SimDisk;
    use crate::types::ClusterId;

    fn voting(disk: &SimDisk) -> Voting {
        let opened =
            VoterFile::open(disk.clone(), Path::new("/data"), ClusterId(7), Incarnation(5));
        let (file, acceptor) = opened.unwrap();
        Voting::start(file, acceptor).unwrap()
    }

    #[tokio::test]
    async fn what_was_answered_survives_a_crash() {
        let disk = SimDisk::new(1);
        let voter = voting(&disk);
        let life = voter.incarnation();
        let promised = voter.prepare(life, Ballot(300)).await.unwrap();
        assert_eq!(promised, Answer::Promised { accepted: Ballot::ZERO, record: None });
        let accepted = voter.accept(life, Ballot(300), test_record()).await.unwrap();
        assert_eq!(accepted, Answer::Accepted);
        disk.crash();
        let again = voting(&disk);
        assert_eq!((again.incarnation(), again.held()), (life, voter.held()));
        let refused = again.prepare(life, Ballot(300)).await.unwrap();
        assert_eq!(refused, Answer::Refused { promised: Ballot(300) });
    }

    #[tokio::test]
    async fn another_life_and_a_failed_disk_answer_nothing() {
        let disk = SimDisk::new(1);
        let voter = voting(&disk);
        let life = voter.incarnation();
        let (asked, found) = (Incarnation(6), life);
        let error = voter.prepare(asked, Ballot(300)).await.unwrap_err();
        assert_eq!(error, VoterError::AnotherLife { asked, found });
        disk.fail_next_syncs(1);
        let error = voter.accept(life, Ballot(300), test_record()).await.unwrap_err();
        assert!(matches!(error, VoterError::Disk(_)), "{error}");
        assert_eq!(voter.held(), Acceptor::default(), "what was not durable was not promised");
        assert!(voter.prepare(life, Ballot(400)).await.is_err(), "it does not trust its file now");
    }
}
