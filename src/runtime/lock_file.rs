//! The lock of a data directory: one process works in it, and it says its number in the first line
//! of the lock file.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use nix::sys::signal::kill;
use nix::unistd::Pid;

/// A disk that is slow to flush keeps the threads of a killed process in the kernel, and the locks
/// of the process with them.
const ENDING_MAX: Duration = Duration::from_secs(30);
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Of the signals that wait for a process, in `/proc`.
const SIGKILL_BIT: u64 = 1 << 8;

/// Locks the file as long as the value lives. Refused with `EWOULDBLOCK` while another process
/// works; one that was killed is waited for.
pub fn lock_file(mut file: File) -> Result<Flock<File>, (File, Errno)> {
    let deadline = Instant::now() + ENDING_MAX;
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Err((file, Errno::EWOULDBLOCK))
                if holder(&file).is_some_and(is_ending) && Instant::now() < deadline =>
            {
                sleep(LOOK_INTERVAL);
                file
            }
            done => return done,
        };
    }
}

fn holder(mut file: &File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).and_then(|_| file.rewind()).ok()?;
    text.lines().next()?.trim().parse().ok()
}

/// It is gone, has ended and is not gone, or does nothing any more but end.
fn is_ending(pid: u32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else {
        // Of a process that lives nothing may be told here.
        let process = i32::try_from(pid).map(Pid::from_raw);
        return process.is_ok_and(|process| kill(process, None) == Err(Errno::ESRCH));
    };
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    };
    let killed = |name| {
        let waiting = field(name).and_then(|mask| u64::from_str_radix(mask, 16).ok());
        waiting.is_some_and(|mask| mask & SIGKILL_BIT != 0)
    };
    field("State").is_some_and(|state| state.starts_with(['Z', 'X']))
        || killed("SigPnd")
        || killed("ShdPnd")
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::path::Path;
    use std::process::{Child, Command};

    use super::*;

    fn open(path: &Path) -> File {
        OpenOptions::new().read(true).write(true).open(path).unwrap()
    }

    /// Killed, and kept as a zombie by nobody's asking how it ended.
    fn killed() -> Child {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        child.kill().unwrap();
        child
    }

    fn wait_a_moment() {
        sleep(5 * LOOK_INTERVAL);
    }

    #[test]
    fn who_is_killed_or_gone_is_ending() {
        assert!(!is_ending(std::process::id()));
        let mut child = killed();
        assert!(is_ending(child.id()), "also before it has come to it");
        child.wait().unwrap();
        assert!(is_ending(child.id()));
    }

    #[test]
    fn a_working_process_keeps_others_out_and_a_killed_one_is_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        fs::write(&path, format!("{}\n", std::process::id())).unwrap();
        let held = lock_file(open(&path)).unwrap();
        assert_eq!(lock_file(open(&path)).unwrap_err().1, Errno::EWOULDBLOCK);

        let mut child = killed();
        fs::write(&path, format!("{}\n/data\n", child.id())).unwrap();
        let release = std::thread::spawn(|| {
            wait_a_moment();
            drop(held);
        });
        assert!(lock_file(open(&path)).is_ok());
        release.join().unwrap();
        child.wait().unwrap();
    }
}
