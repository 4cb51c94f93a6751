//! What proxies and Kubernetes see of a node over HTTP, and a real HAProxy that goes by it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::{Cluster, Node, READY, Shape};
use crate::machine::{free_port, psql};
use crate::session::Session;
use crate::wait::{eventually, seconds};

/// Masters with `ha_http_port`, each its own: by the port of SQL.
struct Watched {
    cluster: Cluster,
    ports: Vec<(u16, u16)>,
}

impl Watched {
    fn start() -> Watched {
        let cluster = Cluster::start(Shape { standbys: 1, segments: 1 });
        cluster.stop().expect("stop").expect("stop");
        let mut ports = Vec::new();
        for master in cluster.masters() {
            let http = free_port();
            cluster.configure(&master, &[("ha_http_port", &http.to_string())]);
            ports.push((master.pg_port, http));
        }
        cluster.demo().expect("hawq demo");
        Watched { cluster, ports }
    }

    fn http(&self, node: &Node) -> u16 {
        let port = self.ports.iter().find(|(pg_port, _)| *pg_port == node.pg_port);
        port.expect("a master").1
    }

    fn status(&self, node: &Node, path: &str) -> u16 {
        ask(self.http(node), "GET", path).expect("an answer").0
    }

    fn page(&self, node: &Node, path: &str) -> Value {
        let (_, body) = ask(self.http(node), "GET", path).expect("an answer");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    #[track_caller]
    fn expect(&self, node: &Node, expected: &[(&str, u16)]) {
        for (path, code) in expected {
            for method in ["GET", "OPTIONS", "HEAD"] {
                let (found, body) = ask(self.http(node), method, path).expect("an answer");
                assert_eq!(found, *code, "{method} {path} of {}: {body}", node.name);
            }
        }
    }
}

/// Status code and body.
fn ask(port: u16, method: &str, path: &str) -> Result<(u16, String), String> {
    let asked = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(seconds(10)))?;
        let request = format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = asked().map_err(|error| error.to_string())?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| answer.clone())?;
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    code.map(|code| (code, body.to_owned())).ok_or_else(|| answer.clone())
}

#[test]
fn every_node_tells_proxies_what_it_is() {
    let watched = Watched::start();
    let primary = watched.cluster.synchronized();
    let standby = watched.cluster.other_masters(&primary).remove(0);
    watched.expect(
        &primary,
        &[
            ("/", 200),
            ("/primary", 200),
            ("/read-write", 200),
            ("/read-only", 200),
            ("/standby", 503),
            ("/sync", 503),
            ("/async", 503),
            ("/healthz", 200),
            ("/readyz", 200),
            ("/readiness", 200),
            ("/nothing", 404),
        ],
    );
    eventually("a standby that knows that it is in sync", READY, || {
        let code = watched.status(&standby, "/sync?lag=16MB");
        if code == 200 { Ok(()) } else { Err(watched.page(&standby, "/patroni").to_string()) }
    });
    // It is not a hot standby: no session may be sent there, although it is healthy.
    watched.expect(
        &standby,
        &[
            ("/primary", 503),
            ("/standby", 200),
            ("/async", 503),
            ("/replica", 503),
            ("/read-only", 503),
            ("/healthz", 200),
            ("/readyz", 503),
            ("/readiness", 200),
            ("/sync?lag=lots", 400),
        ],
    );
    let page = watched.page(&primary, "/patroni");
    assert_eq!((&page["role"], &page["state"]), (&"primary".into(), &"running".into()), "{page}");
    assert_eq!(page["database_system_identifier"], watched.cluster.cluster_id().as_str());
    assert_eq!(page["replication"][0]["sync_state"], "sync", "{page}");
    let page = watched.page(&standby, "/patroni");
    assert_eq!((&page["role"], &page["sync_standby"]), (&"replica".into(), &true.into()), "{page}");
    let members = watched.page(&primary, "/cluster")["members"].clone();
    let roles: Vec<&str> = members.as_array().into_iter().flatten().filter_map(role).collect();
    assert_eq!(roles.len(), 2, "{members}");
    assert!(roles.contains(&"leader") && roles.contains(&"sync_standby"), "{members}");
    assert!(!watched.page(&primary, "/history").as_array().expect("reigns").is_empty());
    let (_, metrics) = ask(watched.http(&primary), "GET", "/metrics").expect("metrics");
    assert!(metrics.contains("\nhawq_master_open_primary_count 1\n"), "{metrics}");
    assert!(metrics.contains("\nhawq_ha_role_info{role=\"primary\"} 1\n"), "{metrics}");
}

fn role(member: &Value) -> Option<&str> {
    member["role"].as_str()
}

/// A real HAProxy with the configuration of `docs/health.md`, on a port of its own.
struct Proxy {
    child: Child,
    port: u16,
    folder: TempDir,
    /// Ports of SQL: the first is that of `node1`.
    servers: Vec<u16>,
}

