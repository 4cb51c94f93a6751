//! A cluster over several hosts, each in a network namespace of its own, made with the `hawq`
//! command as an operator makes one: masters first, then segments, and one host for clients.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::cluster::{IN_SYNC, PATIENT, READY};
use crate::ensemble::Ensemble;
use crate::fabric::Fabric;
use crate::machine::{HAWQ, clean, end_all_of};
use crate::run::{Outcome, run};
use crate::session::{Failure, Session};
use crate::traces::processes_of;
use crate::wait::{eventually, seconds};

const PG_PORT: u16 = 5432;
const RPC_PORT: u16 = 5437;

pub struct Hosts {
    folder: TempDir,
    pub fabric: Fabric,
    pub masters: u8,
    pub segments: u8,
}

impl Hosts {
    /// Masters are hosts 1 to `masters`, segments the next, the client is the last.
    pub fn start(masters: u8, segments: u8, settings: &[(&str, &str)]) -> Option<Hosts> {
        let hosts = Hosts::bare(masters, segments, settings)?;
        hosts.make();
        Some(hosts)
    }

    /// Hosts with settings and nothing else.
    pub fn bare(masters: u8, segments: u8, settings: &[(&str, &str)]) -> Option<Hosts> {
        let fabric = Fabric::new(masters + segments + 1)?;
        Some(Hosts::over(fabric, (masters, segments), settings))
    }

    /// With ZooKeeper on three more hosts, which come after the client's; failing over by itself.
    pub fn with_zookeeper(
        masters: u8,
        segments: u8,
        settings: &[(&str, &str)],
    ) -> Option<(Hosts, Ensemble)> {
        let others = masters + segments + 1;
        let fabric = Fabric::new(others + 3)?;
        let ensemble = Ensemble::on((1..=3).map(|n| Arc::clone(fabric.host(others + n))).collect());
        let quorum = ensemble.quorum();
        let mut settings = settings.to_vec();
        settings.push(("ha_zookeeper_quorum", &quorum));
        let hosts = Hosts::over(fabric, (masters, segments), &settings);
        hosts.make();
        hosts.enable("zookeeper");
        Some((hosts, ensemble))
    }

    fn over(fabric: Fabric, (masters, segments): (u8, u8), settings: &[(&str, &str)]) -> Hosts {
        let folder = tempfile::Builder::new().prefix("aerie-hosts").tempdir().expect("directory");
        let hosts = Hosts { folder, fabric, masters, segments };
        for host in 1..=masters + segments {
            hosts.write_site(host, settings);
        }
        hosts
    }

    /// The cluster on them.
    pub fn make(&self) {
        let (hosts, masters, segments) = (self, self.masters, self.segments);
        let secret_copy = self.folder.path().join("cluster.secret");
        hosts.hawq(1, &["init", "master", "-a"]).expect("init master");
        hosts.admit_clients(1);
        let secret = hosts.data_dir(1).join("cluster.secret");
        let text = hosts.fabric.host(1).run(|| fs::read_to_string(&secret)).expect("the secret");
        fs::write(&secret_copy, text).expect("the secret");
        fs::set_permissions(&secret_copy, fs::Permissions::from_mode(0o600)).expect("its mode");
        let secret = secret_copy.display().to_string();
        for host in 2..=masters {
            let arguments = ["init", "standby", "-a", "--secret-file", &secret];
            hosts.hawq(host, &arguments).expect("init standby");
            hosts.admit_clients(host);
        }
        for host in masters + 1..=masters + segments {
            fs::create_dir_all(hosts.home(host).join("tmp")).expect("directory");
            let arguments = ["init", "segment", "-a", "--secret-file", &secret];
            hosts.hawq(host, &arguments).expect("init segment");
        }
    }

    /// The same, failing over by itself.
    pub fn automatic(masters: u8, segments: u8, settings: &[(&str, &str)]) -> Option<Hosts> {
        let hosts = Hosts::start(masters, segments, settings)?;
        hosts.enable("embedded");
        Some(hosts)
    }

    pub fn enable(&self, coordinator: &str) {
        eventually("automatic failover", READY, || {
            let outcome = self.hawq(1, &["ha", "enable", "--coordinator", coordinator]);
            if outcome.ok() { Ok(()) } else { Err(format!("{outcome:#?}")) }
        });
        self.synchronized();
    }

    pub fn client(&self) -> u8 {
        self.masters + self.segments + 1
    }

    pub fn home(&self, host: u8) -> PathBuf {
        self.folder.path().join(format!("host{host}"))
    }

    pub fn data_dir(&self, host: u8) -> PathBuf {
        self.home(host).join("data")
    }

    fn address(&self, host: u8) -> String {
        self.fabric.host(host).address.to_string()
    }

