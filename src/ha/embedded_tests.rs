//! The embedded coordinator over voters in this process, on a network that loses, delays and
//! repeats; and over gRPC.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_stream::wrappers::TcpListenerStream;

use super::{Description, EmbeddedCoordinator, Voters};
use crate::ha::conformance::{self, after, conforms, create, read, swap};
use crate::ha::register::{Acceptor, Answer, Ballot};
use crate::ha::{
    Authority, Coordinator, ReadOutcome, RecordStore, RpcVoters, SwapOutcome, VoterFile, Voting,
    voter_server,
};
use crate::proto::test_record;
use crate::runtime::{RpcAuth, SimDisk};
use crate::types::{ClusterId, ClusterState, Incarnation, Mode, NodeId, Voter};

const CLUSTER: ClusterId = ClusterId(7);
const TIMEOUT: Duration = Duration::from_millis(100);
/// Of an attempt that is sure of its answer, however long the machine stands still.
const PATIENT: Duration = Duration::from_secs(30);

/// What a node's control file knows.
struct Known(Option<ClusterState>);

impl RecordStore for Known {
    fn current(&self) -> Option<ClusterState> {
        self.0.clone()
    }

    async fn replace(&self, _: &ClusterState, _: &ClusterState) -> io::Result<bool> {
        Err(io::Error::other("not the register's"))
    }
}

#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    /// Percent of messages that are lost, and as many that come late or twice.
    bad: u64,
}

/// Voters behind a network of chance.
struct Village {
    acceptors: Mutex<BTreeMap<Incarnation, Acceptor<ClusterState>>>,
    down: Mutex<BTreeSet<Incarnation>>,
    weather: Mutex<Weather>,
    chance: Mutex<u64>,
}

impl Village {
    fn new(size: u64, seed: u64) -> Arc<Village> {
        let acceptors = (1..=size).map(|voter| (Incarnation(voter), Acceptor::default()));
        Arc::new(Village {
            acceptors: Mutex::new(acceptors.collect()),
            down: Mutex::default(),
            weather: Mutex::default(),
            chance: Mutex::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
        })
    }

    fn below(&self, bound: u64) -> u64 {
        let mut chance = self.chance.lock().unwrap();
        *chance ^= *chance >> 12;
        *chance ^= *chance << 25;
        *chance ^= *chance >> 27;
        chance.wrapping_mul(0x2545_F491_4F6C_DD1D) % bound
    }

    fn happens(&self) -> bool {
        let bad = self.weather.lock().unwrap().bad;
        self.below(100) < bad
    }

    /// On its way; now and then a long one.
    async fn wait_on_the_road(&self) {
        let most = if self.happens() { 150_000 } else { 1_000 };
        tokio::time::sleep(Duration::from_micros(self.below(most))).await;
    }

    async fn ask(
        self: &Arc<Self>,
        to: Incarnation,
        question: impl Fn(&mut Acceptor<ClusterState>) -> Answer<ClusterState> + Send + 'static,
    ) -> Result<Answer<ClusterState>, String> {
        let village = Arc::clone(self);
        let delivered = tokio::spawn(async move {
            village.wait_on_the_road().await;
            let lost = village.happens() || village.down.lock().unwrap().contains(&to);
            let answer = {
                let mut acceptors = village.acceptors.lock().unwrap();
                let acceptor = acceptors.get_mut(&to).filter(|_| !lost)?;
                let answer = question(acceptor);
                if village.happens() {
                    let _repeated = question(acceptor);
                }
                answer
            };
            village.wait_on_the_road().await;
            (!village.happens()).then_some(answer)
        });
        // Whoever asks gives up; the question arrives all the same.
        let answer = tokio::time::timeout(TIMEOUT, delivered).await;
        answer.ok().and_then(Result::ok).flatten().ok_or_else(|| "no answer".to_owned())
    }
}

/// A handle of one node on the village.
struct Roads(Arc<Village>);

impl Voters for Roads {
    async fn look(&self, to: Voter) -> Result<Answer<ClusterState>, String> {
        self.0.ask(to.incarnation, |acceptor| acceptor.look()).await
    }

    async fn prepare(&self, to: Voter, ballot: Ballot) -> Result<Answer<ClusterState>, String> {
        self.0.ask(to.incarnation, move |acceptor| acceptor.prepare(ballot)).await
    }

    async fn accept(
        &self,
        to: Voter,
        ballot: Ballot,
        record: ClusterState,
    ) -> Result<Answer<ClusterState>, String> {
        self.0.ask(to.incarnation, move |acceptor| acceptor.accept(ballot, record.clone())).await
    }