impl Proxy {
    fn start(servers: &[(u16, u16)]) -> Proxy {
        let folder = tempfile::tempdir().expect("directory");
        let port = free_port();
        let socket = folder.path().join("stats");
        let mut text = format!(
            "global\n    stats socket {}\n    stats timeout 10s\n\
             defaults\n    mode tcp\n    timeout connect 1s\n    timeout client 1m\n    \
             timeout server 1m\n    timeout check 2s\n\
             listen primary\n    bind 127.0.0.1:{port}\n    option httpchk OPTIONS /primary\n    \
             http-check expect status 200\n    \
             default-server inter 200ms fall 1 rise 1 on-marked-down shutdown-sessions\n",
            socket.display()
        );
        for (number, (pg, http)) in (1..).zip(servers) {
            text.push_str(&format!("    server node{number} 127.0.0.1:{pg} check port {http}\n"));
        }
        let file = folder.path().join("haproxy.cfg");
        fs::write(&file, text).expect("haproxy.cfg");
        let log = fs::File::create(folder.path().join("log")).expect("log");
        let mut command = Command::new("haproxy");
        command.args(["-db", "-f"]).arg(&file).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("log")).stderr(log);
        let child = command.spawn().expect("haproxy; run .ci/setup, or apt-get install haproxy");
        let servers = servers.iter().map(|(pg_port, _)| *pg_port).collect();
        Proxy { child, port, folder, servers }
    }

    /// What HAProxy takes each master for, by its port: `UP` or `DOWN`. Before the first check of
    /// all it takes every server for `UP`, so nothing is told until each has been checked.
    fn takes_for(&self) -> Result<BTreeMap<u16, String>, String> {
        let asked = || -> std::io::Result<String> {
            let mut stream = UnixStream::connect(self.folder.path().join("stats"))?;
            stream.set_read_timeout(Some(seconds(10)))?;
            stream.write_all(b"show stat\n")?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = asked().map_err(|error| error.to_string())?;
        let mut lines = answer.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let names = lines.next().unwrap_or_default();
        let rows: Vec<Vec<&str>> = lines.collect();
        let field = |row: &Vec<&str>, name| {
            let column = names.iter().position(|it| it.trim_start_matches("# ") == name)?;
            row.get(column).map(|text| (*text).to_owned())
        };
        let state = |(number, port): (usize, &u16)| {
            let name = format!("node{number}");
            let row = rows.iter().find(|row| field(row, "svname").as_ref() == Some(&name))?;
            // The star: a check is under way, besides the one that the rest is about.
            let checked = field(row, "check_status")?;
            (checked.trim_start_matches("* ") != "INI").then_some(())?;
            Some((*port, field(row, "status")?))
        };
        let states: Option<_> = (1..).zip(&self.servers).map(state).collect();
        states.ok_or(answer)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Which master a session through the proxy reaches, by its port.
    fn reaches(&self) -> Result<u16, String> {
        let session = Session::connect(self.port).map_err(|failure| failure.text)?;
        let port = session.value("select current_setting('port')");
        let port = port.map_err(|failure| failure.text)?;
        port.parse().map_err(|_| format!("port {port}"))
    }

    /// Waits until HAProxy has found out that this master is the primary, and no other.
    #[track_caller]
    fn eventually_reaches(&self, node: &Node) {
        let wanted = |port: &u16| if *port == node.pg_port { "UP" } else { "DOWN" };
        eventually("the primary behind HAProxy", READY, || {
            let states = self.takes_for().map_err(|error| format!("{error}\n{}", self.log()))?;
            if !states.iter().all(|(port, state)| state == wanted(port)) {
                return Err(format!("{states:?}, wanted {}\n{}", node.pg_port, self.log()));
            }
            match self.reaches() {
                Ok(port) if port == node.pg_port => Ok(()),
                other => Err(format!("{other:?}, wanted {}\n{}", node.pg_port, self.log())),
            }
        });
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn haproxy_sends_clients_to_the_primary_before_and_after_a_failover() {
    let watched = Watched::start();
    let cluster = &watched.cluster;
    let old = cluster.synchronized();
    let proxy = Proxy::start(&watched.ports);
    proxy.eventually_reaches(&old);
    psql(proxy.port, "create table through (id int)").expect("create through HAProxy");
    let session = Session::connect(proxy.port).expect("session");

    cluster.kill(&old);
    cluster.hawq(&["activate", "standby", "-a"]).expect("activate");
    let new = cluster.primary();
    assert_ne!(new.name, old.name);
    proxy.eventually_reaches(&new);
    assert!(session.execute("select 1").is_err(), "the old session has ended");
    let found = psql(proxy.port, "select count(*) from pg_class where relname = 'through'");
    assert_eq!(found.expect("the table").trim(), "1");
    psql(proxy.port, "comment on table through is 'after'").expect("a write through HAProxy");

    // The old primary comes back as a standby: nobody is sent there.
    cluster.restart(&old.name).expect("restart");
    assert_eq!(cluster.synchronized().name, new.name);
    watched.expect(&old, &[("/primary", 503), ("/healthz", 200)]);
    proxy.eventually_reaches(&new);
    let reigns = watched.page(&new, "/history");
    let nodes: Vec<u64> = reigns
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|reign| reign["node"].as_u64())
        .collect();
    assert!(nodes.len() >= 2 && nodes.first() != nodes.last(), "{reigns}");
}
