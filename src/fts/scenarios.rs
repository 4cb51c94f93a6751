//! Runs `scenarios/*.txt` (goldenscript) against the machine: one file a behaviour, its name a
//! sentence. `UPDATE_GOLDENFILES=1` writes the output anew; review reads the difference.
//!
//! Times are seconds. The catalog stores at once unless `catalog` says otherwise.

use std::collections::BTreeMap;
use std::error::Error;
use std::num::NonZeroU32;
use std::path::Path;
use std::time::Duration;

use goldenscript::{Command, Context, Runner};

use crate::types::{Epoch, Heartbeat, Instant, ProbeOutcome};

use super::{
    Effect, Event, Machine, RequestKind, SegmentRow, Settings, StoreError, Suspect, admit,
};

/// Deadlines that one move of the clock may meet; more is a machine that does not rest.
const DEADLINES_MAX: usize = 1_000;

#[derive(Clone, Copy, PartialEq)]
enum Catalog {
    Stores,
    Holds,
    Fails,
}

struct Script {
    machine: Machine,
    now: Instant,
    catalog: Catalog,
    attempts: BTreeMap<NonZeroU32, u64>,
    output: Vec<String>,
}

type Answer<T> = Result<T, Box<dyn Error>>;

fn seconds(text: &str) -> Answer<Duration> {
    Ok(Duration::from_secs_f64(text.parse()?))
}

fn order(text: &str) -> Answer<NonZeroU32> {
    Ok(text.parse()?)
}

impl Script {
    fn new() -> Script {
        Script {
            machine: Machine::new(Settings::default()),
            now: Instant(1_000_000_000),
            catalog: Catalog::Stores,
            attempts: BTreeMap::new(),
            output: Vec::new(),
        }
    }

    fn event(&mut self, event: Event) {
        let mut effects = Vec::new();
        self.machine.step(self.now, event, &mut effects);
        for effect in effects {
            let time = self.now.0 as f64 / 1e9 - 1.0;
            self.output.push(format!("{time}s {effect}"));
            match effect {
                Effect::Probe { order, attempt, .. } => {
                    self.attempts.insert(order, attempt);
                }
                Effect::Register(write) | Effect::Change(write) => {
                    let (order, generation) = (write.row.order, write.generation);
                    match self.catalog {
                        Catalog::Stores => self.event(Event::Stored { order, generation }),
                        Catalog::Holds => {}
                        Catalog::Fails => {
                            let error = StoreError::NotStored;
                            self.event(Event::StoreFailed { order, generation, error });
                        }
                    }
                }
                Effect::Report { .. } => {}
            }
        }
    }

    /// Moves the clock, stopping at every deadline on the way.
    fn move_to(&mut self, target: Instant) -> Answer<()> {
        for _ in 0..DEADLINES_MAX {
            match self.machine.deadline() {
                Some(deadline) if deadline <= target => {
                    self.now = self.now.max(deadline);
                    self.event(Event::Deadline);
                }
                _ => {
                    self.now = target;
                    return Ok(());
                }
            }
        }
        Err("the machine does not rest".into())
    }

    fn heartbeat(&mut self, command: &Command) -> Answer<()> {
        let mut args = command.consume_args();
        let host = args.next_pos().ok_or("beat HOST")?.to_owned();
        let number: u64 = host.trim_start_matches(|c: char| !c.is_ascii_digit()).parse()?;
        let mut number_of = |key: &str, default: u64| -> Answer<u64> {
            Ok(args.take_key(key).map(str::parse).transpose()?.unwrap_or(default))
        };
        let heartbeat = Heartbeat {
            segment: number_of("id", number)?,
            hostname: host,
            addresses: Vec::new(),
            port: u16::try_from(number_of("port", 40_000)?)?,
            rpc_port: u16::try_from(number_of("rpc", 5438)?)?,
            memory_mb: 65_536,
            cores: 16,
            started_at: number_of("start", 1)?,
            failed_directories: Vec::new(),
            followed: Epoch::ZERO,
            promised: Epoch::ZERO,
        };
        let directories = args.take_key("dirs").unwrap_or_default();
        let failed_directories =
            directories.split(',').filter(|d| !d.is_empty()).map(str::to_owned).collect();
        let default_peer = format!("10.0.0.{number}");
        let peer_address = args.take_key("peer").map_or(default_peer, str::to_owned);
        args.reject_next()?;
        let heartbeat = Heartbeat { failed_directories, ..heartbeat };
        self.event(Event::HeartbeatReceived { heartbeat, peer_address });
        Ok(())
    }