    async fn describe(&self, _: String, rpc_port: u16) -> Result<Description, String> {
        let incarnation = Incarnation(u64::from(rpc_port));
        let acceptors = self.0.acceptors.lock().unwrap();
        let acceptor = acceptors.get(&incarnation).ok_or("nobody lives there")?;
        let Acceptor { promised, accepted, record } = acceptor.clone();
        Ok(Description { incarnation, promised, accepted, record })
    }
}

fn voters(lives: impl IntoIterator<Item = u64>) -> BTreeSet<Voter> {
    let voter = |life: u64| Voter {
        name: format!("m{life}"),
        incarnation: Incarnation(life),
        host: format!("mdw{life}"),
        rpc_port: life as u16,
    };
    lives.into_iter().map(voter).collect()
}

fn first(size: u64) -> ClusterState {
    let voters = voters(1..=size);
    ClusterState { voters, next_voters: None, mode: Mode::Embedded, ..test_record() }
}

fn coordinator(
    village: &Arc<Village>,
    number: u8,
    known: &ClusterState,
) -> EmbeddedCoordinator<Known, Roads> {
    coordinator_within(TIMEOUT, village, number, known)
}

fn coordinator_within(
    timeout: Duration,
    village: &Arc<Village>,
    number: u8,
    known: &ClusterState,
) -> EmbeddedCoordinator<Known, Roads> {
    let (node, known) = (NodeId::new(number).unwrap(), Arc::new(Known(Some(known.clone()))));
    let roads = Arc::new(Roads(Arc::clone(village)));
    EmbeddedCoordinator::new((CLUSTER, node), known, roads, timeout)
}

/// Why there is no answer to a read: every attempt has to end without one.
async fn refusal(coordinator: &impl Coordinator) -> String {
    match coordinator.read(Authority::Rules).await {
        ReadOutcome::Unavailable { reason } => reason,
        outcome => panic!("{outcome:?}"),
    }
}

/// An attempt may run out of time before it has heard what it would tell; each is bounded.
async fn eventually_says(ask: impl AsyncFn() -> String, parts: &[&str]) {
    let says = async {
        loop {
            let text = ask().await;
            if parts.iter().all(|part| text.contains(part)) {
                return;
            }
        }
    };
    tokio::time::timeout(2 * PATIENT, says).await.expect("every attempt is bounded, and one says");
}

#[tokio::test]
async fn the_register_conforms_in_any_weather() {
    let worlds = [(3, 0), (5, 0), (3, 3), (5, 6), (3, 6)];
    let all = worlds.into_iter().zip(1..).map(|((size, bad), seed)| async move {
        let village = Village::new(size, seed);
        let first = first(size);
        village.weather.lock().unwrap().bad = bad;
        let three = [1, 2, 3].map(|number| coordinator(&village, number, &first));
        conforms(&three, &first).await
    });
    futures::future::join_all(all).await;
}

#[tokio::test]
async fn the_record_of_another_cluster_is_refused() {
    let village = Village::new(3, 1);
    let first = first(3);
    assert_eq!(create(&coordinator(&village, 1, &first), &first).await, SwapOutcome::Done);
    let theirs = ClusterId(8);
    let known = Arc::new(Known(Some(ClusterState { cluster_id: theirs, ..first.clone() })));
    let node = NodeId::new(2).unwrap();
    let roads = Arc::new(Roads(Arc::clone(&village)));
    let foreign = EmbeddedCoordinator::new((theirs, node), known, roads, PATIENT);
    conformance::a_foreign_record_is_refused_by_name(&foreign, &first, theirs).await;
}

#[tokio::test]
async fn a_minority_of_voters_is_not_missed_and_a_majority_is_named() {
    let village = Village::new(3, 1);
    let first = first(3);
    let mine = coordinator(&village, 1, &first);
    assert_eq!(create(&mine, &first).await, SwapOutcome::Done);
    village.down.lock().unwrap().insert(Incarnation(3));
    let next = after(&first, 1);
    assert_eq!(swap(&mine, &next).await, SwapOutcome::Done);
    village.down.lock().unwrap().insert(Incarnation(2));
    let last = after(&next, 2);
    let swapped = async || match mine.compare_and_swap(Authority::Rules, last.clone()).await {
        SwapOutcome::Unknown { reason } => reason,
        outcome => panic!("swapped without a majority: {outcome:?}"),
    };
    eventually_says(swapped, &["1 of 3 voters answered", "m2 (mdw2:2): no answer"]).await;
    eventually_says(async || refusal(&mine).await, &["m3 (mdw3:3)"]).await;
    village.down.lock().unwrap().remove(&Incarnation(2));
    assert_eq!(swap(&mine, &last).await, SwapOutcome::Done);
}

