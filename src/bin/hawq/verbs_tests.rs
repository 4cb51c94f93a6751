//! Verbs against nodes that answer over real gRPC on loopback.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use aerie::proto::v1::{
    ClusterState, Member, MemberEntry, Progress, SegmentRow, StandbyStatus, StatusReply,
};
use clap::Parser;

use crate::Done;
use crate::arguments::{ActivateOptions, Arguments, StateOptions, Verb};
use crate::cluster::Cluster;
use crate::environment::Environment;
use crate::fake_control::{FakeNode, SECRET};
use crate::launch::{Daemon, Waiting};
use crate::rpc::Access;
use crate::usage::Object;
use crate::{activate, ha_pause, state, state_json};

/// A `GPHOME` with the given peers and the secret in its data directory.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    pub(crate) fn new(peers: &str, properties: &[(&str, &str)], secret: &str) -> Home {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir_all(home.path().join("etc")).unwrap();
        fs::create_dir_all(home.path().join("data")).unwrap();
        let mut site = String::from("<configuration>\n    <!-- kept -->\n");
        let data = home.path().join("data").display().to_string();
        let common = [("aerie_peers", peers), ("hawq_master_directory", data.as_str())];
        for (name, value) in common.iter().chain(properties) {
            site.push_str(&format!(
                "    <property>\n        <name>{name}</name>\n        <value>{value}</value>\n    \
                 </property>\n"
            ));
        }
        site.push_str("</configuration>\n");
        fs::write(home.path().join("etc/hawq-site.xml"), site).unwrap();
        fs::write(home.path().join("etc/slaves"), "127.0.0.1\n").unwrap();
        fs::write(home.path().join("data/cluster.secret"), format!("{secret}\n")).unwrap();
        Home(home)
    }

    pub(crate) fn environment(&self) -> Environment {
        let home = self.0.path().display().to_string();
        Environment::from(&|name| (name == "GPHOME").then(|| home.clone())).unwrap()
    }

    fn site(&self) -> String {
        fs::read_to_string(self.0.path().join("etc/hawq-site.xml")).unwrap()
    }

    fn logs(&self) -> String {
        self.0.path().join("logs").display().to_string()
    }

    /// The messages of the log files (two around midnight), with their levels.
    fn messages(&self) -> Vec<String> {
        let files = fs::read_dir(self.0.path().join("logs")).unwrap();
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        let message = |line: &str| line.split_once("-[").map(|parts| format!("[{}", parts.1));
        text.lines().filter_map(message).collect()
    }

    fn state(&self, flags: &str) -> StateOptions {
        match self.parse("state", flags) {
            Verb::State(options) => options,
            other => panic!("{other:?}"),
        }
    }

    fn activate(&self, flags: &str) -> ActivateOptions {
        match self.parse("activate", &format!("standby -a {flags}")) {
            Verb::Activate(options) => options,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) fn parse(&self, verb: &str, flags: &str) -> Verb {
        let line = format!("hawq {verb} -q -l {} {flags}", self.logs());
        Arguments::try_parse_from(line.split_whitespace()).unwrap().verb.unwrap()
    }
}

pub(crate) fn peer(node: u32, address: SocketAddr) -> String {
    format!("{node}@{}:{}:{}", address.ip(), address.port(), 1000 + node)
}

pub(crate) fn record(members: &[(u32, SocketAddr)]) -> Option<ClusterState> {
    let members = members
        .iter()
        .map(|(node, address)| MemberEntry {
            node: *node,
            host: address.ip().to_string(),
            rpc_port: u32::from(address.port()),
            pg_port: 1000 + node,
            ..MemberEntry::default()
        })
        .collect();
    Some(ClusterState { epoch: 2 << 8 | 1, primary: 1, members, ..ClusterState::default() })
}

pub(crate) fn reply(node: u32, role: &str) -> StatusReply {
    StatusReply {
        cluster_id: "c".to_owned(),
        member: Some(Member { node, incarnation: 1 }),
        role: role.to_owned(),
        open: role == "primary",
        epoch: 2 << 8 | 1,
        summary_state: "Synchronized".to_owned(),
        ..StatusReply::default()
    }
}