    fn write_site(&self, host: u8, settings: &[(&str, &str)]) {
        let etc = self.home(host).join("etc");
        fs::create_dir_all(&etc).expect("directory");
        let peer = |n| format!("{n}@{}:{RPC_PORT}:{PG_PORT}", self.address(n));
        let peers: Vec<String> = (1..=self.masters).map(peer).collect();
        let data_dir = self.data_dir(host).display().to_string();
        let own = self.address(host);
        let mut lines = vec![
            ("hawq_master_address_host", self.address(host.min(self.masters))),
            ("aerie_peers", peers.join(",")),
            ("listen_addresses", "*".to_owned()),
            ("unix_socket_directory", String::new()),
            ("hawq_rm_segment_heartbeat_interval", "1s".to_owned()),
            ("hawq_rm_segment_heartbeat_timeout", "10s".to_owned()),
            ("ha_max_failovers_per_hour", "1000".to_owned()),
        ];
        lines.extend(PATIENT.map(|(name, value)| (name, value.to_owned())));
        if host <= self.masters {
            lines.push(("aerie_node", host.to_string()));
            lines.push(("hawq_master_directory", data_dir));
            lines.push(("hawq_standby_address_host", self.address(self.masters)));
        } else {
            lines.push(("aerie_secret_file", format!("{data_dir}/cluster.secret")));
            lines.push(("hawq_segment_directory", data_dir));
            lines.push(("aerie_segment_host", own));
            lines.push(("hawq_rm_memory_limit_perseg", "1GB".to_owned()));
            lines.push(("hawq_rm_nvcore_limit_perseg", "1".to_owned()));
            let temp = self.home(host).join("tmp").display().to_string();
            lines.push(("hawq_segment_temp_directory", temp));
        }
        lines.retain(|(name, _)| !settings.iter().any(|(other, _)| other == name));
        lines.extend(settings.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let property = |(name, value): &(&str, String)| {
            format!("<property><name>{name}</name><value>{value}</value></property>\n")
        };
        let properties: String = lines.iter().map(property).collect();
        let text = format!("<configuration>\n{properties}</configuration>\n");
        fs::write(etc.join("hawq-site.xml"), text).expect("hawq-site.xml");
    }

    /// Lets the client's host in, as an operator does after `hawq init`.
    fn admit_clients(&self, host: u8) {
        let path = self.data_dir(host).join("pg_hba.conf");
        self.fabric.host(host).run(|| {
            let mut text = fs::read_to_string(&path).expect("pg_hba.conf");
            text.push_str("host all all 10.77.0.0/24 trust\n");
            fs::write(&path, text).expect("pg_hba.conf");
        });
        self.signal(host, Signal::SIGHUP);
    }

    /// A command on a host, with the environment of its operator.
    pub fn command(&self, host: u8, program: &str) -> Command {
        let mut command = clean(program);
        command.env("HOME", self.home(host)).env("GPHOME", self.home(host));
        command.env("USER", "gpadmin").env("LOGNAME", "gpadmin");
        self.fabric.host(host).place(&mut command);
        command
    }

    pub fn hawq(&self, host: u8, arguments: &[&str]) -> Outcome {
        run(self.command(host, HAWQ).args(arguments), seconds(120))
    }

    /// Processes that live on this host.
    pub fn processes(&self, host: u8) -> Vec<i32> {
        processes_of(&self.home(host))
    }

    pub fn signal(&self, host: u8, signal: Signal) {
        for pid in self.processes(host) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }

    /// The host's power fails.
    pub fn kill(&self, host: u8) {
        end_all_of(&self.home(host));
    }

    /// A session from the client's host with whatever master of these is the primary, by libpq's
    /// rules: each address in turn, the first that takes writes.
    pub fn connect(&self, masters: &[u8]) -> Result<Session, Failure> {
        let target = self.target(masters);
        self.fabric.host(self.client()).run(|| Session::connect_to(&target))
    }

    pub fn target(&self, masters: &[u8]) -> String {
        let addresses: Vec<String> = masters.iter().map(|host| self.address(*host)).collect();
        format!(
            "host={} port={PG_PORT} user=gpadmin dbname=postgres connect_timeout=1 \
             target_session_attrs=read-write",
            addresses.join(",")
        )
    }

    pub fn every_master(&self) -> Vec<u8> {
        (1..=self.masters).collect()
    }

    /// The master that takes writes, seen by the client.
    pub fn primary(&self) -> u8 {
        eventually("an open primary", READY, || {
            let open = |host: &u8| self.connect(&[*host]).is_ok();
            self.every_master().into_iter().find(open).ok_or_else(|| self.report())
        })
    }

    /// The open primary, once every other master that runs is in its in-sync set.
    pub fn synchronized(&self) -> u8 {
        eventually("Synchronized", READY, || {
            let session = self.connect(&self.every_master()).map_err(|it| format!("{it:?}"))?;
            let found = session.value(IN_SYNC).map_err(|it| format!("{it:?}"))?;
            let runs = |host: &u8| !self.processes(*host).is_empty();
            let standbys = self.every_master().iter().filter(|host| runs(host)).count() - 1;
            let all = found == standbys.max(1).to_string();
            if all { Ok(()) } else { Err(format!("{found}\n{}", self.report())) }
        });
        self.primary()
    }

    pub fn report(&self) -> String {
        let outcome = run(self.command(1, HAWQ).arg("state"), seconds(60));
        format!("{}{}", outcome.stdout, outcome.stderr)
    }

    fn logs(&self) -> String {
        let tail = |path: &Path| {
            let text = fs::read(path).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let from = text.len().saturating_sub(4000);
            text.get(from..).unwrap_or_default().to_owned()
        };
        let host = |host| {
            let text = self.fabric.host(host).run(|| tail(&self.log_file(host)));
            format!("--- host {host}\n{text}\n")
        };
        (1..=self.masters).map(host).collect()
    }

    fn log_file(&self, host: u8) -> PathBuf {
        self.data_dir(host).join("pg_log/startup.log")
    }

    /// Text of the log of a host's node.
    pub fn log(&self, host: u8) -> String {
        let path = self.log_file(host);
        self.fabric.host(host).run(|| fs::read_to_string(&path).expect("its log"))
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.logs());
        }
        end_all_of(self.folder.path());
    }
}
