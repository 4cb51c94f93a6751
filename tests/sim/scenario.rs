//! Named scenarios: the counterexamples of the protocol's section 9 and the lives of a cluster,
//! as scripts. Commands above `---`, what an operator would see below.
//! `UPDATE_GOLDENFILES=1 cargo test --test sim scenario` rewrites them; review reads the diff.
//! `SCENARIO=name` plays that one alone.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aerie::master::node::Node;
use aerie::master::{Event, Request};
use aerie::types::{Epoch, Lsn, Message, NodeId};
use goldenscript::{Command, Context, Runner};

use crate::action::Action;
use crate::options::Options;
use crate::replacing::{base, voters};
use crate::world::World;

type Args<'a> = goldenscript::ArgumentConsumer<'a>;

fn parsed<T>(args: &mut Args<'_>, key: &str) -> Result<Option<T>, Box<dyn Error>>
where
    T: std::str::FromStr,
    T::Err: Error + 'static,
{
    Ok(args.take_key(key).map(str::parse).transpose()?)
}

struct Stage {
    world: Option<World>,
    shown: usize,
}

impl Stage {
    fn world(&mut self) -> &mut World {
        self.world.as_mut().expect("a script begins with `cluster`")
    }

    /// What happened since the last command, as the log of the nodes would tell it.
    fn news(&mut self) -> String {
        let shown = self.shown;
        let world = self.world();
        let lines = world.trace[shown..].iter().filter(|line| {
            [" -> report ", " -> open ", " -> close ", "swap by", "acked", "answer ticket"]
                .iter()
                .any(|mark| line.contains(mark))
        });
        // The time is left out: what counts is the order.
        let lines = lines.map(|line| line.split_once("ms ").map_or(line.as_str(), |(_, l)| l));
        let text = lines.map(|line| format!("{line}\n")).collect::<String>();
        self.shown = self.world().trace.len();
        text
    }

    fn status(&mut self) -> String {
        let world = self.world();
        let mut text = format!("record {}\n", world.record());
        for host in world.hosts.values() {
            let line = host.node.as_ref().map(Node::view).map_or("dead".to_owned(), |view| {
                let open = if view.open { "open" } else { "closed" };
                let (epoch, end, applied) = (view.epoch, view.write_lsn, view.apply_lsn);
                let waits = view.commits_wait.map(|why| format!("\n  commits wait: {why}"));
                let waits = waits.unwrap_or_default();
                format!("{} {open} epoch={epoch} end={end} applied={applied}{waits}", view.role)
            });
            text += &format!("node {} {line}\n", host.id);
        }
        text
    }

    /// A client reads on every node that would serve it (I5).
    fn read(&mut self) -> String {
        let world = self.world();
        let reads = world.readable();
        for (id, applied) in &reads {
            world.checker.read(*id, *applied);
        }
        let lines =
            reads.iter().map(|(id, applied)| format!("node {id} serves reads at {applied}\n"));
        if reads.is_empty() { "nobody serves reads\n".to_owned() } else { lines.collect() }
    }

    fn command(&mut self, command: &Command) -> Result<String, Box<dyn Error>> {
        let mut args = command.consume_args();
        let node = |args: &mut Args<'_>, key: &str| {
            let number: Option<u8> = parsed(args, key).ok().flatten();
            number.and_then(NodeId::new).ok_or(format!("{key}=N is missing"))
        };
        match command.name.as_str() {
            "cluster" => {
                let options = Options {
                    nodes: parsed(&mut args, "nodes")?.unwrap_or(3),
                    manual: parsed(&mut args, "manual")?.unwrap_or(false),
                    strict: parsed(&mut args, "strict")?.unwrap_or(false),
                    turns: parsed(&mut args, "turns")?.unwrap_or(false),
                    trace: true,
                    segments: parsed(&mut args, "segments")?.unwrap_or(0),
                    fences: parsed(&mut args, "fences")?.unwrap_or(false),
                    failovers_max: parsed(&mut args, "failovers-max")?.unwrap_or(6),
                    auto_rejoin: parsed(&mut args, "auto-rejoin")?.unwrap_or(true),
                    lone_stops: parsed(&mut args, "lone-stops")?.unwrap_or(false),
                    leases: parsed(&mut args, "leases")?.unwrap_or(false),
                    ..Options::default()
                };
                self.world = Some(World::quiet(options));
                self.shown = 0;
            }
            "run" => {
                let span = Duration::from_millis(parsed(&mut args, "ms")?.unwrap_or(1000));
                self.world().run_for(span);
            }
            "propose" => {
                let (id, write) = (node(&mut args, "node")?, parsed(&mut args, "write")?);
                self.world().propose(id, write.unwrap_or(0));
                self.world().run_for(Duration::ZERO);
            }
            "crash" => {
                let id = node(&mut args, "node")?;
                self.world().crash(id, parsed(&mut args, "power")?.unwrap_or(false));
            }
            "report-end" => {
                let (of, to) = (node(&mut args, "of")?, node(&mut args, "to")?);
                let late = Duration::from_millis(parsed(&mut args, "late-ms")?.unwrap_or(0));
                let (member, upto) = self.world().end_of(of);
                self.world().after(late, Action::Report { to, member, upto });
            }
            "rejoin" => {
                let id = node(&mut args, "node")?;
                self.world().request(id, Request::Rejoin);
            }
            "start" => {
                let id = node(&mut args, "node")?;
                self.world().after(Duration::ZERO, Action::Restart { host: id });
            }
            "wipe" => {
                let id = node(&mut args, "node")?;
                self.world().wipe(id);
            }
            "stop" => {
                let id = node(&mut args, "node")?;
                let span = Duration::from_millis(parsed(&mut args, "ms")?.unwrap_or(1000));
                let world = self.world();
                let now = world.now;
                world.hosts.get_mut(&id).unwrap().pause(now, span);
            }
            "cut" => {
                let (from, to) = (node(&mut args, "from")?, node(&mut args, "to")?);
                self.world().links.cut.insert((from, to));
            }
            "heal" => {
                let links = &mut self.world().links;
                links.cut.clear();
                links.lost.clear();
            }
            "slow-disk" => {
                let id = node(&mut args, "node")?;
                let on = parsed(&mut args, "on")?.unwrap_or(true);
                self.world().hosts.get_mut(&id).unwrap().flush_slow = on;
            }
            "segments" => {
                let up = parsed(&mut args, "up")?.unwrap_or(true);
                let world = self.world();
                for agent in 0..world.agents.len() {
                    if up { world.start_agent(agent) } else { world.stop_agent(agent) }
                }
            }
            "coordinator" => {
                let world = self.world();
                world.register.up = parsed(&mut args, "up")?.unwrap_or(world.register.up);
                world.lose_answers = parsed(&mut args, "lose-answers")?.unwrap_or(0);
                world.delay_swaps = parsed(&mut args, "delay-swaps-ms")?
                    .map_or(Duration::ZERO, Duration::from_millis);
            }
            "activate" => {
                let id = node(&mut args, "node")?;
                let force = parsed(&mut args, "force")?.unwrap_or(false);
                let switchover = parsed(&mut args, "switchover")?.unwrap_or(false);
                let request = Request::Activate { force, switchover };
                self.world().request(id, request);
            }
            "enable" => {
                let id = node(&mut args, "node")?;
                let request = crate::turning::enable();
                self.world().request(id, request);
            }
            "voters" => {
                let id = node(&mut args, "node")?;
                let numbers = |text: String| -> Result<Vec<u8>, std::num::ParseIntError> {
                    text.split(',').map(str::parse).collect()
                };
                let to = voters(numbers(parsed(&mut args, "to")?.unwrap_or_default())?);
                let from = match parsed(&mut args, "from")? {
                    Some(text) => voters(numbers(text)?),
                    None => base(self.world().record()),
                };
                self.world().request(id, Request::ChangeVoters { from, to });
            }
            "disable" => {
                let id = node(&mut args, "node")?;
                self.world().request(id, Request::Disable);
            }
            "remove" => {
                let (id, gone) = (node(&mut args, "node")?, node(&mut args, "member")?);
                self.world().request(id, Request::Remove { node: gone });
            }
            "force-open" => {
                let id = node(&mut args, "node")?;
                self.world().request(id, Request::ForceOpen);
            }
            "pause" => {
                let id = node(&mut args, "node")?;
                let paused = parsed(&mut args, "on")?.unwrap_or(true);
                self.world().request(id, Request::Pause { paused });
            }
            "forge" => {
                // A node speaks as the primary of an epoch that is another's.
                let (from, to) = (node(&mut args, "from")?, node(&mut args, "to")?);
                let epoch = self.world().register.record.epoch;
                self.world().forge(from, to, epoch);
            }
            "release" => {
                let id = node(&mut args, "node")?;
                let to = node(&mut args, "to").ok();
                self.world().request(id, Request::Release { to });
            }
            "reseed" => {
                let id = node(&mut args, "node")?;
                self.world().request(id, Request::Reseed { reason: "asked for".to_owned() });
            }
            "lose" => {
                // From now on messages of one kind get lost on a link; `heal` ends it.
                let (from, to) = (node(&mut args, "from")?, node(&mut args, "to")?);
                let what = args.take_key("what").ok_or("what=KIND is missing")?.to_owned();
                self.world().links.lost.insert((from, to, what));
            }
            "damage" => {
                // A bit of the last record in the log of a dead node flips.
                let id = node(&mut args, "node")?;
                self.world().hosts.get_mut(&id).unwrap().storage.damage_last();
            }
            "read" => {
                args.reject_next()?;
                return Ok(self.news() + &self.read());
            }
            "status" => {
                args.reject_next()?;
                return Ok(self.news() + &self.status());
            }
            other => return Err(format!("unknown command {other}").into()),
        }
        args.reject_next()?;
        Ok(self.news())
    }
}