#[tokio::test]
async fn voters_change_by_two_swaps_and_who_was_away_finds_the_new_ones() {
    let village = Village::new(4, 1);
    let first = first(3);
    let (mine, away) = (coordinator(&village, 1, &first), coordinator(&village, 2, &first));
    assert_eq!(create(&mine, &first).await, SwapOutcome::Done);
    let next_voters = Some(voters([1, 2, 4]));
    let at_once = ClusterState { voters: voters([1, 2, 4]), ..after(&first, 1) };
    let outcome = swap(&mine, &at_once).await;
    assert!(matches!(outcome, SwapOutcome::Failed { .. }), "{outcome:?}");
    let both = ClusterState { next_voters, ..after(&first, 2) };
    assert_eq!(swap(&mine, &both).await, SwapOutcome::Done);
    let alone = ClusterState { voters: voters([1, 2, 4]), next_voters: None, ..after(&both, 3) };
    assert_eq!(swap(&mine, &alone).await, SwapOutcome::Done);
    village.down.lock().unwrap().extend([Incarnation(3), Incarnation(1)]);
    assert_eq!(read(&mine).await, alone);
    village.down.lock().unwrap().remove(&Incarnation(1));
    village.down.lock().unwrap().insert(Incarnation(4));
    assert_eq!(read(&away).await, alone, "the old voters know of the new");
}

#[tokio::test]
async fn an_empty_register_is_not_read_and_not_swapped() {
    let village = Village::new(3, 1);
    let first = first(3);
    let mine = coordinator_within(PATIENT, &village, 1, &first);
    assert_eq!(mine.read(Authority::Rules).await, ReadOutcome::Empty);
    let outcome = mine.compare_and_swap(Authority::Rules, after(&first, 1)).await;
    assert!(matches!(outcome, SwapOutcome::Unknown { .. }), "{outcome:?}");
}

/// A voter on a disk of its own, served over gRPC.
async fn serve(auth: &RpcAuth, life: u64) -> (Voter, Voting) {
    let opened =
        VoterFile::open(SimDisk::new(life), Path::new("/data"), CLUSTER, Incarnation(life));
    let (file, acceptor) = opened.unwrap();
    let voting = Voting::start(file, acceptor).unwrap();
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let rpc_port = listener.local_addr().unwrap().port();
    let server = tonic::transport::Server::builder()
        .add_service(voter_server(auth, Ok(voting.clone())))
        .serve_with_incoming(TcpListenerStream::new(listener));
    tokio::spawn(server);
    let (name, host) = (format!("m{life}"), "127.0.0.1".to_owned());
    (Voter { name, incarnation: Incarnation(life), host, rpc_port }, voting)
}

#[tokio::test(flavor = "multi_thread")]
async fn it_conforms_over_grpc_and_knows_a_voter_that_lost_its_file() {
    let auth = RpcAuth::new(CLUSTER, "secret").unwrap();
    let mut lives = Vec::new();
    for life in [11, 12, 13] {
        lives.push(serve(&auth, life).await);
    }
    let voters: BTreeSet<Voter> = lives.iter().map(|(voter, _)| voter.clone()).collect();
    let first = ClusterState { voters, ..first(3) };
    let bound = Duration::from_secs(5);
    let of = |number: u8, known: &ClusterState| {
        let own = Ok(lives[usize::from(number) - 1].1.clone());
        let rpc = Arc::new(RpcVoters::new(auth.clone(), own, bound));
        let node = NodeId::new(number).unwrap();
        let known = Arc::new(Known(Some(known.clone())));
        EmbeddedCoordinator::new((CLUSTER, node), known, rpc, bound)
    };
    let current = conforms(&[of(1, &first), of(2, &first), of(3, &first)], &first).await;

    let (elsewhere, _) = serve(&auth, 99).await;
    let lost = |voter: &Voter| Voter { rpc_port: elsewhere.rpc_port, ..voter.clone() };
    let lost = ClusterState { voters: current.voters.iter().map(lost).collect(), ..current };
    let short = Duration::from_millis(500);
    let rpc = Arc::new(RpcVoters::new(auth.clone(), Err("none here".to_owned()), short));
    let node = NodeId::new(4).unwrap();
    let fourth = EmbeddedCoordinator::new((CLUSTER, node), Arc::new(Known(Some(lost))), rpc, short);
    eventually_says(async || refusal(&fourth).await, &["its file was lost"]).await;
}