pub(crate) fn progress(text: &str, finished: bool, ok: bool) -> Progress {
    let level = if finished && !ok { "ERROR" } else { "INFO" };
    Progress { text: text.to_owned(), level: level.to_owned(), finished, ok, unknown: false }
}

/// Refuses connections until the process ends: bound, so that nobody else gets it, but deaf.
pub(crate) fn dead_address() -> SocketAddr {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    std::mem::forget(socket);
    address
}

#[tokio::test]
async fn state_asks_every_node_and_those_that_they_name() {
    let standby = FakeNode::saying(reply(2, "in-sync"));
    let second = standby.serve().await;
    let primary = FakeNode::saying(reply(1, "primary"));
    let first = primary.serve().await;
    {
        let mut reply = primary.reply.lock().unwrap();
        reply.record = record(&[(1, first), (2, second)]);
        reply.standbys = vec![StandbyStatus {
            member: Some(Member { node: 2, incarnation: 1 }),
            host: "smdw".to_owned(),
            state: "streaming".to_owned(),
            in_sync: true,
            ..StandbyStatus::default()
        }];
        reply.segments = vec![SegmentRow {
            registration_order: 1,
            status: "u".to_owned(),
            hostname: "sdw1".to_owned(),
            has_heard: true,
            ..SegmentRow::default()
        }];
    }
    let home = Home::new(&peer(1, first), &[], SECRET);
    let done = state::run_in(&home.environment(), &home.state("")).await.unwrap();
    assert_eq!(done, Done::Well);
    let messages = home.messages();
    let has = |text: &str| messages.iter().any(|message| message.contains(text));
    assert_eq!(messages[0], "[INFO]:-- HAWQ instance status summary");
    assert_eq!(messages[3], format!("[INFO]:-{:<51}= smdw", "-   Master standby"));
    assert!(has("Master 2 127.0.0.1:1002"), "{messages:?}");
    let quiet = state::run_in(&home.environment(), &home.state("-e")).await.unwrap();
    assert_eq!(quiet, Done::Well);
    let cluster = Cluster::ask(&home.environment()).await;
    let json = state_json::object(&cluster);
    assert_eq!(json["primary"], 1);
    assert_eq!(json["epoch"], "2.1");
    assert_eq!(json["nodes"][1]["role"], "in-sync");
    assert_eq!(json["standbys"][0]["in_sync"], true);
}

#[tokio::test]
async fn state_says_why_when_nobody_serves() {
    let standby = FakeNode::saying(reply(2, "in-sync"));
    let second = standby.serve().await;
    let first = dead_address();
    standby.reply.lock().unwrap().record = record(&[(1, first), (2, second)]);
    // Accepts connections and never answers, as a stopped process does.
    let frozen = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let third = frozen.local_addr().unwrap();
    let peers = [peer(1, first), peer(2, second), peer(3, third)].join(",");
    let home = Home::new(&peers, &[], SECRET);
    let begun = std::time::Instant::now();
    let done = state::run_in(&home.environment(), &home.state("")).await.unwrap();
    assert_eq!(done, Done::Badly);
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "{:?}", begun.elapsed());
    let messages = home.messages();
    assert_eq!(
        messages[0],
        "[ERROR]:-node 1, the primary of epoch 2.1, does not answer; bring it back, or take over \
         with \"hawq activate standby\""
    );
    let [.., first, second, third] = &messages[..] else { panic!("{messages:?}") };
    assert!(first.ends_with("= no answer: connection refused"), "{messages:?}");
    assert!(second.contains("in-sync"), "{messages:?}");
    assert!(third.contains("no answer: "), "{messages:?}");
    for part in ["Failover mode", "Order of standbys", "Primary"] {
        assert!(messages.iter().any(|message| message.contains(part)), "{part}: {messages:?}");
    }
    // Only what needs attention, and the same exit code.
    let before = messages.len();
    let done = state::run_in(&home.environment(), &home.state("-e")).await.unwrap();
    assert_eq!(done, Done::Badly);
    let attention = &home.messages()[before..];
    assert!(!attention.iter().any(|message| message.contains("Epoch")), "{attention:?}");
    assert!(attention.iter().any(|message| message.contains("none serves")), "{attention:?}");
}

