//! The Unix socket `<directory>/.s.PGSQL.<port>` and the lock file that says whose it is.
//!
//! The lock is held by `flock`, so it ends with its process however that ends; the file's text is
//! PostgreSQL's, and a socket on which a real PostgreSQL listens is not taken from it either.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use tokio::net::UnixListener;

use crate::runtime::{BootClock, Clock};

/// Times that the lock file may vanish between opening and locking it.
const ATTEMPTS_MAX: usize = 5;
/// `sun_path` without its terminator.
const PATH_BYTES_MAX: usize = 107;

#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    #[error("Unix-domain socket path \"{path}\" is too long (maximum {PATH_BYTES_MAX} bytes)")]
    TooLong { path: PathBuf },
    #[error("lock file \"{path}\" already exists: is another server (PID {pid}) using the socket?")]
    InUse { path: PathBuf, pid: i32 },
    #[error("{action} \"{path}\": {source}")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
}

/// The claim on a socket; dropping it removes the socket and its lock file.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    lock_path: PathBuf,
    _lock: File,
}

impl SocketFile {
    /// Takes the socket, over a dead server's remains where there are any, and listens on it.
    pub fn claim(
        directory: &Path,
        port: u16,
        data_directory: &Path,
    ) -> Result<(SocketFile, UnixListener), SocketError> {
        let path = directory.join(format!(".s.PGSQL.{port}"));
        let lock_path = directory.join(format!(".s.PGSQL.{port}.lock"));
        if path.as_os_str().len() > PATH_BYTES_MAX {
            return Err(SocketError::TooLong { path });
        }
        let mut lock = locked(&lock_path, &path)?;
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| SocketError::Io { action, path, source }
        };
        let text = format!(
            "{}\n{}\n{}\n{port}\n{}\n",
            std::process::id(),
            data_directory.display(),
            BootClock.wall_micros() / 1_000_000,
            directory.display(),
        );
        lock.set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| lock.write_all(text.as_bytes()))
            .map_err(failed("write lock file", &lock_path))?;
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove old socket", &path)(source));
            }
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(failed("bind Unix socket", &path))?;
        // Who may come in is for pg_hba.conf to say, as in PostgreSQL.
        std::fs::set_permissions(&path, Permissions::from_mode(0o777))
            .map_err(failed("set permissions of", &path))?;
        Ok((SocketFile { path, lock_path, _lock: lock }, listener))
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // What cannot be removed is taken over by the next server.
        let _ = std::fs::remove_file(&self.path);
        let _ = std::fs::remove_file(&self.lock_path);
    }
}

/// The lock file, locked by us and still the one that the path names.
fn locked(lock_path: &Path, socket: &Path) -> Result<File, SocketError> {
    let failed = |action| {
        let path = lock_path.to_owned();
        move |source| SocketError::Io { action, path, source }
    };
    for _ in 0..ATTEMPTS_MAX {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(lock_path)
            .map_err(failed("create lock file"))?;
        let in_use = |pid| SocketError::InUse { path: lock_path.to_owned(), pid };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(in_use(recorded_pid(&mut file))),
            Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
        }
        let pid = recorded_pid(&mut file);
        if pid != own_pid() && is_alive(pid) && BlockingStream::connect(socket).is_ok() {
            return Err(in_use(pid));
        }
        let ours = file.metadata().map_err(failed("inspect lock file"))?;
        let named = std::fs::metadata(lock_path);
        if named.is_ok_and(|named| (named.dev(), named.ino()) == (ours.dev(), ours.ino())) {
            return Ok(file);
        }
    }
    let source = io::Error::other("it is removed again and again by somebody else");
    Err(failed("lock")(source))
}

/// 0 when the file names none.
fn recorded_pid(file: &mut File) -> i32 {
    let mut text = String::new();
    // A file that is not text names nobody; it is overwritten.
    let _ = file.take(1024).read_to_string(&mut text);
    text.lines().next().and_then(|line| line.trim().parse().ok()).unwrap_or(0)
}

fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap_or(0)
}

fn is_alive(pid: i32) -> bool {
    pid > 0 && matches!(kill(Pid::from_raw(pid), None), Ok(()) | Err(Errno::EPERM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_live_socket_is_refused_and_a_stale_one_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        let claim = || SocketFile::claim(directory.path(), 5432, Path::new("/data"));
        let (first, _listener) = claim().unwrap();
        let lock = std::fs::read_to_string(directory.path().join(".s.PGSQL.5432.lock")).unwrap();
        assert_eq!(lock.lines().next(), Some(std::process::id().to_string().as_str()));
        assert_eq!(lock.lines().nth(3), Some("5432"));
        let refused = claim().unwrap_err();
        assert!(matches!(refused, SocketError::InUse { .. }), "{refused}");
        drop(first);
        assert!(!directory.path().join(".s.PGSQL.5432").exists());

        // What a killed server leaves: a socket and a lock file that nobody holds.
        drop(std::os::unix::net::UnixListener::bind(directory.path().join(".s.PGSQL.5432")));
        std::fs::write(directory.path().join(".s.PGSQL.5432.lock"), "999999999\n").unwrap();
        let (again, _listener) = claim().unwrap();
        assert!(BlockingStream::connect(&again.path).is_ok());
    }

    /// A server that does not use our lock: its process is alive and answers.
    #[tokio::test]
    async fn another_servers_socket_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join(".s.PGSQL.5433");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let parent = nix::unistd::getppid();
        std::fs::write(directory.path().join(".s.PGSQL.5433.lock"), format!("{parent}\n")).unwrap();
        let refused = SocketFile::claim(directory.path(), 5433, Path::new("/data")).unwrap_err();
        assert!(refused.to_string().contains(&format!("PID {parent}")), "{refused}");
        assert!(socket.exists());
    }

    #[tokio::test]
    async fn a_path_that_does_not_fit_is_refused() {
        let directory = PathBuf::from(format!("/tmp/{}", "x".repeat(120)));
        let refused = SocketFile::claim(&directory, 5432, Path::new("/")).unwrap_err();
        assert!(matches!(refused, SocketError::TooLong { .. }), "{refused}");
    }
}
