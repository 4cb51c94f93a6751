//! The Control service: what the `hawq` command asks of a node, whatever its role.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use crate::catalog::{ReadView, digest_of};
use crate::proto::convert::{BadField, entry_from_wire, mode_from_wire, voters_from_wire};
use crate::proto::member_from_wire;
use crate::proto::v1;
use crate::proto::v1::control_server::Control;
use crate::types::{Epoch, Lsn, Mode, NodeId};

use super::coordinators::Coordinators;
use super::parts::{Parts, StopMode};
use super::{Answer, Request as NodeRequest, enable, history, reach, status, voters};

/// An operator waits this long for the node; a takeover asks witnesses and flushes on the way.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// Less than whoever asks waits for a line of progress.
const REPLAY_MAX: Duration = Duration::from_secs(30);

const REPLAY_PAUSE: Duration = Duration::from_millis(5);

/// How long a digest's position may take to be reached.
const DIGEST_MAX: Duration = Duration::from_secs(10);

/// Lines of progress that may wait for a slow reader.
const PROGRESS_MAX: usize = 64;

pub(super) struct ControlService {
    pub(super) parts: Arc<Parts>,
    pub(super) coordinators: Arc<Coordinators>,
}

type Reply<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl Control for ControlService {
    type ActivateStream = ReceiverStream<Result<v1::Progress, Status>>;

    async fn status(&self, request: Request<v1::StatusRequest>) -> Reply<v1::StatusReply> {
        let v1::StatusRequest { digest } = request.into_inner();
        Ok(Response::new(status::reply(&self.parts, digest).await))
    }

    async fn activate(&self, request: Request<v1::ActivateRequest>) -> Reply<Self::ActivateStream> {
        let v1::ActivateRequest { force, switchover, allow_data_loss } = request.into_inner();
        // `--force` is HAWQ's word for manual mode; elsewhere only what it means counts.
        let manual = self.parts.view().record.as_ref().is_none_or(|r| r.mode == Mode::Manual);
        let force = allow_data_loss || (force && manual);
        let (lines, stream) = mpsc::channel(PROGRESS_MAX);
        let parts = Arc::clone(&self.parts);
        // Ends with the answer, which is bounded; a reader that has gone does not stop a takeover.
        tokio::spawn(async move { activate(&parts, force, switchover, lines).await });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn admit(&self, request: Request<v1::AdmitRequest>) -> Reply<v1::Outcome> {
        let entry = request.into_inner().entry;
        let entry = entry.ok_or_else(|| Status::invalid_argument("entry is missing"))?;
        let (node, entry) =
            entry_from_wire(entry).map_err(|bad| Status::invalid_argument(bad.to_string()))?;
        self.ask(NodeRequest::Admit { node, entry }).await
    }

    async fn remove(&self, request: Request<v1::RemoveRequest>) -> Reply<v1::Outcome> {
        let node = node_id(request.into_inner().node)?;
        self.ask(NodeRequest::Remove { node }).await
    }

    async fn stop(&self, request: Request<v1::StopRequest>) -> Reply<v1::Outcome> {
        let request = request.into_inner();
        let mode = match request.mode() {
            v1::StopMode::Smart => StopMode::Smart,
            v1::StopMode::Fast => StopMode::Fast,
            v1::StopMode::Immediate => StopMode::Immediate,
            v1::StopMode::Unspecified => return Err(Status::invalid_argument("mode is missing")),
        };
        self.parts.without_failover.fetch_or(request.without_failover, Ordering::SeqCst);
        self.parts.request_stop(mode);
        Ok(outcome(Answer::Done { text: "stopping".to_owned() }))
    }

    async fn enable(&self, request: Request<v1::EnableRequest>) -> Reply<v1::Outcome> {
        let mode = request.into_inner().mode;
        let mode = mode_from_wire(mode).map_err(|bad| Status::invalid_argument(bad.to_string()))?;
        Ok(outcome(enable::enable(&self.parts, mode).await))
    }

    async fn reach_coordinator(
        &self,
        request: Request<v1::ReachCoordinatorRequest>,
    ) -> Reply<v1::Outcome> {
        let request = request.into_inner();
        let bad = |bad: BadField| Status::invalid_argument(bad.to_string());
        let mode = mode_from_wire(request.mode).map_err(bad)?;
        let voters = voters_from_wire("voters", request.voters.unwrap_or_default()).map_err(bad)?;
        let means = (&voters, request.zookeeper_path.as_str());
        let reached = reach::from_here(&self.parts, &self.coordinators, mode, means).await;
        let answer = match reached {
            Ok(()) => Answer::Done { text: String::new() },
            Err(reason) => Answer::Refused { reason },
        };
        Ok(outcome(answer))
    }

    async fn disable(&self, request: Request<v1::DisableRequest>) -> Reply<v1::Outcome> {
        let v1::DisableRequest { coordinator_lost, allow_data_loss } = request.into_inner();
        if coordinator_lost {
            return self.ask(NodeRequest::Abandon { force: allow_data_loss }).await;
        }
        Ok(outcome(enable::disable(&self.parts).await))
    }

    async fn list_voters(&self, _: Request<v1::ListVotersRequest>) -> Reply<v1::ListVotersReply> {
        Ok(Response::new(voters::list(&self.parts).await))
    }

    async fn change_voters(&self, request: Request<v1::ChangeVotersRequest>) -> Reply<v1::Outcome> {
        let v1::ChangeVotersRequest { add, remove } = request.into_inner();
        Ok(outcome(voters::change(&self.parts, &add, &remove).await))
    }

    async fn force_open(&self, _: Request<v1::ForceOpenRequest>) -> Reply<v1::Outcome> {
        self.ask(NodeRequest::ForceOpen).await
    }

    async fn release(&self, request: Request<v1::ReleaseRequest>) -> Reply<v1::Outcome> {
        let to = match request.into_inner().to {
            0 => None,
            number => Some(node_id(number)?),
        };
        self.ask(NodeRequest::Release { to }).await
    }

    async fn history(&self, _: Request<v1::HistoryRequest>) -> Reply<v1::HistoryReply> {
        let parts = Arc::clone(&self.parts);
        let reigns = tokio::task::spawn_blocking(move || history::reigns(&parts)).await;
        let reigns = reigns.map_err(|error| Status::internal(error.to_string()))?;
        let reigns = reigns.map_err(|error| Status::data_loss(error.to_string()))?;
        Ok(Response::new(v1::HistoryReply { reigns }))
    }

    async fn pause(&self, request: Request<v1::PauseRequest>) -> Reply<v1::Outcome> {
        let paused = request.into_inner().paused;
        self.ask(NodeRequest::Pause { paused }).await
    }

    async fn reseed(&self, request: Request<v1::ReseedRequest>) -> Reply<v1::Outcome> {
        let v1::ReseedRequest { epoch, reason } = request.into_inner();
        if epoch != self.parts.view().epoch.0 {
            return Err(Status::failed_precondition("the epoch is not the one followed here"));
        }
        self.ask(NodeRequest::Reseed { reason }).await
    }

    async fn rejoin(&self, _: Request<v1::RejoinRequest>) -> Reply<v1::Outcome> {
        self.ask(NodeRequest::Rejoin).await
    }

    async fn report_end(&self, request: Request<v1::ReportEndRequest>) -> Reply<v1::Outcome> {
        let v1::ReportEndRequest { member, epoch } = request.into_inner();
        let member = member.ok_or_else(|| Status::invalid_argument("member is missing"))?;
        let member =
            member_from_wire(&member).map_err(|bad| Status::invalid_argument(bad.to_string()))?;
        self.ask(NodeRequest::Ended { member, upto: Epoch(epoch) }).await
    }

    async fn digest(&self, request: Request<v1::DigestRequest>) -> Reply<v1::DigestReply> {
        let at = Lsn(request.into_inner().at_lsn);
        let Ok(snapshot) = self.parts.digests.ask(at, &self.parts.catalog) else {
            return Ok(Response::new(v1::DigestReply::default()));
        };
        let Ok(Ok(snapshot)) = tokio::time::timeout(DIGEST_MAX, snapshot).await else {
            return Ok(Response::new(v1::DigestReply::default()));
        };
        let lsn = snapshot.lsn().0;
        let digest = tokio::task::spawn_blocking(move || digest_of(&snapshot)).await;
        let digest = digest.map_err(|error| Status::internal(error.to_string()))?;
        let digest = digest.map_err(|error| Status::data_loss(error.to_string()))?;
        Ok(Response::new(v1::DigestReply { reached: true, lsn, digest: digest.to_string() }))
    }
}

impl ControlService {
    async fn ask(&self, request: NodeRequest) -> Reply<v1::Outcome> {
        Ok(outcome(self.parts.answers.ask(request, ANSWER_MAX).await))
    }
}

fn outcome(answer: Answer) -> Response<v1::Outcome> {
    let (ok, unknown) =
        (matches!(answer, Answer::Done { .. }), matches!(answer, Answer::Unknown { .. }));
    let (Answer::Done { text }
    | Answer::Refused { reason: text }
    | Answer::Unknown { reason: text }) = answer;
    Response::new(v1::Outcome { ok, text, unknown })
}

fn node_id(number: u32) -> Result<NodeId, Status> {
    let node = u8::try_from(number).ok().and_then(NodeId::new);
    node.ok_or_else(|| Status::invalid_argument(format!("node: {number} is not 1 to 255")))
}

type Lines = mpsc::Sender<Result<v1::Progress, Status>>;

/// Who is registered, and so how many segments are most, stands in the catalog: a node that has
/// just started waits until it has replayed what it knows to be committed.
async fn replayed(parts: &Parts) -> Result<(), String> {
    let (wanted, began) = (parts.view().commit_lsn, Instant::now());
    loop {
        let applied = parts.catalog.applied_lsn();
        if applied >= wanted {
            return Ok(());
        }
        if began.elapsed() > REPLAY_MAX {
            return Err(format!("this node replays its log, {applied} of {wanted}; try again"));
        }
        tokio::time::sleep(REPLAY_PAUSE).await;
    }
}

/// Passes on what the takeover says on its way; the last line has the outcome.
async fn activate(parts: &Parts, force: bool, switchover: bool, lines: Lines) {
    if let Err(text) = replayed(parts).await {
        let finished = v1::Progress { finished: true, ..progress(text, "ERROR") };
        send(&lines, finished).await;
        return;
    }
    let mut says = parts.says.subscribe();
    let request = NodeRequest::Activate { force, switchover };
    let answer = parts.answers.ask(request, ANSWER_MAX);
    tokio::pin!(answer);
    let answer = loop {
        tokio::select! {
            biased;
            said = says.recv() => match said {
                Ok(text) => send(&lines, progress(text, "WARNING")).await,
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => break (&mut answer).await,
            },
            answer = &mut answer => break answer,
        }
    };
    while let Ok(text) = says.try_recv() {
        send(&lines, progress(text, "WARNING")).await;
    }
    let v1::Outcome { ok, text, unknown } = outcome(answer).into_inner();
    let line = progress(text, if ok { "INFO" } else { "ERROR" });
    send(&lines, v1::Progress { finished: true, ok, unknown, ..line }).await;
}

fn progress(text: String, level: &str) -> v1::Progress {
    v1::Progress { text, level: level.to_owned(), ..v1::Progress::default() }
}

async fn send(lines: &Lines, line: v1::Progress) {
    // Nobody may be reading any more.
    let _ = lines.send(Ok(line)).await;
}