/// Whoever wants to know who lives does not wait for catalogs to be read.
#[tokio::test]
async fn a_digest_is_only_what_was_asked_for_and_no_sign_of_life() {
    let of = |role| StatusReply { digest: "abc".to_owned(), ..reply(1, role) };
    let slow = FakeNode { slow: true, ..FakeNode::saying(of("in-sync")) };
    let (first, second) = (FakeNode::saying(of("primary")).serve().await, slow.serve().await);
    let home = Home::new(&format!("{},{}", peer(1, first), peer(2, second)), &[], SECRET);
    let mut cluster = Cluster::ask(&home.environment()).await;
    let digests = |cluster: &Cluster| -> Vec<Option<String>> {
        cluster.nodes.iter().map(|view| Some(view.reply()?.digest.clone())).collect()
    };
    assert_eq!(digests(&cluster), [Some(String::new()), Some(String::new())]);
    // The slow one never answers; the other one does, sooner or later.
    for bound in [500, 5_000, 50_000].map(Duration::from_millis) {
        cluster.add_digests(&home.environment().access(), bound).await;
        if digests(&cluster)[0] != Some(String::new()) {
            break;
        }
    }
    assert_eq!(digests(&cluster), [Some("abc".to_owned()), Some(String::new())]);
}

#[tokio::test]
async fn a_wrong_secret_is_named_as_such() {
    let first = FakeNode::saying(reply(1, "primary")).serve().await;
    let home = Home::new(&peer(1, first), &[], "other");
    let done = state::run_in(&home.environment(), &home.state("")).await.unwrap();
    assert_eq!(done, Done::Badly);
    let messages = home.messages();
    let told = messages.last().unwrap().contains("refused our credentials: wrong secret");
    assert!(told, "{messages:?}");
}

/// Nobody waits out the time for a node that answers and refuses.
#[tokio::test]
async fn a_wait_ends_at_once_where_the_secret_is_refused() {
    let address = FakeNode::saying(reply(1, "primary")).serve().await.to_string();
    let access = Access { cluster_id: None, secret: Some("other".to_owned()) };
    let daemon = Daemon::master(Path::new("/site"), Path::new("/data"));
    let timeout = Duration::from_secs(600);
    let waiting = Waiting { address: &address, access: &access, timeout, daemon: &daemon };
    let refused = waiting.until(&mut None, |_| true).await.unwrap_err().to_string();
    assert!(refused.contains("refused our credentials: wrong secret"), "{refused}");
}

#[tokio::test]
async fn activation_shows_progress_and_rewrites_the_site_file() {
    let standby = FakeNode {
        progress: vec![
            progress("segments have promised epoch 3.2", false, false),
            progress("standby opened at epoch 3.2", true, true),
        ],
        ..FakeNode::saying(reply(2, "in-sync"))
    };
    let second = standby.serve().await;
    let first = dead_address();
    let peers = format!("{},{}", peer(1, first), peer(2, second));
    let site = [
        ("hawq_master_address_host", "mdw"),
        ("hawq_master_address_port", "1001"),
        ("hawq_standby_address_host", "smdw"),
    ];
    let home = Home::new(&peers, &site, SECRET);
    let before = home.site();
    let options = home.activate("--force");
    let done = activate::run_in(home.environment(), &options, Object::Standby).await.unwrap();
    assert_eq!(done, Done::Well);
    let requests = standby.activations.lock().unwrap().clone();
    assert_eq!(
        requests.iter().map(|r| (r.force, r.switchover)).collect::<Vec<_>>(),
        [(true, false)]
    );
    assert_eq!(
        home.messages()[6..],
        [
            "[INFO]:-Starting to activate standby master '127.0.0.1'",
            "[INFO]:-HAWQ master is not running, skip",
            "[INFO]:-segments have promised epoch 3.2",
            "[INFO]:-standby opened at epoch 3.2",
            "[INFO]:-Update master host name in hawq-site.xml",
            "[INFO]:-GUC hawq_master_address_host already exist in hawq-site.xml",
            "[INFO]:-Update it with value: 127.0.0.1",
            "[INFO]:-GUC hawq_master_address_port already exist in hawq-site.xml",
            "[INFO]:-Update it with value: 1002",
            "[INFO]:-GUC hawq_rm_master_port does not exist in hawq-site.xml",
            &format!("[INFO]:-Try to add it with value: {}", second.port()),
            "[INFO]:-Remove current standby from hawq-site.xml",
            "[INFO]:-HAWQ activate standby successfully",
        ]
    );
    let port = second.port();
    let added = format!(
        "    <property>\n        <name>hawq_rm_master_port</name>\n        \
         <value>{port}</value>\n    </property>\n</configuration>"
    );
    let standby_property = "    <property>\n        <name>hawq_standby_address_host</name>\n\
                            \x20       <value>smdw</value>\n    </property>\n";
    let expected = before
        .replace("<value>mdw</value>", "<value>127.0.0.1</value>")
        .replace("<value>1001</value>", "<value>1002</value>")
        .replace(standby_property, "")
        .replace("</configuration>", &added);
    assert_eq!(home.site(), expected);
    assert!(Path::new(&home.0.path().join("etc/.bak.hawq-site.xml")).exists());
}

