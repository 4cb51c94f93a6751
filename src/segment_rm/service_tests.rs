//! The agent against masters that are only a registry, over loopback.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::Server;

use crate::fts::Prober;
use crate::proto::test_record;
use crate::runtime::RpcAuth;
use crate::types::{
    ClusterId, ClusterState, Epoch, Heartbeat, Incarnation, Member, NodeId, ProbeOutcome,
};

use super::{
    CallError, FenceFile, FencingClient, MasterAddress, PostgresAddress, RegistryReply,
    RunningAgent, ServiceSettings, Stop, registry_server, start,
};

/// Nothing here takes longer, however busy the machine is.
const DEADLINE: Duration = Duration::from_secs(20);

const CLUSTER: ClusterId = ClusterId(7);

fn auth() -> RpcAuth {
    RpcAuth::new(CLUSTER, "secret").unwrap()
}

fn epoch(counter: u64, node: u8) -> Epoch {
    Epoch::new(counter, NodeId::new(node).unwrap())
}

fn member(node: u8) -> Member {
    Member { node: NodeId::new(node).unwrap(), incarnation: Incarnation(1) }
}

/// A record whose members are nowhere, so that no test speaks to strangers.
fn record(epoch: Epoch, version: u64) -> ClusterState {
    ClusterState { epoch, version, members: Default::default(), ..test_record() }
}

/// A master that hears heartbeats and nothing else.
struct Master {
    address: MasterAddress,
    heard: mpsc::UnboundedReceiver<(Heartbeat, String)>,
    reply: Arc<Mutex<RegistryReply>>,
    server: JoinHandle<()>,
}

impl Master {
    async fn start() -> Master {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let rpc_port = listener.local_addr().unwrap().port();
        let reply = RegistryReply {
            epoch: Epoch::ZERO,
            reigning: false,
            record: None,
            heartbeat_interval: Duration::ZERO,
        };
        let reply = Arc::new(Mutex::new(reply));
        let (sender, heard) = mpsc::unbounded_channel();
        let says = Arc::clone(&reply);
        let service = registry_server(&auth(), move |heartbeat, peer| {
            let _gone = sender.send((heartbeat, peer));
            says.lock().unwrap().clone()
        });
        let incoming = TcpListenerStream::new(listener);
        let server = Server::builder().add_service(service).serve_with_incoming(incoming);
        let server = tokio::spawn(async move { server.await.unwrap() });
        let address = MasterAddress { host: "127.0.0.1".to_owned(), rpc_port };
        Master { address, heard, reply, server }
    }