impl Runner for Stage {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> Result<String, Box<dyn Error>> {
        self.command(command)
    }
}

impl World {
    /// A world in which nothing goes wrong and nobody asks for anything, until told to.
    pub fn quiet(options: Options) -> World {
        let mut world = World::new(1, options);
        world.calm = true;
        world.queue.retain(|_, action| {
            !matches!(
                action,
                Action::Client | Action::Reader | Action::Person | Action::Fault | Action::Turn
            )
        });
        world
    }

    pub fn run_for(&mut self, span: Duration) {
        let bound = self.now.after(span);
        self.run_until(bound, |_| false);
    }

    pub fn propose(&mut self, id: NodeId, write: u64) {
        self.tickets += 1;
        let ticket = self.tickets;
        let host = self.hosts.get_mut(&id).unwrap();
        host.tickets.insert(ticket, write);
        let life = host.life;
        let payload = crate::storage::transaction(write);
        self.step(id, life, Event::Propose { ticket, payload });
    }

    pub fn forge(&mut self, from: NodeId, to: NodeId, epoch: Epoch) {
        let (write_lsn, commit_lsn, sent_at) = (Lsn::ZERO, Lsn::ZERO, self.now);
        let message = Message::Heartbeat { epoch, write_lsn, commit_lsn, sent_at, record: None };
        let from = self.hosts[&from].member();
        let life = self.hosts[&to].life;
        self.step(to, life, Event::Received { from, message });
    }

    pub fn request(&mut self, id: NodeId, request: Request) {
        let life = self.hosts[&id].life;
        self.step(id, life, Event::Request { ticket: 9, request });
    }
}

#[test]
fn scenarios_read_as_recorded() {
    // Also where `tests/kernel` builds this.
    let mut roots = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let folder = roots.find_map(|root| root.join("tests/sim/scenarios").canonicalize().ok());
    let folder = folder.expect("the scenarios");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 30, "the scenarios are gone");
    if let Ok(only) = std::env::var("SCENARIO") {
        paths.retain(|path| path.file_stem().is_some_and(|name| *name == *only));
        assert!(!paths.is_empty(), "there is no scenario {only}");
    }
    for path in paths {
        let mut stage = Stage { world: None, shown: 0 };
        goldenscript::run(&mut stage, &path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
}