#[tokio::test]
async fn a_refused_activation_changes_nothing() {
    let standby = FakeNode {
        progress: vec![progress("the old primary answers; see --switchover", true, false)],
        ..FakeNode::saying(reply(2, "in-sync"))
    };
    let second = standby.serve().await;
    let home = Home::new(&peer(1, second), &[("hawq_standby_address_host", "smdw")], SECRET);
    let before = home.site();
    let options = home.activate("");
    let done = activate::run_in(home.environment(), &options, Object::Standby).await.unwrap();
    assert_eq!(done, Done::Badly);
    assert_eq!(
        home.messages().last().unwrap(),
        "[ERROR]:-the old primary answers; see --switchover"
    );
    assert_eq!(home.site(), before);
}

#[tokio::test]
async fn a_standby_that_dies_while_it_takes_over_is_not_a_success() {
    let standby = FakeNode {
        progress: vec![progress("asking the segments", false, false)],
        ..FakeNode::saying(reply(2, "in-sync"))
    };
    let second = standby.serve().await;
    let home = Home::new(&peer(1, second), &[("hawq_standby_address_host", "smdw")], SECRET);
    let options = home.activate("");
    let done = activate::run_in(home.environment(), &options, Object::Standby).await.unwrap();
    assert_eq!(done, Done::Badly);
    assert_eq!(
        home.messages().last().unwrap(),
        "[ERROR]:-the standby ended the connection without an outcome"
    );
}

#[tokio::test]
async fn without_a_standby_there_is_nothing_to_activate() {
    let first = dead_address();
    let home = Home::new(&peer(1, first), &[], SECRET);
    let options = home.activate("");
    let done = activate::run_in(home.environment(), &options, Object::Standby).await.unwrap();
    assert_eq!(done, Done::Badly);
    assert_eq!(
        home.messages().last().unwrap(),
        "[ERROR]:-No valid standby host name found, skip activate standby"
    );
}

#[tokio::test]
async fn a_pause_is_asked_of_a_standby_when_the_primary_is_gone() {
    let standby = FakeNode::saying(reply(2, "in-sync"));
    let second = standby.serve().await;
    let first = dead_address();
    standby.reply.lock().unwrap().record = record(&[(1, first), (2, second)]);
    let home = Home::new(&format!("{},{}", peer(1, first), peer(2, second)), &[], SECRET);
    for paused in [true, true, false] {
        let done = ha_pause::run_in(&home.environment(), paused).await.unwrap();
        assert_eq!(done, Done::Well);
        assert_eq!(Cluster::ask(&home.environment()).await.record().unwrap().paused, paused);
    }
    let home = Home::new(&peer(1, first), &[], SECRET);
    assert_eq!(ha_pause::run_in(&home.environment(), true).await.unwrap(), Done::Unknown);
}