    /// `load 1=sdw1:40000:u 2="sdw2:40000:d:heartbeat timeout"`.
    fn load(&mut self, command: &Command) -> Answer<()> {
        let mut args = command.consume_args();
        let mut rows = Vec::new();
        while let Some((key, value)) = args.next_key() {
            let parts: Vec<&str> = value.splitn(4, ':').collect();
            let [hostname, port, status, description @ ..] = parts.as_slice() else {
                return Err(format!("bad row {value}").into());
            };
            let status = status.chars().next().ok_or("no status")?;
            let description = description.first().copied().unwrap_or_default();
            rows.push(SegmentRow {
                order: order(key)?,
                hostname: (*hostname).to_owned(),
                address: format!("10.0.0.{key}"),
                port: port.parse()?,
                status: SegmentRow::status_from_columns(status, description).ok_or("bad status")?,
            });
        }
        args.reject_next()?;
        self.event(Event::Loaded { rows });
        Ok(())
    }

    fn probe(&mut self, command: &Command) -> Answer<()> {
        let mut args = command.consume_args();
        let order = order(args.next_pos().ok_or("probe ORDER OUTCOME")?)?;
        let outcome = match args.next_pos() {
            Some("alive") => ProbeOutcome::Alive,
            Some("failed") => ProbeOutcome::Failed,
            Some("lost") => ProbeOutcome::CommunicationError,
            other => return Err(format!("bad outcome {other:?}").into()),
        };
        let latest = self.attempts.get(&order).copied().unwrap_or_default();
        let attempt = args.take_key("attempt").map(str::parse).transpose()?.unwrap_or(latest);
        self.event(Event::ProbeFinished { order, attempt, outcome });
        Ok(())
    }

    fn gate(&mut self, command: &Command) -> Answer<()> {
        let mut args = command.consume_args();
        let expected: u32 = args.next_pos().ok_or("gate EXPECTED")?.parse()?;
        let available = u32::try_from(self.machine.available().len())?;
        self.output.push(match admit(expected, available, 0.25, RequestKind::Allocation) {
            Ok(()) => "admitted".to_owned(),
            Err(refusal) => refusal.to_string(),
        });
        Ok(())
    }

    fn catalog(&mut self, word: &str) -> Answer<()> {
        self.catalog = match word {
            "stores" => Catalog::Stores,
            "holds" => Catalog::Holds,
            "fails" => Catalog::Fails,
            other => return Err(format!("bad catalog {other}").into()),
        };
        Ok(())
    }

    fn show(&mut self) {
        for view in self.machine.segments() {
            let probing = if view.probing { " (probing)" } else { "" };
            self.output.push(format!("{}{probing}", view.row));
        }
        let orders: Vec<String> =
            self.machine.available().iter().map(|segment| segment.order.to_string()).collect();
        self.output.push(format!("available: {}", orders.join(",")));
    }
}

impl Runner for Script {
    type Command = Command;

    fn run(&mut self, command: &Command, _context: &Context) -> Result<String, Box<dyn Error>> {
        let first = command.args.first().map(ToString::to_string).unwrap_or_default();
        match command.name.as_str() {
            "settings" => {
                let mut args = command.consume_args();
                let interval = seconds(args.take_key("interval").ok_or("interval=")?)?;
                let timeout = seconds(args.take_key("timeout").ok_or("timeout=")?)?;
                self.machine = Machine::new(Settings::new(interval, timeout)?);
            }
            "at" => self.move_to(Instant(1_000_000_000).after(seconds(&first)?))?,
            "begin-reign" => self.event(Event::ReignBegan),
            "end-reign" => self.event(Event::ReignEnded),
            "load" => self.load(command)?,
            "beat" => self.heartbeat(command)?,
            "probe" => self.probe(command)?,
            "suspect" => {
                let suspect = match order(&first) {
                    Ok(order) => Suspect::Order(order),
                    Err(_) => Suspect::Host(first),
                };
                self.event(Event::Suspected(suspect));
            }
            "remove" => self.event(Event::Removed { order: order(&first)? }),
            "catalog" => self.catalog(&first)?,
            "gate" => self.gate(command)?,
            "show" => self.show(),
            other => return Err(format!("unknown command {other}").into()),
        }
        Ok(self.output.drain(..).map(|line| line + "\n").collect())
    }
}

#[test]
fn every_scenario_runs_as_written() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/fts/scenarios");
    let mut paths: Vec<_> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    paths.sort();
    assert!(paths.len() >= 12, "scenarios are missing in {}", directory.display());
    for path in paths {
        goldenscript::run(&mut Script::new(), &path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}
