//! A voter's gRPC service, the same in masters and in segment agents. It only translates.

use std::path::Path;

use tonic::service::interceptor::InterceptedService;
use tonic::{Request, Response, Status};

use crate::proto::v1::voting_server::{Voting as VotingCalls, VotingServer};
use crate::proto::v1::{
    AcceptReply, AcceptRequest, DescribeReply, DescribeRequest, PrepareReply, PrepareRequest,
};
use crate::proto::{record_from_wire, record_to_wire};
use crate::runtime::{CheckRequests, Disk, RpcAuth, error_text};
use crate::types::{ClusterId, Incarnation};

use super::register::{Answer, Ballot};
use super::voter::{VoterError, Voting};
use super::voter_file::VoterFile;

/// The voter of this process, or why it has none.
pub type Seat = Result<Voting, String>;

/// The voter whose file is in `directory`, made there where there is none. A process without a
/// voter goes on; whoever asks for its vote is told why.
pub fn take_seat<D: Disk>(disk: D, directory: &Path, cluster: ClusterId) -> Seat {
    let taken = || {
        let new_life = getrandom::u64().map_err(|error| format!("draw a number: {error}"))?;
        let opened = VoterFile::open(disk, directory, cluster, Incarnation(new_life));
        let (file, acceptor) = opened.map_err(|error| error_text(&error))?;
        Voting::start(file, acceptor).map_err(|error| format!("start the voter's thread: {error}"))
    };
    taken().inspect_err(|reason| tracing::error!("this process has no voter: {reason}"))
}

pub struct VoterService {
    seat: Seat,
}

/// The service with the checks of the cluster's identity and secret.
#[must_use]
pub fn voter_server(
    auth: &RpcAuth,
    seat: Seat,
) -> InterceptedService<VotingServer<VoterService>, CheckRequests> {
    InterceptedService::new(VotingServer::new(VoterService { seat }), auth.server_for_people())
}

impl VoterService {
    fn voting(&self) -> Result<&Voting, Status> {
        self.seat.as_ref().map_err(|reason| refuse(&VoterError::Closed(reason.clone())))
    }
}

fn refuse(error: &VoterError) -> Status {
    let text = error.to_string();
    match error {
        VoterError::AnotherLife { .. } | VoterError::Closed(_) => Status::failed_precondition(text),
        VoterError::Disk(_) | VoterError::Hung => Status::unavailable(text),
    }
}

#[tonic::async_trait]
impl VotingCalls for VoterService {
    async fn prepare(
        &self,
        request: Request<PrepareRequest>,
    ) -> Result<Response<PrepareReply>, Status> {
        let PrepareRequest { incarnation, ballot } = request.into_inner();
        let asked = self.voting()?.prepare(Incarnation(incarnation), Ballot(ballot));
        let reply = match asked.await.map_err(|error| refuse(&error))? {
            Answer::Promised { accepted, record } => PrepareReply {
                promised: true,
                promised_ballot: ballot,
                accepted_ballot: accepted.0,
                record: record.as_ref().map(record_to_wire),
            },
            Answer::Refused { promised } => {
                PrepareReply { promised_ballot: promised.0, ..PrepareReply::default() }
            }
            Answer::Accepted | Answer::Holds { .. } => {
                return Err(Status::internal("no answer to a prepare"));
            }
        };
        Ok(Response::new(reply))
    }

    async fn accept(
        &self,
        request: Request<AcceptRequest>,
    ) -> Result<Response<AcceptReply>, Status> {
        let AcceptRequest { incarnation, ballot, record } = request.into_inner();
        let record = record.ok_or_else(|| Status::invalid_argument("record is missing"))?;
        let record = record_from_wire(record).map_err(|error| error.status())?;
        let asked = self.voting()?.accept(Incarnation(incarnation), Ballot(ballot), record);
        let reply = match asked.await.map_err(|error| refuse(&error))? {
            Answer::Accepted => AcceptReply { accepted: true, promised_ballot: ballot },
            Answer::Refused { promised } => {
                AcceptReply { accepted: false, promised_ballot: promised.0 }
            }
            Answer::Promised { .. } | Answer::Holds { .. } => {
                return Err(Status::internal("no answer to an accept"));
            }
        };
        Ok(Response::new(reply))
    }

    async fn describe(
        &self,
        _request: Request<DescribeRequest>,
    ) -> Result<Response<DescribeReply>, Status> {
        let voting = self.voting()?;
        let held = voting.held();
        Ok(Response::new(DescribeReply {
            incarnation: voting.incarnation().0,
            promised_ballot: held.promised.0,
            accepted_ballot: held.accepted.0,
            record: held.record.as_ref().map(record_to_wire),
        }))
    }
}
