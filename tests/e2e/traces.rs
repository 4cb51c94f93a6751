//! What a cluster leaves behind: processes, and complaints in the logs of its nodes.

use std::fs;
use std::path::Path;

/// Processes whose command line names this folder. Zombies have no command line any more.
pub fn processes_of(folder: &Path) -> Vec<i32> {
    let folder = folder.display().to_string();
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| {
        let command = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(&folder)
    })
    .collect()
}

/// Lines of a log that no test may pass over: errors, unless one of `allowed` is part of them.
pub fn complaints<'a>(log: &'a str, allowed: &[&str]) -> Vec<&'a str> {
    let is_error = |line: &&str| {
        ["-[ERROR]:-", "-[CRITICAL]:-", "panicked at"].iter().any(|mark| line.contains(mark))
    };
    let is_allowed = |line: &str| allowed.iter().any(|part| line.contains(part));
    log.lines().filter(is_error).filter(|line| !is_allowed(line)).collect()
}

#[test]
fn complaints_are_found() {
    let log = "1 hawq-master:h:u-[INFO]:-an [ERROR] of others\n2 x-[ERROR]:-disk full\n\
               3 x-[ERROR]:-refused by node 2\nthread 'node' panicked at src/a.rs:1:1:";
    assert_eq!(complaints(log, &["refused by"]).len(), 2);
    assert_eq!(complaints(log, &[]).len(), 3);
}

#[test]
fn processes_are_found_by_their_folder() {
    let folder = tempfile::tempdir().expect("directory");
    let mut command = std::process::Command::new("tail");
    let file = folder.path().join("file");
    fs::write(&file, "").expect("file");
    let mut child = command.arg("-f").arg(&file).spawn().expect("tail");
    let pid = i32::try_from(child.id()).expect("a process id");
    let found = crate::wait::wait_until(crate::wait::seconds(10), || {
        let found = processes_of(folder.path());
        if found == [pid] { Ok(()) } else { Err(format!("{found:?}, wanted {pid}")) }
    });
    let _ = child.kill();
    let _ = child.wait();
    assert_eq!(found, Ok(()));
    assert_eq!(processes_of(folder.path()), Vec::<i32>::new());
}
