//! Every step of a promotion and of a switchover, with a kill at it, and with a second kill at
//! every step after that: of the process or of the host, of any master, down for less or for more
//! than a lease. Each time no acknowledged write is lost, and the cluster comes to rest by itself.
//!
//! With two masters all of it is played; with three CI plays each first kill, and of the second
//! ones an even share; `DOUBLE_FAULTS=all` plays them all.

use std::time::Duration;

use aerie::master::{Effect, Event, Request};
use aerie::types::{Message, NodeId};

use crate::action::Action;
use crate::options::Options;
use crate::world::World;

/// Second kills that CI plays of each case.
const SHARE: usize = 550;

#[derive(Debug, Clone, Copy)]
enum Begins {
    /// The supervisor tells that its process has ended.
    ProcessEnds,
    HostLost,
    Switchover,
}

#[derive(Debug, Clone, Copy)]
struct Kill {
    /// After so many steps since it began.
    at: u64,
    victim: NodeId,
}

impl Kill {
    /// Both kinds, and both lengths, come with every second step.
    fn is_of_host(self) -> bool {
        self.at.is_multiple_of(2)
    }

    fn down(self) -> Duration {
        Duration::from_millis(if (self.at / 2).is_multiple_of(2) { 60 } else { 900 })
    }
}

#[derive(Debug, Clone, Copy)]
struct Case {
    nodes: u8,
    voters: bool,
    begins: Begins,
}

impl World {
    /// What a node does in one event is a step unless it goes on all the time.
    pub fn is_step(&self, effects: &[Effect]) -> bool {
        let reigned = self.hosts.values().any(|host| host.open);
        effects.iter().any(|effect| match effect {
            Effect::Persist { .. }
            | Effect::Swap { .. }
            | Effect::Open { .. }
            | Effect::Close { .. }
            | Effect::Cut { .. }
            | Effect::Seed { .. } => true,
            Effect::Append { .. }
            | Effect::AppendEncoded { .. }
            | Effect::Flush { .. }
            | Effect::Ship { .. }
            | Effect::Apply { .. } => !reigned,
            Effect::Send { message, .. } => match message {
                Message::Heartbeat { .. } | Message::Hello { .. } | Message::Append { .. } => false,
                Message::Ack { .. } => !reigned,
                _ => true,
            },
            _ => false,
        })
    }

    fn strike(&mut self, kill: Kill) {
        let (id, power) = (kill.victim, kill.is_of_host());
        self.note(|_| format!("killed: node {id}, host={power}"));
        self.crash(id, power);
        if !power {
            self.report_end(id);
        }
        self.after(kill.down(), Action::Restart { host: id });
    }
}

/// Steps from the beginning to the end; none where a kill finds the cluster at rest again.
fn play(case: Case, kills: &[Kill]) -> Option<u64> {
    let Case { nodes, voters, begins } = case;
    let mut world = World::quiet(Options { nodes, voters, segments: 0, ..Options::default() });
    world.after(Duration::from_millis(50), Action::Client);
    let bound = world.now.after(Duration::from_secs(10));
    assert!(world.run_until(bound, World::settled), "never at rest: {}", world.picture());
    world.run_for(Duration::from_millis(100));

    let (first, epoch) = (world.record().primary, world.record().epoch);
    let over = |world: &World| world.record().epoch > epoch && world.settled();
    let from = world.steps;
    match begins {
        Begins::ProcessEnds => world.strike(Kill { at: 3, victim: first }),
        Begins::HostLost => world.strike(Kill { at: 2, victim: first }),
        Begins::Switchover => {
            let life = world.hosts[&first].life;
            let request = Request::Release { to: NodeId::new(2) };
            world.step(first, life, Event::Request { ticket: 0, request });
        }
    }
    for kill in kills {
        let due = |world: &World| world.steps >= from + kill.at;
        let bound = world.now.after(Duration::from_secs(5));
        world.run_until(bound, |world| due(world) || over(world));
        if !due(&world) || world.hosts[&kill.victim].node.is_none() {
            return None;
        }
        world.strike(*kill);
    }
    let bound = world.now.after(Duration::from_secs(30));
    assert!(world.run_until(bound, over), "I6: not at rest: {}", world.picture());
    world.come_to_rest();
    Some(world.steps - from)
}

fn kills(nodes: u8, steps: std::ops::RangeInclusive<u64>) -> impl Iterator<Item = Kill> {
    let victims = (1..=nodes).filter_map(NodeId::new);
    steps.flat_map(move |at| victims.clone().map(move |victim| Kill { at, victim }))
}

fn told(case: Case, kills: &[Kill]) -> Option<u64> {
    let outcome = std::panic::catch_unwind(|| play(case, kills));
    outcome.unwrap_or_else(|cause| {
        eprintln!("violated by {case:?} with {kills:?}");
        std::panic::resume_unwind(cause);
    })
}

fn play_all(nodes: u8, voters: bool) {
    let all = std::env::var("DOUBLE_FAULTS").is_ok_and(|which| which == "all");
    for begins in [Begins::ProcessEnds, Begins::HostLost, Begins::Switchover] {
        let case = Case { nodes, voters, begins };
        let steps = told(case, &[]).expect("it comes to rest");
        let mut pairs = Vec::new();
        for first in kills(nodes, 1..=steps) {
            if let Some(end) = told(case, &[first]) {
                pairs.extend(kills(nodes, first.at + 1..=end).map(|second| [first, second]));
            }
        }
        let share = if all { pairs.len() } else { SHARE.min(pairs.len()) };
        let played = (0..share).map(|n| pairs[n * pairs.len() / share]);
        let struck = played.filter(|pair| told(case, pair).is_some()).count();
        println!("{case:?}: {steps} steps, {} pairs of kills, {struck} of {share}", pairs.len());
        assert!(steps > 5 && struck * 4 > share, "{case:?}: {struck} of {share} struck");
    }
}

#[test]
fn two_kills_at_any_steps_of_two_masters() {
    play_all(2, false);
}

#[test]
fn two_kills_at_any_steps_of_three_masters() {
    play_all(3, false);
}

#[test]
fn two_kills_at_any_steps_of_masters_that_vote() {
    play_all(2, true);
}
