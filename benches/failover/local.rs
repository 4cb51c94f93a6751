//! A cluster on loopback with a client that commits without pause: one primary, one standby, one
//! segment that is the witness.

use std::time::{Duration, Instant};

use crate::client::{Stream, make_tables};
use crate::cluster::{Cluster, PATIENT, READY, Shape};
use crate::ensemble::Ensemble;
use crate::machine::HAWQ;
use crate::run::run;
use crate::session::Session;
use crate::wait::{eventually, seconds};
use crate::{Coordinator, Flags, Measured};

/// A cluster that does not recover for so long is given up.
pub const LIMIT: Duration = Duration::from_secs(60);
/// Commits between two faults.
pub const BETWEEN: u64 = 50;

const SHAPE: Shape = Shape { standbys: 1, segments: 1 };

pub struct Local {
    stream: Stream,
    pub cluster: Cluster,
    pub measured: Measured,
    /// Ends after the cluster.
    _ensemble: Option<Ensemble>,
}

impl Local {
    /// `fill` has the primary to itself before the client starts.
    pub fn start(flags: &Flags, fill: impl FnOnce(&Session)) -> Local {
        let (cluster, ensemble) = match flags.coordinator {
            Coordinator::Embedded => (Cluster::automatic_by_default(SHAPE), None),
            Coordinator::Zookeeper => {
                let ensemble = Ensemble::start(3);
                (with_zookeeper(&ensemble), Some(ensemble))
            }
        };
        // What is killed is said to have ended.
        cluster.may_log("the master ended");
        let session = Session::connect(cluster.synchronized().pg_port).expect("session");
        make_tables(&session);
        fill(&session);
        let stream = Stream::start(&cluster.target(), flags.patience(), || {});
        Local { stream, cluster, measured: Measured::default(), _ensemble: ensemble }
    }

    /// Whole again, and the client commits.
    pub fn settle(&self) {
        self.cluster.synchronized();
        self.go_on();
        self.stream.take_gap();
    }

    pub fn go_on(&self) {
        self.stream.wait_for_commits(BETWEEN, LIMIT).expect("commits");
    }

    pub fn fault(&self) -> Instant {
        self.stream.fault()
    }

    pub fn recovered(&mut self, fault: Instant) {
        let time = self.stream.wait_for_recovery(fault, LIMIT).expect("recovery");
        self.measured.times.push(time);
    }

    /// After every run: the gap, and what is missing.
    pub fn note(&mut self) -> Duration {
        let gap = self.stream.take_gap();
        self.measured.gap = self.measured.gap.max(gap);
        let session = eventually("a primary", LIMIT, || {
            Session::connect_to(&self.cluster.target()).map_err(|failure| failure.text)
        });
        self.measured.lost += self.stream.lost(&session);
        gap
    }
}

fn with_zookeeper(ensemble: &Ensemble) -> Cluster {
    let cluster = Cluster::start(SHAPE);
    cluster.stop().expect("stop").expect("stop");
    for master in cluster.masters() {
        let quorum = ensemble.quorum();
        let properties = [("enable_master_auto_ha", "on"), ("ha_zookeeper_quorum", &quorum)];
        cluster.configure(&master, &properties);
        // A cluster of tests is more patient than one by default.
        master.reset(PATIENT[1].1, "2s");
    }
    cluster.demo().expect("hawq demo");
    eventually("the record in ZooKeeper", READY, || {
        let outcome = run(cluster.command(HAWQ).args(["ha", "status", "--json"]), seconds(60));
        let status = serde_json::from_str::<serde_json::Value>(&outcome.stdout);
        let there = status.is_ok_and(|status| status["mode"] == "zookeeper");
        if there { Ok(()) } else { Err(format!("{outcome:?}")) }
    });
    cluster
}
