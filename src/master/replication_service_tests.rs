//! Transport and seeding between two servers on loopback.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;

use super::super::seed::CheckpointDir;
use super::super::seed_fetch::{Error as SeedError, Fetch, Seed, fetch, remove_partial};
use super::super::transport::{PeerAddress, Transport, connect};
use super::*;
use crate::runtime::Net;
use crate::types::{ClusterId, Epoch, Incarnation, Lsn, Member, Message, TimelineHistory};

const BOUND: Duration = Duration::from_secs(20);

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, future).await.expect("done in time")
}

async fn until(done: impl Fn() -> bool) {
    within(async {
        while !done() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

fn auth(cluster: u128) -> RpcAuth {
    RpcAuth::new(ClusterId(cluster), "s3cret").unwrap()
}

fn node(number: u8) -> NodeId {
    NodeId::new(number).unwrap()
}

fn member(number: u8) -> Member {
    Member { node: node(number), incarnation: Incarnation(u64::from(number)) }
}

fn envelope(to: u8, message: Message) -> Envelope {
    Envelope { cluster: ClusterId(1), from: member(1), to: node(to), message }
}

fn no_seeds() -> SeedSource {
    SeedSource::new(Arc::new(|_, _| Err(Status::unavailable("no checkpoint here"))))
}

/// A node's server; dropped with its task.
struct TestServer {
    address: PeerAddress,
    intake: Arc<Intake>,
    inbox: mpsc::Receiver<Envelope>,
    task: JoinHandle<()>,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(number: u8, listener: TcpListener, seeds: SeedSource) -> TestServer {
    let rpc_port = listener.local_addr().unwrap().port();
    let (intake, inbox) = Intake::open(ClusterId(1), node(number), 8);
    let service = ReplicationService::server(&auth(1), Arc::clone(&intake), seeds);
    let serving =
        server_builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener));
    let task = tokio::spawn(async move { serving.await.unwrap() });
    let address = PeerAddress { host: "127.0.0.1".to_owned(), rpc_port };
    TestServer { address, intake, inbox, task }
}

async fn serve_anywhere(number: u8, seeds: SeedSource) -> TestServer {
    serve(number, TcpListener::bind("127.0.0.1:0").await.unwrap(), seeds).await
}

fn transport(peers: &[(u8, &PeerAddress)]) -> Transport {
    let (intake, _) = Intake::open(ClusterId(1), node(1), 8);
    let transport = Transport::new(intake, auth(1), Handle::current());
    let peers: BTreeMap<_, _> =
        peers.iter().map(|(number, address)| (node(*number), (*address).clone())).collect();
    transport.set_peers(peers);
    transport
}

/// Sends until something arrives: messages may be lost while there is no connection.
async fn send_until_heard(transport: &Transport, server: &mut TestServer, to: u8) -> u64 {
    for attempt in 1.. {
        transport.send(envelope(to, Message::Inquiry { attempt }));
        let waited = tokio::time::timeout(Duration::from_millis(50), server.inbox.recv()).await;
        if let Ok(Some(Envelope { message: Message::Inquiry { attempt }, .. })) = waited {
            return attempt;
        }
        assert!(attempt < 400, "nothing arrived");
    }
    unreachable!("the loop ends by return or panic")
}

#[tokio::test]
async fn messages_arrive_in_order_at_the_node_that_they_are_for() {
    let mut second = serve_anywhere(2, no_seeds()).await;
    let mut third = serve_anywhere(3, no_seeds()).await;
    let transport = transport(&[(2, &second.address), (3, &third.address)]);
    let large = |number: u64| Message::Append {
        epoch: Epoch(257),
        from: Lsn(number),
        records: vec![number as u8; 1 << 20],
        commit_lsn: Lsn(0),
        sent_at: crate::types::Instant(number),
    };
    for number in 0..12 {
        transport.send(envelope(2, large(number)));
    }
    transport.send(envelope(3, Message::Inquiry { attempt: 5 }));
    for number in 0..12 {
        let received = within(second.inbox.recv()).await.unwrap();
        assert_eq!(received, envelope(2, large(number)));
    }
    let received = within(third.inbox.recv()).await.unwrap();
    assert_eq!(received, envelope(3, Message::Inquiry { attempt: 5 }));
    transport.send(envelope(9, Message::Inquiry { attempt: 1 }));
}

#[tokio::test]
async fn a_record_of_the_greatest_length_passes() {
    let mut second = serve_anywhere(2, no_seeds()).await;
    let transport = transport(&[(2, &second.address)]);
    let records = vec![7; 64 << 20];
    let (epoch, from, commit_lsn) = (Epoch(257), Lsn(0), Lsn(0));
    let sent_at = crate::types::Instant(0);
    transport.send(envelope(2, Message::Append { epoch, from, records, commit_lsn, sent_at }));
    let received = within(second.inbox.recv()).await.unwrap();
    assert!(
        matches!(received.message, Message::Append { records, .. } if records.len() == 64 << 20)
    );
}

#[tokio::test]
async fn a_peer_that_comes_back_is_reached_again_also_elsewhere() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut server = serve(2, listener, no_seeds()).await;
    let transport = transport(&[(2, &server.address)]);
    send_until_heard(&transport, &mut server, 2).await;
    drop(server);
    let listener = within(async {
        loop {
            match TcpListener::bind(("127.0.0.1", port)).await {
                Ok(listener) => return listener,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });
    let mut server = serve(2, listener.await, no_seeds()).await;
    within(send_until_heard(&transport, &mut server, 2)).await;
    let mut elsewhere = serve_anywhere(2, no_seeds()).await;
    transport.set_peers([(node(2), elsewhere.address.clone())].into());
    within(send_until_heard(&transport, &mut elsewhere, 2)).await;
    transport.set_peers(BTreeMap::new());
    assert_eq!(transport.peer(node(2)), None);
}

/// One that was removed is told so, although nobody connects to it any more.
#[tokio::test]
async fn a_node_that_is_no_peer_is_answered_on_its_own_stream() {
    let mut second = serve_anywhere(2, no_seeds()).await;
    let knows_nobody = Transport::new(Arc::clone(&second.intake), auth(1), Handle::current());
    let (intake, mut heard) = Intake::open(ClusterId(1), node(1), 8);
    let first = Transport::new(intake, auth(1), Handle::current());
    first.set_peers([(node(2), second.address.clone())].into());
    within(send_until_heard(&first, &mut second, 2)).await;
    let answer = envelope(1, Message::Inquiry { attempt: 7 });
    knows_nobody.send(answer.clone());
    assert_eq!(within(heard.recv()).await.unwrap(), answer);
}

async fn exchange_status(server: &TestServer, auth: &RpcAuth, message: v1::Envelope) -> Status {
    let mut client = connect(&server.address, auth).await.unwrap();
    let sent =
        futures::StreamExt::chain(futures::stream::iter([message]), futures::stream::pending());
    let refused = async { client.exchange(sent).await?.into_inner().message().await };
    within(refused).await.expect_err("refused")
}

#[tokio::test]
async fn strangers_and_stray_messages_are_refused() {
    let mut server = serve_anywhere(2, no_seeds()).await;
    let good = || v1::Envelope::from(envelope(2, Message::Inquiry { attempt: 1 }));
    let foreign = exchange_status(&server, &auth(2), good()).await;
    assert_eq!(foreign.code(), tonic::Code::PermissionDenied);
    assert!(foreign.message().contains(&ClusterId(2).to_string()), "{foreign}");
    assert!(foreign.message().contains(&ClusterId(1).to_string()), "{foreign}");
    let guess = RpcAuth::new(ClusterId(1), "guess").unwrap();
    let unknown = exchange_status(&server, &guess, good()).await;
    assert_eq!(unknown.code(), tonic::Code::Unauthenticated);
    let stray = v1::Envelope { to: 3, ..good() };
    let stray = exchange_status(&server, &auth(1), stray).await;
    assert_eq!(stray.code(), tonic::Code::FailedPrecondition);
    let empty = v1::Envelope { message: None, ..good() };
    let empty = exchange_status(&server, &auth(1), empty).await;
    assert_eq!(empty.code(), tonic::Code::InvalidArgument);
    assert!(empty.message().contains("message"), "{empty}");
    assert!(server.inbox.try_recv().is_err(), "nothing of it reached the node");
}

#[tokio::test]
async fn streams_end_when_the_node_stops() {
    let mut server = serve_anywhere(2, no_seeds()).await;
    server.inbox.close();
    while server.inbox.recv().await.is_some() {}
    let message = v1::Envelope::from(envelope(2, Message::Inquiry { attempt: 1 }));
    let ended = exchange_status(&server, &auth(1), message).await;
    assert_eq!(ended.code(), tonic::Code::Unavailable);
}

fn history() -> TimelineHistory {
    TimelineHistory::from_entries(vec![(Epoch(257), Lsn(8)), (Epoch(513), Lsn(64))]).unwrap()
}

/// Makes checkpoints under `directory`, each in a directory of its own.
fn checkpoints(directory: &Path, files: Vec<(String, Vec<u8>)>) -> (SeedSource, Arc<AtomicU32>) {
    let made = Arc::new(AtomicU32::new(0));
    let (directory, count) = (directory.to_owned(), Arc::clone(&made));
    let source = SeedSource::new(Arc::new(move |from, epoch| {
        assert_eq!((from, epoch), (member(1), Epoch(257)));
        let number = count.fetch_add(1, Ordering::SeqCst);
        let path = directory.join(format!("checkpoint{number}"));
        std::fs::create_dir(&path).unwrap();
        for (name, data) in &files {
            std::fs::write(path.join(name), data).unwrap();
        }
        Ok(CheckpointDir { path, lsn: Lsn(4096), history: history(), epoch: Epoch(513) })
    }));
    (source, made)
}

async fn fetch_into(address: &PeerAddress, data_dir: &Path) -> Result<Seed, SeedError> {
    within(fetch(Fetch {
        address,
        auth: &auth(1),
        from: member(1),
        epoch: Epoch(257),
        data_dir,
        stall_max: BOUND,
    }))
    .await
}

fn content(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_checkpoint_arrives_whole_and_replaces_an_interrupted_one() {
    let giver = tempfile::tempdir().unwrap();
    let taker = tempfile::tempdir().unwrap();
    let files: Vec<(String, Vec<u8>)> = vec![
        ("000007.sst".to_owned(), (0..1_000_000_u32).map(|n| (n % 251) as u8).collect()),
        ("CURRENT".to_owned(), b"MANIFEST-1\n".to_vec()),
        ("EMPTY".to_owned(), Vec::new()),
        ("EXACT".to_owned(), vec![3; 512 << 10]),
    ];
    let (source, _) = checkpoints(giver.path(), files.clone());
    let server = serve_anywhere(2, source).await;
    let partial = taker.path().join("seed.partial");
    std::fs::create_dir(&partial).unwrap();
    std::fs::write(partial.join("stale"), b"x").unwrap();
    let seed = fetch_into(&server.address, taker.path()).await.unwrap();
    let bytes = files.iter().map(|(_, data)| data.len() as u64).sum();
    let (lsn, epoch, history) = (Lsn(4096), Epoch(513), history());
    assert_eq!(seed, Seed { path: partial.clone(), lsn, epoch, history, files: 4, bytes });
    assert_eq!(content(&partial), files);
    until(|| std::fs::read_dir(giver.path()).unwrap().next().is_none()).await;
    remove_partial(taker.path()).await.unwrap();
    remove_partial(taker.path()).await.unwrap();
    assert!(!partial.exists());
}

#[tokio::test]
async fn refusals_say_why_and_leave_only_the_partial_directory() {
    let taker = tempfile::tempdir().unwrap();
    std::fs::write(taker.path().join("kept"), b"x").unwrap();
    let server = serve_anywhere(2, no_seeds()).await;
    let refused = fetch_into(&server.address, taker.path()).await.unwrap_err();
    assert!(refused.to_string().contains("no checkpoint here"), "{refused}");
    let nobody = PeerAddress { host: "127.0.0.1".to_owned(), rpc_port: 1 };
    let refused = fetch_into(&nobody, taker.path()).await.unwrap_err();
    assert!(matches!(refused, SeedError::Connect { .. }), "{refused}");
    assert_eq!(std::fs::read(taker.path().join("kept")).unwrap(), b"x");
    let names: Vec<PathBuf> =
        std::fs::read_dir(taker.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

/// A giver that says whatever a test wants, then ends.
struct Liar {
    chunks: Vec<v1::seed_chunk::Part>,
}

#[tonic::async_trait]
impl Replication for Liar {
    type ExchangeStream = BoxStream<'static, Result<v1::Envelope, Status>>;
    type SeedStream = ReceiverStream<Result<v1::SeedChunk, Status>>;

    async fn exchange(
        &self,
        _: Request<Streaming<v1::Envelope>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        Err(Status::unimplemented("seeds only"))
    }

    async fn seed(
        &self,
        _: Request<v1::SeedRequest>,
    ) -> Result<Response<Self::SeedStream>, Status> {
        let (sender, receiver) = mpsc::channel(self.chunks.len() + 1);
        for part in self.chunks.clone() {
            sender.try_send(Ok(v1::SeedChunk { part: Some(part) })).unwrap();
        }
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

async fn fetch_from_liar(chunks: Vec<v1::seed_chunk::Part>, data_dir: &Path) -> SeedError {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rpc_port = listener.local_addr().unwrap().port();
    let serving = server_builder()
        .add_service(ReplicationServer::new(Liar { chunks }))
        .serve_with_incoming(TcpListenerStream::new(listener));
    let task = tokio::spawn(async move { serving.await.unwrap() });
    let address = PeerAddress { host: "127.0.0.1".to_owned(), rpc_port };
    let fetched = fetch_into(&address, data_dir).await;
    task.abort();
    fetched.unwrap_err()
}

#[tokio::test]
async fn a_transfer_that_is_cut_or_changed_is_not_believed() {
    use v1::seed_chunk::Part;
    let start = || Part::Start(v1::SeedStart { epoch: 257, lsn: 8, history: Vec::new() });
    let file = |name: &str, last| {
        Part::File(v1::SeedFile { name: name.to_owned(), data: b"data".to_vec(), last })
    };
    let end = |files, crc32c| Part::End(v1::SeedEnd { files, crc32c });
    let crc = crc32c::crc32c(b"data");
    let rows = [
        (vec![start(), file("a", true)], "before its last piece"),
        (vec![start(), file("a", true), end(2, crc)], "1 files came, 2 were sent"),
        (vec![start(), file("a", true), end(1, crc ^ 1)], "checksum"),
        (vec![start(), file("a", false), end(1, crc)], "inside file a"),
        (vec![start(), file("a", false), file("b", true)], "begins inside a"),
        (vec![start(), file("../a", true)], "file name"),
        (vec![start(), file("", true)], "file name"),
        (vec![start(), start()], "starts twice"),
        (vec![file("a", true)], "before the start"),
        (vec![end(0, 0)], "before it starts"),
    ];
    let taker = tempfile::tempdir().unwrap();
    for (chunks, why) in rows {
        let error = fetch_from_liar(chunks, taker.path()).await;
        assert!(matches!(error, SeedError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}: {why}");
    }
    let twice = vec![start(), file("a", true), file("a", true)];
    assert!(matches!(fetch_from_liar(twice, taker.path()).await, SeedError::Io { .. }));
}

#[tokio::test]
async fn only_so_many_checkpoints_are_given_at_once() {
    let giver = tempfile::tempdir().unwrap();
    let large = vec![("large".to_owned(), vec![1; 8 << 20])];
    let (source, made) = checkpoints(giver.path(), large);
    let request = || v1::SeedRequest { from: Some(member(1).into()), epoch: 257 };
    let first = source.start(request()).unwrap();
    let second = source.start(request()).unwrap();
    let refused = source.start(request()).expect_err("a third is refused");
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    drop((first, second));
    until(|| source.start(request()).is_ok()).await;
    // The first two may not even have begun when their place is free again.
    until(|| made.load(Ordering::SeqCst) == 3).await;
}
