//! The agent's data directory: one process at a time, and where others find that process.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use nix::fcntl::Flock;
use serde::{Deserialize, Serialize};

use super::fence_file::replace_durably;
use crate::runtime::lock_file;

const LOCK_NAME: &str = "agent.lock";
const AGENT_NAME: &str = "agent.json";

#[derive(Debug, thiserror::Error)]
pub enum DataDirectoryError {
    #[error("{action} {path}")]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("data directory {path} is in use by another segment agent (process {pid})")]
    InUse { path: PathBuf, pid: String },
}

/// What others may read of a running agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentFile {
    pub pid: u32,
    pub host: String,
    pub rpc_port: u16,
    pub pg_port: u16,
    /// Hexadecimal, as shown in logs.
    pub segment: String,
    pub cluster_id: String,
}

/// Locked as long as it lives; the kernel frees the lock with the process, however it ends.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    _lock: Flock<File>,
}

impl DataDirectory {
    /// Makes the directory where there is none.
    pub fn lock(path: &Path) -> Result<DataDirectory, DataDirectoryError> {
        fs::create_dir_all(path).map_err(|source| failed("create", path, source))?;
        let lock_path = path.join(LOCK_NAME);
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&lock_path)
            .map_err(|source| failed("open", &lock_path, source))?;
        let mut lock = match lock_file(file) {
            Ok(lock) => lock,
            Err((_, nix::errno::Errno::EWOULDBLOCK)) => {
                let pid = fs::read_to_string(&lock_path).unwrap_or_default();
                let pid = pid.trim().to_owned();
                return Err(DataDirectoryError::InUse { path: path.to_owned(), pid });
            }
            Err((_, errno)) => return Err(failed("lock", &lock_path, errno.into())),
        };
        lock.set_len(0)
            .and_then(|()| writeln!(lock, "{}", std::process::id()))
            .map_err(|source| failed("write", &lock_path, source))?;
        Ok(DataDirectory { path: path.to_owned(), _lock: lock })
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn publish(&self, agent: &AgentFile) -> Result<(), DataDirectoryError> {
        let path = self.path.join(AGENT_NAME);
        let text = serde_json::to_string_pretty(agent)
            .map_err(|error| failed("encode", &path, error.into()))?;
        replace_durably(&path, text.as_bytes()).map_err(|source| failed("write", &path, source))
    }

    /// After a clean stop there is nobody to be found.
    pub fn withdraw(&self) -> Result<(), DataDirectoryError> {
        let path = self.path.join(AGENT_NAME);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(failed("remove", &path, error))
            }
            _ => Ok(()),
        }
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> DataDirectoryError {
    DataDirectoryError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_start_on_the_same_directory_is_refused_with_the_first_ones_pid() {
        let directory = tempfile::tempdir().unwrap();
        let first = DataDirectory::lock(directory.path()).unwrap();
        let error = DataDirectory::lock(directory.path()).unwrap_err();
        assert!(matches!(error, DataDirectoryError::InUse { .. }), "{error}");
        assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
        drop(first);
        assert!(DataDirectory::lock(directory.path()).is_ok());
    }

    #[test]
    fn the_agent_is_found_until_it_stops() {
        let directory = tempfile::tempdir().unwrap();
        let locked = DataDirectory::lock(directory.path()).unwrap();
        let agent = AgentFile {
            pid: 1,
            host: "sdw1".to_owned(),
            rpc_port: 5438,
            pg_port: 40_000,
            segment: "ab".to_owned(),
            cluster_id: "x".to_owned(),
        };
        locked.publish(&agent).unwrap();
        let text = fs::read_to_string(directory.path().join(AGENT_NAME)).unwrap();
        assert_eq!(serde_json::from_str::<AgentFile>(&text).unwrap(), agent);
        locked.withdraw().unwrap();
        locked.withdraw().unwrap();
        assert!(!directory.path().join(AGENT_NAME).exists());
    }
}
