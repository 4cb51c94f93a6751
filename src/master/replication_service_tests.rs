//! The transport between two servers on loopback.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;

use super::super::transport::{PeerAddress, Transport, connect};
use super::*;
use crate::runtime::Net;
use crate::types::{ClusterId, Epoch, Incarnation, Lsn, Member, Message};

pub(crate) const BOUND: Duration = Duration::from_secs(60);

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(BOUND, future).await.expect("done in time")
}

pub(crate) async fn until(done: impl Fn() -> bool) {
    within(async {
        while !done() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

pub(crate) fn auth(cluster: u128) -> RpcAuth {
    RpcAuth::new(ClusterId(cluster), "s3cret").unwrap()
}

pub(crate) fn node(number: u8) -> NodeId {
    NodeId::new(number).unwrap()
}

pub(crate) fn member(number: u8) -> Member {
    Member { node: node(number), incarnation: Incarnation(u64::from(number)) }
}

fn envelope(to: u8, message: Message) -> Envelope {
    Envelope { cluster: ClusterId(1), from: member(1), to: node(to), message }
}

pub(crate) fn no_seeds() -> SeedSource {
    SeedSource::new(Arc::new(|_, _| Err(Status::unavailable("no checkpoint here"))))
}

/// A node's server; dropped with its task.
pub(crate) struct TestServer {
    pub(crate) address: PeerAddress,
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

pub(crate) async fn serve_anywhere(number: u8, seeds: SeedSource) -> TestServer {
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

/// What was under way when a connection ended is lost; whoever needs it sends again.
async fn send_until_received(
    transport: &Transport,
    message: &Envelope,
    inbox: &mut mpsc::Receiver<Envelope>,
) -> Envelope {
    within(async {
        loop {
            transport.send(message.clone());
            if let Ok(received) = tokio::time::timeout(BOUND / 6, inbox.recv()).await {
                return received.expect("the node has not stopped");
            }
        }
    })
    .await
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
    let longest = envelope(2, Message::Append { epoch, from, records, commit_lsn, sent_at });
    let received = send_until_received(&transport, &longest, &mut second.inbox).await;
    assert!(received == longest, "it arrived as it was sent");
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
    assert_eq!(send_until_received(&knows_nobody, &answer, &mut heard).await, answer);
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
