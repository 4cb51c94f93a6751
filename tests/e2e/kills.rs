//! `kill -9` of any process at random, again and again: never a lost row, never a hang.

use crate::cluster::{Cluster, Node, Shape};
use crate::session::Session;
use crate::wait::{seconds, wait_until};
use crate::writers::Writers;

/// In each mode.
const KILLS: u64 = 28;
const SEED: u64 = 20_261_122;

/// A number from the environment: `make test-long` asks for more, a failure names its seed.
fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect(name))
}

/// Splitmix64: the same seed gives the same victims.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % sides as u64) as usize
    }
}

#[test]
fn any_process_killed_at_random_loses_no_row() {
    kill_at_random(&Cluster::start(Shape { standbys: 1, segments: 2 }), true);
}

#[test]
fn any_process_killed_at_random_loses_no_row_in_automatic_mode() {
    kill_at_random(&Cluster::automatic(Shape { standbys: 1, segments: 2 }), false);
}

/// What was killed comes back before the lease lapses, unless it is waited for. A standby that was
/// out of sync just then does not take over at all.
fn wait_for_another(cluster: &Cluster, killed: &Node) {
    let _ = wait_until(seconds(30), || {
        let open = |node: &Node| Session::connect(node.pg_port).is_ok();
        let moved = cluster.other_masters(killed).iter().any(open);
        if moved { Ok(()) } else { Err(String::new()) }
    });
}

/// Sometimes another takes over, in manual mode at a person's word, before what was killed is back.
fn kill_at_random(cluster: &Cluster, manual: bool) {
    let seed = setting("E2E_SEED", SEED);
    let kills = setting("E2E_KILLS", KILLS);
    println!("E2E_SEED={seed} E2E_KILLS={kills}");
    let mut dice = Dice(seed);
    cluster.synchronized();
    let writers = Writers::start(cluster, 2);
    for round in 0..kills {
        let primary = cluster.synchronized();
        writers.eventually_commit(1 + dice.roll(20) as u64, cluster);
        let nodes = cluster.nodes();
        let victim = &nodes[dice.roll(nodes.len())];
        let moves = victim.name == primary.name && dice.roll(2) == 0;
        println!("round {round}: {} ({:?}), moves {moves}", victim.name, victim.pid);
        cluster.kill(victim);
        match (moves, manual) {
            (true, true) => cluster.activate(),
            (true, false) => wait_for_another(cluster, victim),
            (false, _) => {}
        }
        let restarted = cluster.restart(&victim.name);
        assert!(restarted.ok(), "round {round}: {restarted:#?}");
        writers.eventually_commit(5, cluster);
        writers.check(cluster);
    }
    cluster.synchronized();
    writers.finish(cluster);
    cluster.equal_digests();
}
