//! A node for tests: it answers the control service with what it was told to say.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aerie::proto::v1::control_server::{Control, ControlServer};
use aerie::proto::v1::{
    ActivateRequest, AdmitRequest, ChangeVotersRequest, DigestReply, DigestRequest, DisableRequest,
    EnableRequest, ForceOpenRequest, HistoryReply, HistoryRequest, ListVotersReply,
    ListVotersRequest, Mode, Outcome, PauseRequest, Progress, ReachCoordinatorRequest, ReignEntry,
    RejoinRequest, ReleaseRequest, RemoveRequest, ReportEndRequest, ReseedRequest, StatusReply,
    StatusRequest, StopRequest,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request, Response, Status};

pub const SECRET: &str = "hush";

#[derive(Debug, Clone, Default)]
pub struct FakeNode {
    pub reply: Arc<Mutex<StatusReply>>,
    pub progress: Vec<Progress>,
    pub reigns: Vec<ReignEntry>,
    pub activations: Arc<Mutex<Vec<ActivateRequest>>>,
    /// What a takeover, or a release, that is asked for makes of this node, and of others.
    pub becomes: Vec<(Arc<Mutex<StatusReply>>, StatusReply)>,
    pub releases: Arc<Mutex<Vec<u32>>>,
    pub pauses: Arc<Mutex<Vec<bool>>>,
    /// What it says to a pause instead of carrying it out.
    pub pausing: Pausing,
    pub voters: ListVotersReply,
    /// Its catalog is too large for a digest in time.
    pub slow: bool,
}

#[derive(Debug, Clone, Default)]
pub enum Pausing {
    #[default]
    Done,
    Says(Outcome),
    Hangs,
}

impl FakeNode {
    pub fn saying(reply: StatusReply) -> FakeNode {
        FakeNode { reply: Arc::new(Mutex::new(reply)), ..FakeNode::default() }
    }

    fn become_so(&self) {
        for (node, reply) in &self.becomes {
            *node.lock().unwrap() = reply.clone();
        }
    }

    /// Serves until the test ends.
    pub async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = ControlServer::with_interceptor(self.clone(), check);
        tokio::spawn(
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpListenerStream::new(listener)),
        );
        address
    }
}

fn check(request: Request<()>) -> Result<Request<()>, Status> {
    match request.metadata().get("hawq-secret") {
        Some(secret) if secret == SECRET => Ok(request),
        _ => Err(Status::unauthenticated("wrong secret")),
    }
}

fn done() -> Result<Response<Outcome>, Status> {
    Ok(Response::new(Outcome { ok: true, ..Outcome::default() }))
}

#[tonic::async_trait]
impl Control for FakeNode {
    async fn status(
        &self,
        request: Request<StatusRequest>,
    ) -> Result<Response<StatusReply>, Status> {
        let reply = self.reply.lock().unwrap().clone();
        match (request.get_ref().digest, self.slow) {
            (true, true) => std::future::pending().await,
            (true, false) => Ok(Response::new(reply)),
            (false, _) => Ok(Response::new(StatusReply { digest: String::new(), ..reply })),
        }
    }

    type ActivateStream = ReceiverStream<Result<Progress, Status>>;

    async fn activate(
        &self,
        request: Request<ActivateRequest>,
    ) -> Result<Response<Self::ActivateStream>, Status> {
        self.activations.lock().unwrap().push(*request.get_ref());
        self.become_so();
        let (sender, receiver) = mpsc::channel(self.progress.len().max(1));
        for progress in &self.progress {
            sender.send(Ok(progress.clone())).await.unwrap();
        }
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn admit(&self, _: Request<AdmitRequest>) -> Result<Response<Outcome>, Status> {
        done()
    }

    async fn remove(&self, _: Request<RemoveRequest>) -> Result<Response<Outcome>, Status> {
        done()
    }

    async fn stop(&self, _: Request<StopRequest>) -> Result<Response<Outcome>, Status> {
        done()
    }

    async fn force_open(&self, _: Request<ForceOpenRequest>) -> Result<Response<Outcome>, Status> {
        done()
    }

    async fn enable(&self, request: Request<EnableRequest>) -> Result<Response<Outcome>, Status> {
        let mut reply = self.reply.lock().unwrap();
        reply.record.get_or_insert_default().mode = request.get_ref().mode;
        done()
    }

    async fn reach_coordinator(
        &self,
        _: Request<ReachCoordinatorRequest>,
    ) -> Result<Response<Outcome>, Status> {
        done()
    }

    async fn disable(&self, _: Request<DisableRequest>) -> Result<Response<Outcome>, Status> {
        let mut reply = self.reply.lock().unwrap();
        reply.record.get_or_insert_default().mode = Mode::Manual.into();
        done()
    }

    async fn list_voters(
        &self,
        _: Request<ListVotersRequest>,
    ) -> Result<Response<ListVotersReply>, Status> {
        Ok(Response::new(self.voters.clone()))
    }

    async fn change_voters(
        &self,
        _: Request<ChangeVotersRequest>,
    ) -> Result<Response<Outcome>, Status> {
        done()
    }

    async fn release(&self, request: Request<ReleaseRequest>) -> Result<Response<Outcome>, Status> {
        self.releases.lock().unwrap().push(request.get_ref().to);
        self.become_so();
        done()
    }

    async fn history(&self, _: Request<HistoryRequest>) -> Result<Response<HistoryReply>, Status> {
        Ok(Response::new(HistoryReply { reigns: self.reigns.clone() }))
    }

    async fn pause(&self, request: Request<PauseRequest>) -> Result<Response<Outcome>, Status> {
        self.pauses.lock().unwrap().push(request.get_ref().paused);
        match &self.pausing {
            Pausing::Done => {}
            Pausing::Says(outcome) => return Ok(Response::new(outcome.clone())),
            Pausing::Hangs => std::future::pending().await,
        }
        let mut reply = self.reply.lock().unwrap();
        let record = reply.record.get_or_insert_default();
        record.paused = request.get_ref().paused;
        done()
    }

    async fn digest(&self, _: Request<DigestRequest>) -> Result<Response<DigestReply>, Status> {
        Ok(Response::new(DigestReply::default()))
    }

    async fn rejoin(&self, _: Request<RejoinRequest>) -> Result<Response<Outcome>, Status> {
        done()
    }

    async fn report_end(&self, _: Request<ReportEndRequest>) -> Result<Response<Outcome>, Status> {
        done()
    }

    async fn reseed(&self, _: Request<ReseedRequest>) -> Result<Response<Outcome>, Status> {
        done()
    }
}