    /// The first heartbeat that is as wanted.
    async fn hear(&mut self, wanted: impl Fn(&Heartbeat) -> bool) -> (Heartbeat, String) {
        let search = async {
            loop {
                let heard = self.heard.recv().await.expect("the registry runs");
                if wanted(&heard.0) {
                    return heard;
                }
            }
        };
        tokio::time::timeout(DEADLINE, search).await.expect("such a heartbeat comes in time")
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn settings(masters: &[&Master], directories: &[PathBuf]) -> ServiceSettings {
    ServiceSettings {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        auth: auth(),
        hostname: "sdw1".to_owned(),
        addresses: Vec::new(),
        port: 40_000,
        memory_mb: 1_024,
        cores: 2,
        heartbeat_interval: Duration::from_millis(100),
        directory_interval: Duration::from_millis(100),
        temporary_directories: directories.to_vec(),
        postgres: None,
        masters: masters.iter().map(|master| master.address.clone()).collect(),
        jitter_seed: 3,
        voter: Err("not in this test".to_owned()),
    }
}

async fn start_in(directory: &Path, settings: ServiceSettings) -> RunningAgent {
    let (file, fence) = FenceFile::open(directory, CLUSTER, 0xabc).unwrap();
    start(settings, file, fence).await.unwrap()
}

fn client() -> FencingClient {
    FencingClient::new(auth(), DEADLINE)
}

#[tokio::test]
async fn every_master_hears_who_the_segment_is() {
    let (mut first, mut second) = (Master::start().await, Master::start().await);
    let directory = tempfile::tempdir().unwrap();
    let agent = start_in(directory.path(), settings(&[&first, &second], &[])).await;
    for master in [&mut first, &mut second] {
        let (heartbeat, peer) = master.hear(|_| true).await;
        assert_eq!(peer, "127.0.0.1");
        assert_eq!(heartbeat.hostname, "sdw1");
        assert_eq!((heartbeat.segment, heartbeat.port), (0xabc, 40_000));
        assert_eq!(heartbeat.rpc_port, agent.rpc_port());
        assert_eq!((heartbeat.memory_mb, heartbeat.cores), (1_024, 2));
    }
    agent.stop().await;
}

#[tokio::test]
async fn an_agent_that_is_started_again_is_the_same_segment_with_another_start() {
    let mut master = Master::start().await;
    let directory = tempfile::tempdir().unwrap();
    let agent = start_in(directory.path(), settings(&[&master], &[])).await;
    let (before, _) = master.hear(|_| true).await;
    agent.stop().await;
    let agent = start_in(directory.path(), settings(&[&master], &[])).await;
    let (after, _) = master.hear(|heard| heard.started_at != before.started_at).await;
    assert_eq!(after.segment, before.segment);
    assert!(after.started_at > before.started_at);
    agent.stop().await;
}

#[tokio::test]
async fn a_temporary_directory_that_fails_is_in_the_heartbeat_until_it_is_well() {
    let mut master = Master::start().await;
    let directory = tempfile::tempdir().unwrap();
    let temporary = directory.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let settings = settings(&[&master], std::slice::from_ref(&temporary));
    let agent = start_in(directory.path(), settings).await;
    master.hear(|heard| heard.failed_directories.is_empty()).await;
    // The agent may be making its test file there just now.
    let removed = async {
        while fs::remove_dir_all(&temporary).is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, removed).await.expect("it can be removed");
    fs::write(&temporary, "a file").unwrap();
    let name = temporary.display().to_string();
    master.hear(|heard| heard.failed_directories == [name.clone()]).await;
    fs::remove_file(&temporary).unwrap();
    fs::create_dir(&temporary).unwrap();
    master.hear(|heard| heard.failed_directories.is_empty()).await;
    agent.stop().await;
}

#[tokio::test]
async fn promises_survive_a_restart_and_lower_epochs_are_refused() {
    let master = Master::start().await;
    let directory = tempfile::tempdir().unwrap();
    let agent = start_in(directory.path(), settings(&[&master], &[])).await;
    let (host, port) = ("127.0.0.1", agent.rpc_port());
    let old = epoch(5, 1);
    let stored = client().store_sync_state(host, port, old, &record(old, 3)).await.unwrap();
    assert!(stored.accepted);
    let promised = client().promise(host, port, epoch(6, 2), member(2)).await.unwrap();
    assert!(promised.accepted);
    assert_eq!(promised.record.map(|record| record.version), Some(3), "the witness testifies");
    agent.stop().await;

    let agent = start_in(directory.path(), settings(&[&master], &[])).await;
    let port = agent.rpc_port();
    let late = client().store_sync_state(host, port, old, &record(old, 4)).await.unwrap();
    assert!(!late.accepted);
    assert_eq!((late.followed, late.promised), (old, epoch(6, 2)));
    assert_eq!(late.record.map(|record| record.version), Some(3));
    assert!(!client().follow(host, port, old, None).await.unwrap().accepted);
    assert!(!client().promise(host, port, epoch(5, 9), member(9)).await.unwrap().accepted);
    let new = client().follow(host, port, epoch(6, 2), None).await.unwrap();
    assert!(new.accepted);
    assert_eq!(new.followed, epoch(6, 2));
    agent.stop().await;
}

#[tokio::test]
async fn a_promise_that_cannot_be_written_is_not_given() {
    let master = Master::start().await;
    let directory = tempfile::tempdir().unwrap();
    let agent = start_in(directory.path(), settings(&[&master], &[])).await;
    // The new file cannot be made where there is a directory.
    let blocked = directory.path().join("fence.json.new");
    fs::create_dir(&blocked).unwrap();
    let (host, port) = ("127.0.0.1", agent.rpc_port());
    let error = client().promise(host, port, epoch(6, 2), member(2)).await.unwrap_err();
    assert!(matches!(error, CallError::Status { .. }), "{error}");
    fs::remove_dir(&blocked).unwrap();
    assert!(client().promise(host, port, epoch(6, 2), member(2)).await.unwrap().accepted);
    agent.stop().await;
    let (_, fence) = FenceFile::open(directory.path(), CLUSTER, 1).unwrap();
    assert_eq!(fence.promised, epoch(6, 2));
}

#[tokio::test]
async fn the_reign_is_followed_from_heartbeats_and_new_masters_are_found() {
    let mut first = Master::start().await;
    let mut second = Master::start().await;
    let directory = tempfile::tempdir().unwrap();
    let mut entry = test_record().members.into_values().next().unwrap();
    entry.host = "127.0.0.1".to_owned();
    entry.rpc_port = second.address.rpc_port;
    let members = [(NodeId::new(2).unwrap(), entry)].into_iter().collect();
    let reign = ClusterState { members, ..record(epoch(6, 2), 1) };
    {
        let mut reply = first.reply.lock().unwrap();
        (reply.epoch, reply.reigning, reply.record) = (epoch(6, 2), true, Some(reign));
    }
    let agent = start_in(directory.path(), settings(&[&first], &[])).await;
    first.hear(|heard| heard.followed == epoch(6, 2)).await;
    second.hear(|heard| heard.followed == epoch(6, 2)).await;
    agent.stop().await;
    let (_, fence) = FenceFile::open(directory.path(), CLUSTER, 1).unwrap();
    assert_eq!(fence.followed, epoch(6, 2));
}

#[tokio::test]
async fn a_probe_tells_alive_from_dead_postgresql_from_no_agent() {
    let master = Master::start().await;
    let directory = tempfile::tempdir().unwrap();
    let agent = start_in(directory.path(), settings(&[&master], &[])).await;
    let prober = Prober::new(auth(), DEADLINE);
    let result = prober.probe("127.0.0.1", agent.rpc_port(), Epoch::ZERO).await;
    assert_eq!(result.outcome, ProbeOutcome::Alive, "{}", result.reason);
    let port = agent.rpc_port();
    agent.stop().await;
    let result = prober.probe("127.0.0.1", port, Epoch::ZERO).await;
    assert_eq!(result.outcome, ProbeOutcome::CommunicationError, "{}", result.reason);

    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead_port = unused.local_addr().unwrap().port();
    drop(unused);
    let postgres = Some(PostgresAddress { host: "127.0.0.1".to_owned(), port: dead_port });
    let settings = ServiceSettings { postgres, ..settings(&[&master], &[]) };
    let agent = start_in(directory.path(), settings).await;
    let result = prober.probe("127.0.0.1", agent.rpc_port(), Epoch::ZERO).await;
    assert_eq!(result.outcome, ProbeOutcome::Failed, "{}", result.reason);
    assert!(result.reason.contains(&dead_port.to_string()), "{}", result.reason);
    agent.stop().await;
}

#[tokio::test]
async fn a_silent_agent_is_given_up_within_the_deadline() {
    // Accepts connections and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let deadline = Duration::from_millis(200);
    let result = Prober::new(auth(), deadline).probe("127.0.0.1", port, Epoch::ZERO).await;
    assert_eq!(result.outcome, ProbeOutcome::CommunicationError);
    let called = FencingClient::new(auth(), deadline)
        .follow("127.0.0.1", port, epoch(1, 1), None)
        .await
        .unwrap_err();
    assert!(matches!(called, CallError::Deadline { .. }), "{called}");
}

#[tokio::test]
async fn strangers_are_refused_in_both_directions() {
    let mut master = Master::start().await;
    let directory = tempfile::tempdir().unwrap();
    let stranger = RpcAuth::new(ClusterId(8), "secret").unwrap();
    let foreign = ServiceSettings { auth: stranger.clone(), ..settings(&[&master], &[]) };
    let (file, fence) = FenceFile::open(directory.path(), CLUSTER, 0xabc).unwrap();
    let agent = start(foreign, file, fence).await.unwrap();
    let error =
        client().follow("127.0.0.1", agent.rpc_port(), epoch(1, 1), None).await.unwrap_err();
    let text = error.to_string();
    assert!(text.contains(&CLUSTER.to_string()), "{text}");
    assert!(text.contains(&ClusterId(8).to_string()), "{text}");
    let own = FencingClient::new(stranger, DEADLINE);
    let answer = own.follow("127.0.0.1", agent.rpc_port(), epoch(1, 1), None).await.unwrap();
    assert!(answer.accepted);
    agent.stop().await;
    assert!(master.heard.try_recv().is_err(), "the master heard nothing of it");
}

#[tokio::test]
async fn stop_agent_ends_it() {
    let master = Master::start().await;
    let directory = tempfile::tempdir().unwrap();
    let agent = start_in(directory.path(), settings(&[&master], &[])).await;
    client().stop_agent("127.0.0.1", agent.rpc_port(), Epoch::ZERO).await.unwrap();
    let ending = tokio::time::timeout(DEADLINE, agent.ending()).await.expect("it ends");
    assert_eq!(ending, Stop::Asked);
    agent.stop().await;
}

#[tokio::test]
async fn a_directory_name_that_no_description_could_hold_is_refused() {
    let master = Master::start().await;
    let directory = tempfile::tempdir().unwrap();
    let (file, fence) = FenceFile::open(directory.path(), CLUSTER, 0xabc).unwrap();
    let settings = settings(&[&master], &[PathBuf::from("/a,/b")]);
    let error = start(settings, file, fence).await.unwrap_err();
    assert!(error.to_string().contains("/a,/b"), "{error}");
}
