//! Verbs of `hawq ha` against nodes that answer over real gRPC on loopback.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aerie::proto::v1::{ActivateRequest, Mode, Outcome, ReignEntry, StandbyStatus, StatusReply};

use crate::Done;
use crate::cluster::Cluster;
use crate::environment::Environment;
use crate::fake_control::{FakeNode, Pausing, SECRET};
use crate::ha_failover::FailoverOptions;
use crate::ha_hdfs::{ActiveOptions, Force, HdfsFailover};
use crate::ha_switchover::{Switched, switch_over};
use crate::state_detail;
use crate::verbs_tests::{Home, dead_address, peer, progress, record, reply};
use crate::{ha_drill, ha_failover, ha_hdfs, ha_history, ha_pause};

/// A primary and a standby that know of each other; the standby takes over when asked.
struct Pair {
    primary: FakeNode,
    standby: FakeNode,
    first: SocketAddr,
    second: SocketAddr,
    home: Home,
}

fn opened(node: u32, gap_us: Option<u64>) -> StatusReply {
    let reign = ReignEntry { node, gap_us, ..ReignEntry::default() };
    StatusReply { epoch: 3 << 8 | 2, reign: Some(reign), ..reply(node, "primary") }
}

async fn pair(last: (&str, bool)) -> Pair {
    let primary = FakeNode::saying(reply(1, "primary"));
    let status: Arc<Mutex<StatusReply>> = Arc::new(Mutex::new(reply(2, "in-sync")));
    let mut becomes = Vec::new();
    if last.1 {
        becomes.push((Arc::clone(&status), opened(2, Some(12_345))));
        becomes.push((Arc::clone(&primary.reply), reply(1, "in-sync")));
    }
    let standby = FakeNode {
        reply: Arc::clone(&status),
        progress: vec![progress(last.0, true, last.1)],
        becomes,
        ..FakeNode::default()
    };
    let (first, second) = (primary.serve().await, standby.serve().await);
    let mut known = record(&[(1, first), (2, second)]);
    if let Some(record) = &mut known {
        record.in_sync = vec![member(1), member(2)];
        record.members.iter_mut().for_each(|entry| entry.priority = 1);
    }
    primary.reply.lock().unwrap().record = known.clone();
    standby.reply.lock().unwrap().record = known;
    let home = Home::new(&format!("{},{}", peer(1, first), peer(2, second)), &[], SECRET);
    Pair { primary, standby, first, second, home }
}

fn member(node: u32) -> aerie::proto::v1::Member {
    aerie::proto::v1::Member { node, incarnation: 1 }
}

impl Pair {
    fn environment(&self) -> Environment {
        self.home.environment()
    }

    /// The same cluster, with its primary gone.
    async fn without_primary(&self) -> Home {
        let gone = dead_address();
        if let Some(record) = &mut self.standby.reply.lock().unwrap().record {
            record.members[0].rpc_port = u32::from(gone.port());
        }
        Home::new(&format!("{},{}", peer(1, gone), peer(2, self.second)), &[], SECRET)
    }

    fn asked(&self) -> Vec<ActivateRequest> {
        self.standby.activations.lock().unwrap().clone()
    }
}

fn options(allow_data_loss: bool) -> FailoverOptions {
    FailoverOptions { to: None, no_prompt: true, allow_data_loss }
}

#[tokio::test]
async fn a_switchover_asks_the_first_in_order_and_tells_the_gap() {
    let pair = pair(("primary at epoch 3.2", true)).await;
    let switched = switch_over(&pair.environment(), None).await;
    assert_eq!(switched, Ok(Switched::To { node: 2, from: 1, gap_us: Some(12_345) }));
    assert!(pair.asked().iter().all(|asked| asked.switchover && !asked.allow_data_loss));
    // Typed again it is done already.
    let again = switch_over(&pair.environment(), Some("node2")).await;
    assert_eq!(again, Ok(Switched::Already { node: 2 }));
    assert_eq!(pair.asked().len(), 1);
}

