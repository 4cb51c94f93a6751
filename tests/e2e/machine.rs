//! The machine that the tests run on: programs in a clean environment, free ports, the ends of
//! processes.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::run::{Outcome, run};
use crate::traces::processes_of;
use crate::wait::{eventually, seconds};

pub const HAWQ: &str = env!("CARGO_BIN_EXE_hawq");

/// A command without anything in its environment that points at some other server.
pub fn clean(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars() {
        let points = ["PG", "HAWQ", "GP", "MASTER_DATA", "AERIE"].iter();
        if points.into_iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(name);
        }
    }
    let beside = Path::new(HAWQ).parent().map(|path| path.display().to_string());
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", beside.unwrap_or_default()));
    command
}

pub fn psql(port: u16, sql: &str) -> Outcome {
    let target =
        format!("host=127.0.0.1 port={port} user=gpadmin dbname=postgres connect_timeout=5");
    let mut command = clean("psql");
    command.args(["-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &target, "-c", sql]);
    run(&mut command, seconds(60))
}

/// A port that was free a moment ago, another each time.
pub fn free_port() -> u16 {
    free_ports(1)
}

/// The first of so many free ports in a row, others each time. They lie below those that the system
/// hands to clients: one of them could sit on the port of a node that is down.
pub fn free_ports(count: u16) -> u16 {
    const FIRST: u32 = 10_000;
    const SPAN: u32 = 5_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Another run on this machine begins elsewhere.
    let begin = std::process::id().wrapping_mul(997);
    let count = u32::from(count);
    let mut candidates = (0..SPAN).filter_map(|_| {
        let next = begin.wrapping_add(NEXT.fetch_add(count, Ordering::Relaxed)) % SPAN;
        // A row ends before the range does.
        (next + count <= SPAN).then(|| u16::try_from(FIRST + next).ok()).flatten()
    });
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let are_free = |first: &u16| (*first..).take(count as usize).all(is_free);
    candidates.find(are_free).expect("free ports")
}

/// The command that a process was started with, with nothing of this test's environment.
pub fn same_again(pid: i32) -> Command {
    let read = |what| fs::read(format!("/proc/{pid}/{what}")).expect(what);
    let parts = |text: Vec<u8>| -> Vec<String> {
        let parts = text.split(|byte| *byte == 0).filter(|part| !part.is_empty());
        parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect()
    };
    let words = parts(read("cmdline"));
    let mut command = clean(&words[0]);
    let environment = parts(read("environ"));
    command.envs(environment.iter().filter_map(|pair| pair.split_once('=')));
    command.args(&words[1..]);
    command
}

/// `kill -9`, and waits until the process is gone.
pub fn end(pid: i32) {
    let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    eventually("the end of a killed process", seconds(30), || {
        if is_alive(pid) { Err(format!("{pid} lives")) } else { Ok(()) }
    });
}

/// The one child of a process.
pub fn child_of(pid: i32) -> Option<i32> {
    let parent = |child: &i32| {
        let stat = fs::read_to_string(format!("/proc/{child}/stat")).ok()?;
        let (_, rest) = stat.rsplit_once(") ")?;
        rest.split(' ').nth(1)?.parse::<i32>().ok()
    };
    let entries = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.find(|child| parent(child) == Some(pid) && is_alive(*child))
}

/// A process that is there and not a zombie.
pub fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim().chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}

/// Ends the processes whose command line names this folder; their command lines.
pub fn end_all_of(folder: &Path) -> Vec<String> {
    let pids = processes_of(folder);
    let command = |pid: &i32| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let commands = pids.iter().map(command);
    let found = commands.map(|words| String::from_utf8_lossy(&words).replace('\0', " ")).collect();
    pids.into_iter().for_each(end);
    found
}
