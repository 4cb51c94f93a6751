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

    fn page(&self, node: &Node, path: &str) -> Result<Value, String> {
        let (_, body) = ask(self.http(node), "GET", path)?;
        serde_json::from_str(&body).map_err(|error| format!("{path}: {error}: {body}"))
    }

    fn answers(&self, node: &Node, (path, code): (&str, u16)) -> Result<(), String> {
        for method in ["GET", "OPTIONS", "HEAD"] {
            let (found, body) = ask(self.http(node), method, path)?;
            if found != code {
                let name = &node.name;
                return Err(format!("{method} {path} of {name}: {found}, wanted {code}: {body}"));
            }
        }
        Ok(())
    }

    /// Again where it is not so: who has not heard the others for a moment says that first.
    #[track_caller]
    fn eventually_answers(&self, node: &Node, expected: &[(&str, u16)]) {
        for wanted in expected {
            eventually("an answer", READY, || self.answers(node, *wanted));
        }
    }

    #[track_caller]
    fn eventually_tells(&self, node: &Node, path: &str, tells: impl Fn(&Value) -> bool) {
        eventually(path, READY, || {
            let page = self.page(node, path)?;
            if tells(&page) { Ok(()) } else { Err(format!("{path} of {}: {page}", node.name)) }
        });
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
    watched.eventually_answers(
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
    // It is not a hot standby: no session may be sent there, although it is healthy.
    watched.eventually_answers(
        &standby,
        &[
            ("/sync?lag=16MB", 200),
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
    pages_tell(&watched, &primary, &standby);
}

fn pages_tell(watched: &Watched, primary: &Node, standby: &Node) {
    let id = watched.cluster.cluster_id();
    watched.eventually_tells(primary, "/patroni", |page| {
        page["role"] == "primary"
            && page["state"] == "running"
            && page["database_system_identifier"] == id.as_str()
            && page["replication"][0]["sync_state"] == "sync"
    });
    watched.eventually_tells(standby, "/patroni", |page| {
        page["role"] == "replica" && page["sync_standby"] == true
    });
    watched.eventually_tells(primary, "/cluster", |page| {
        let members = page["members"].as_array();
        let roles: Vec<&str> = members.into_iter().flatten().filter_map(role).collect();
        roles.len() == 2 && roles.contains(&"leader") && roles.contains(&"sync_standby")
    });
    watched.eventually_tells(primary, "/history", |page| {
        page.as_array().is_some_and(|reigns| !reigns.is_empty())
    });
    eventually("the metrics of a primary", READY, || {
        let (_, metrics) = ask(watched.http(primary), "GET", "/metrics")?;
        let told = metrics.contains("\nhawq_master_open_primary_count 1\n")
            && metrics.contains("\nhawq_ha_role_info{role=\"primary\"} 1\n");
        if told { Ok(()) } else { Err(metrics) }
    });
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

    /// `psql` through the proxy, again where it is cut off: a check that is answered late ends the
    /// sessions with that server.
    #[track_caller]
    fn eventually_psql(&self, sql: &str) -> String {
        eventually(sql, READY, || {
            let said = psql(self.port, sql);
            if said.ok() { Ok(said.stdout) } else { Err(format!("{said:?}\n{}", self.log())) }
        })
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
    proxy.eventually_psql("create table if not exists through (id int)");
    let session = eventually("a session through HAProxy", READY, || {
        Session::connect(proxy.port).map_err(|failure| failure.text)
    });

    cluster.kill(&old);
    cluster.activate();
    let new = cluster.primary();
    assert_ne!(new.name, old.name);
    proxy.eventually_reaches(&new);
    assert!(session.execute("select 1").is_err(), "the old session has ended");
    let sql = "select count(*) from pg_class where relname = 'through'";
    assert_eq!(proxy.eventually_psql(sql).trim(), "1");
    proxy.eventually_psql("comment on table through is 'after'");

    // The old primary comes back as a standby: nobody is sent there.
    cluster.restart(&old.name).expect("restart");
    assert_eq!(cluster.synchronized().name, new.name);
    watched.eventually_answers(&old, &[("/primary", 503), ("/healthz", 200)]);
    proxy.eventually_reaches(&new);
    watched.eventually_tells(&new, "/history", |page| {
        let reigns = page.as_array().into_iter().flatten();
        let nodes: Vec<u64> = reigns.filter_map(|reign| reign["node"].as_u64()).collect();
        nodes.len() >= 2 && nodes.first() != nodes.last()
    });
}