#[tokio::test]
async fn a_switchover_is_refused_by_rule_before_anything_is_asked() {
    let pair = pair(("", true)).await;
    let reason = "rule 6: it is not in the recorded in-sync set".to_owned();
    pair.standby.reply.lock().unwrap().cannot_stand = vec![reason];
    let refused = switch_over(&pair.environment(), None).await.unwrap_err();
    assert_eq!(
        refused.text(),
        "node 2 cannot take over: rule 6: it is not in the recorded in-sync set"
    );
    let refused = switch_over(&pair.environment(), Some("7")).await.unwrap_err();
    assert_eq!(refused.text(), "there is no node \"7\"; there are 1, 2");
    let home = pair.without_primary().await;
    let refused = switch_over(&home.environment(), None).await.unwrap_err();
    let text = refused.text();
    assert!(text.starts_with("no primary hands over: node 1, the primary of"), "{text}");
    assert!(pair.asked().is_empty());
}

#[tokio::test]
async fn a_switchover_whose_answer_is_lost_is_looked_up() {
    let mut pair = pair(("primary at epoch 3.2", true)).await;
    // The stream ends without an outcome, and the node is primary all the same.
    pair.standby.progress = vec![progress("asking the primary", false, false)];
    pair.second = pair.standby.serve().await;
    let peers = format!("{},{}", peer(1, pair.first), peer(2, pair.second));
    let home = Home::new(&peers, &[], SECRET);
    let switched = switch_over(&home.environment(), None).await;
    assert_eq!(switched, Ok(Switched::To { node: 2, from: 1, gap_us: Some(12_345) }));
}

#[tokio::test]
async fn a_failover_is_refused_while_the_primary_answers() {
    let pair = pair(("", true)).await;
    let done = ha_failover::run_in(&pair.environment(), &options(true)).await.unwrap();
    assert_eq!(done, Done::Badly);
    assert!(pair.asked().is_empty());
}

#[tokio::test]
async fn a_failover_that_could_lose_rows_needs_to_be_told_so() {
    let pair = pair(("primary at epoch 3.2", true)).await;
    let home = pair.without_primary().await;
    {
        let mut standby = pair.standby.reply.lock().unwrap();
        standby.cannot_stand = vec!["rule 6: it is not in the recorded in-sync set".to_owned()];
    }
    let done = ha_failover::run_in(&home.environment(), &options(false)).await.unwrap();
    assert_eq!((done, pair.asked().len()), (Done::Badly, 0));
    let done = ha_failover::run_in(&home.environment(), &options(true)).await.unwrap();
    assert_eq!((done, pair.asked().len()), (Done::Well, 1));
    assert!(pair.asked()[0].allow_data_loss);
}

/// This host's own standby is behind, and another one is not.
#[tokio::test]
async fn a_failover_does_not_lose_what_another_standby_has() {
    let pair = pair(("primary at epoch 3.2", true)).await;
    let behind = FakeNode::saying(reply(3, "catching-up"));
    let third = behind.serve().await;
    let record = pair.standby.reply.lock().unwrap().record.clone();
    {
        let mut behind = behind.reply.lock().unwrap();
        behind.cannot_stand = vec!["rule 6: it is not in the recorded in-sync set".to_owned()];
        (behind.record, behind.flush_lsn) = (record, 1 << 20);
    }
    let gone = dead_address();
    let peers = [peer(3, third), peer(1, gone), peer(2, pair.second)].join(",");
    let home = Home::new(&peers, &[("aerie_node", "3")], SECRET);
    let environment = home.environment();
    assert_eq!(environment.master.node.get(), 3);
    let named = FailoverOptions { to: Some("3".to_owned()), ..options(true) };
    let done = ha_failover::run_in(&environment, &named).await.unwrap();
    assert_eq!((done, behind.activations.lock().unwrap().len()), (Done::Badly, 0));
    let done = ha_failover::run_in(&environment, &options(true)).await.unwrap();
    assert_eq!((done, pair.asked().len()), (Done::Well, 1));
    assert!(behind.activations.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_drill_is_refused_while_something_needs_attention() {
    let pair = pair(("", true)).await;
    pair.primary.reply.lock().unwrap().commits_wait = "a standby is slow".to_owned();
    assert_eq!(ha_drill::run_in(&pair.environment()).await.unwrap(), Done::Badly);
    assert!(pair.asked().is_empty());
}

#[tokio::test]
async fn half_a_drill_has_changed_something() {
    let mut pair = pair(("primary at epoch 3.2", true)).await;
    pair.primary.progress = vec![progress("this standby is being seeded", true, false)];
    let back = StandbyStatus { member: Some(member(1)), in_sync: true, ..StandbyStatus::default() };
    pair.standby.becomes[0].1.standbys.push(back);
    let peers =
        [peer(1, pair.primary.serve().await), peer(2, pair.standby.serve().await)].join(",");
    let home = Home::new(&peers, &[], SECRET);
    assert_eq!(ha_drill::run_in(&home.environment()).await.unwrap(), Done::Unknown);
    let asked = [&pair.standby, &pair.primary].map(|node| node.activations.lock().unwrap().len());
    assert_eq!(asked, [1, 1], "there, and not back");
}

#[tokio::test]
async fn hdfs_verbs_say_and_do_what_hdfs_scripts_expect() {
    let pair = pair(("primary at epoch 3.2", true)).await;
    let environment = &pair.environment();
    let cluster = Cluster::ask(environment).await;
    let states: Vec<&str> = cluster.nodes.iter().map(ha_hdfs::state_of).collect();
    assert_eq!(states, ["active", "standby"]);
    assert_eq!(ha_hdfs::get_service_state(environment, "1").await.unwrap(), Done::Well);
    assert_eq!(ha_hdfs::get_service_state(environment, "9").await.unwrap(), Done::Code(255));
    assert_eq!(ha_hdfs::check_health(environment, "2").await.unwrap(), Done::Well);
    let active = ActiveOptions { node: "2".to_owned(), force: Force::default() };
    let refused = ha_hdfs::transition_to_active(environment, &active).await.unwrap();
    assert_eq!(refused, Done::Code(255), "node 1 is active");
    assert_eq!(ha_hdfs::transition_to_standby(environment, "2").await.unwrap(), Done::Well);
    assert!(pair.primary.releases.lock().unwrap().is_empty(), "it is standby already");
    let failover = |from: &str, to: &str| HdfsFailover {
        from: from.to_owned(),
        to: to.to_owned(),
        force: Force::default(),
    };
    for _ in 0..2 {
        let done = ha_hdfs::failover(environment, &failover("1", "2")).await.unwrap();
        assert_eq!(done, Done::Well);
    }
    assert_eq!(pair.asked().len(), 1, "the second time it was so already");
    pair.primary.reply.lock().unwrap().cannot_stand = vec!["rule 13: being seeded".to_owned()];
    assert_eq!(ha_hdfs::check_health(environment, "1").await.unwrap(), Done::Code(255));
}

#[tokio::test]
async fn a_reign_is_handed_back_only_where_somebody_takes_it() {
    let mut pair = pair(("", true)).await;
    let both = [&pair.primary, &pair.standby].map(|node| Arc::clone(&node.reply));
    let automatic = |paused| {
        for reply in &both {
            let mut reply = reply.lock().unwrap();
            let record = reply.record.as_mut().unwrap();
            (record.mode, record.paused) = (Mode::Embedded.into(), paused);
        }
    };
    let [first, second] = [Arc::clone(&both[0]), Arc::clone(&both[1])];
    let handed_back = async |pair: &Pair| {
        let peers = [peer(1, pair.primary.serve().await), peer(2, pair.second)].join(",");
        let home = Home::new(&peers, &[], SECRET);
        let done = ha_hdfs::transition_to_standby(&home.environment(), "1").await.unwrap();
        (done, pair.primary.releases.lock().unwrap().len())
    };
    assert_eq!(handed_back(&pair).await, (Done::Code(255), 0), "manual mode");
    automatic(true);
    assert_eq!(handed_back(&pair).await, (Done::Code(255), 0), "paused");
    automatic(false);
    let again = StatusReply { epoch: 3 << 8 | 1, ..first.lock().unwrap().clone() };
    pair.primary.becomes = vec![(Arc::clone(&first), again)];
    assert_eq!(handed_back(&pair).await, (Done::Code(255), 1), "it is primary again");
    pair.primary.becomes = vec![(first, reply(1, "in-sync")), (second, opened(2, Some(7)))];
    assert_eq!(handed_back(&pair).await, (Done::Well, 2));
}

#[tokio::test]
async fn an_hdfs_verb_loses_rows_only_when_told_to() {
    let pair = pair(("primary at epoch 3.2", true)).await;
    let home = pair.without_primary().await;
    pair.standby.reply.lock().unwrap().cannot_stand = vec!["rule 6: not in the set".to_owned()];
    let environment = &home.environment();
    let active = |force| ActiveOptions { node: "2".to_owned(), force };
    let refused = ha_hdfs::transition_to_active(environment, &active(Force::default())).await;
    assert_eq!((refused.unwrap(), pair.asked().len()), (Done::Code(255), 0));
    let (from, to) = ("1".to_owned(), "2".to_owned());
    let failover = HdfsFailover { from, to, force: Force::default() };
    let refused = ha_hdfs::failover(environment, &failover).await.unwrap();
    assert_eq!((refused, pair.asked().len()), (Done::Code(255), 0));
    let force = Force { forceactive: true, no_prompt: true };
    let done = ha_hdfs::transition_to_active(environment, &active(force)).await.unwrap();
    assert_eq!((done, pair.asked().len()), (Done::Well, 1));
    assert!(pair.asked()[0].allow_data_loss);
}

#[tokio::test]
async fn the_history_comes_from_whoever_knows_the_newest_reign() {
    let reign = |epoch: u64| ReignEntry { epoch, ..ReignEntry::default() };
    let known = |epochs: &[u64]| FakeNode {
        reigns: epochs.iter().map(|epoch| reign(*epoch)).collect(),
        ..FakeNode::saying(reply(2, "in-sync"))
    };
    let (first, second) = (known(&[257]).serve().await, known(&[257, 514]).serve().await);
    let home = Home::new(&format!("{},{}", peer(1, first), peer(2, second)), &[], SECRET);
    let cluster = Cluster::ask(&home.environment()).await;
    let reigns = ha_history::fetch(&cluster, &home.environment().access()).await.unwrap();
    assert_eq!(reigns.iter().map(|reign| reign.epoch).collect::<Vec<_>>(), [257, 514]);
}

#[tokio::test]
async fn two_claims_to_one_epoch_are_an_alarm_that_names_both() {
    let pair = pair(("", true)).await;
    let cluster = Cluster::ask(&pair.environment()).await;
    assert!(state_detail::alarms(&cluster).is_empty());
    *pair.standby.reply.lock().unwrap() = reply(2, "primary");
    let cluster = Cluster::ask(&pair.environment()).await;
    let expected = "node 1 and node 2 both claim epoch 2.1; stop one of them at once";
    assert_eq!(state_detail::alarms(&cluster), [expected]);
    pair.primary.reply.lock().unwrap().alarm = "two claims to epoch 2.1: …".to_owned();
    let cluster = Cluster::ask(&pair.environment()).await;
    assert_eq!(state_detail::alarms(&cluster).len(), 2);
}

/// A primary and a standby, of which the first says this to a pause, and how often each was asked.
async fn paused_by(first: FakeNode, patience: Duration) -> (Done, [usize; 2]) {
    let second = FakeNode::saying(reply(2, "in-sync"));
    let addresses = (first.serve().await, second.serve().await);
    let peers = format!("{},{}", peer(1, addresses.0), peer(2, addresses.1));
    let home = Home::new(&peers, &[], SECRET);
    let done = ha_pause::run_within(patience, &home.environment(), true).await;
    (done, [&first, &second].map(|node| node.pauses.lock().unwrap().len()))
}

#[tokio::test]
async fn a_pause_ends_with_a_refusal_or_with_the_first_unknown_outcome() {
    let long = Duration::from_secs(60);
    let node = |role: &str, pausing| FakeNode { pausing, ..FakeNode::saying(reply(1, role)) };
    let says = |unknown| {
        Pausing::Says(Outcome { unknown, text: "so it is".to_owned(), ..Outcome::default() })
    };
    let refused = paused_by(node("primary", says(false)), long).await;
    assert_eq!(refused, (Done::Badly, [1, 0]), "what the primary refuses is refused");
    let unknown = paused_by(node("primary", says(true)), long).await;
    assert_eq!(unknown, (Done::Unknown, [1, 0]));
    let unknown = paused_by(node("in-sync", says(true)), long).await;
    assert_eq!(unknown, (Done::Unknown, [1, 0]));
    let busy = paused_by(node("taking-over", says(false)), long).await;
    assert_eq!(busy, (Done::Well, [1, 1]), "another node can do it");
    // With little patience it may not have come to asking.
    let mut late = (Done::Unknown, [0, 0]);
    for patience in [1, 5, 25].map(Duration::from_secs) {
        if late.1 == [0, 0] {
            late = paused_by(node("primary", Pausing::Hangs), patience).await;
        }
    }
    assert_eq!(late, (Done::Unknown, [1, 0]));
}
