//! The data directory of a master node: where everything lies, who it belongs to, and that only
//! one process works in it.
//!
//! It never looks into the log or the catalog. A directory that is not ours, or not empty at
//! init, is refused and left as it was.
//!
//! ```text
//! node.json        cluster id, node number, incarnation; for a standby where to find a primary
//! control.json     what must never be forgotten (control_file)
//! cluster.secret   shared by all nodes, mode 0600
//! pg_xlog/  catalog/  pg_log/  pg_hba.conf  postmaster.pid
//! pg_lost_wal/     what was cut off the log, and logs of lives before a seed (seeded)
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::Flock;
use serde::{Deserialize, Serialize};

use crate::runtime::lock_file;
use crate::types::{ClusterId, Incarnation, Member, NodeId};

use super::control_file::write_durably;

const LOCK_ATTEMPTS: u32 = 5;

#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    #[error("{verb} \"{}\"", path.display())]
    Io { verb: &'static str, path: PathBuf, source: io::Error },
    #[error("directory \"{}\" exists but is not empty", path.display())]
    NotEmpty { path: PathBuf },
    #[error(
        "\"{}\" is not a data directory of hawq-master (no node.json); run \"hawq init\" first",
        path.display()
    )]
    Foreign { path: PathBuf },
    #[error("\"{}\" is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
    #[error(
        "data directory \"{}\" is already in use by process {pid}: \
         lock file \"postmaster.pid\" is held", path.display()
    )]
    InUse { path: PathBuf, pid: String },
    #[error(
        "secret file \"{}\" is readable by others (mode {mode:o}); it must be 0600",
        path.display()
    )]
    LooseSecret { path: PathBuf, mode: u32 },
}

type Result<T> = std::result::Result<T, DataDirError>;

/// Who the directory belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeIdentity {
    pub cluster: ClusterId,
    pub node: NodeId,
    pub incarnation: Incarnation,
}

impl NodeIdentity {
    #[must_use]
    pub fn member(&self) -> Member {
        Member { node: self.node, incarnation: self.incarnation }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeText {
    cluster_id: String,
    node: u8,
    incarnation: String,
}

/// Paths within a data directory.
#[derive(Debug, Clone)]
pub struct DataDir {
    root: PathBuf,
}

impl DataDir {
    /// An existing directory of ours.
    pub fn open(root: &Path) -> Result<DataDir> {
        let found = DataDir { root: root.to_path_buf() };
        if !found.node_file().is_file() {
            return Err(DataDirError::Foreign { path: root.into() });
        }
        Ok(found)
    }

    /// Makes the directory and its folders; refused unless it is missing or empty.
    pub fn create(root: &Path) -> Result<DataDir> {
        refuse_content(root)?;
        let made = DataDir { root: root.to_path_buf() };
        for folder in [root, &made.log_dir(), &made.lost_wal_dir(), &made.server_log_dir()] {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(|source| failed("create directory", folder, source))?;
        }
        Ok(made)
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn node_file(&self) -> PathBuf {
        self.root.join("node.json")
    }

    #[must_use]
    pub fn control_file(&self) -> PathBuf {
        self.root.join("control.json")
    }

    #[must_use]
    pub fn secret_file(&self) -> PathBuf {
        self.root.join("cluster.secret")
    }

    /// The write-ahead log.
    #[must_use]
    pub fn log_dir(&self) -> PathBuf {
        self.root.join("pg_xlog")
    }

    #[must_use]
    pub fn lost_wal_dir(&self) -> PathBuf {
        self.root.join("pg_lost_wal")
    }

    #[must_use]
    pub fn catalog_dir(&self) -> PathBuf {
        self.root.join("catalog")
    }

    /// The server's text log.
    #[must_use]
    pub fn server_log_dir(&self) -> PathBuf {
        self.root.join("pg_log")
    }

    #[must_use]
    pub fn hba_file(&self) -> PathBuf {
        self.root.join("pg_hba.conf")
    }

    pub fn identity(&self) -> Result<NodeIdentity> {
        let path = self.node_file();
        let text = fs::read_to_string(&path).map_err(|source| failed("read", &path, source))?;
        parse_identity(&text).map_err(|reason| DataDirError::Damaged { path, reason })
    }

    /// Last of what init writes: from here on the directory is ours.
    pub fn write_identity(&self, identity: &NodeIdentity) -> Result<()> {
        let text = NodeText {
            cluster_id: identity.cluster.to_string(),
            node: identity.node.get(),
            incarnation: identity.incarnation.to_string(),
        };
        let path = self.node_file();
        let text = serde_json::to_string_pretty(&text)
            .map_err(|error| failed("encode", &path, io::Error::other(error)))?;
        write_durably(&path, text.as_bytes()).map_err(|source| failed("write", &path, source))
    }

    pub fn write_secret(&self, secret: &str) -> Result<()> {
        let path = self.secret_file();
        let write = || {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create_new(true).mode(0o600).open(&path)?;
            file.write_all(secret.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        };
        write().map_err(|source| failed("write", &path, source))
    }

    pub fn secret(&self) -> Result<String> {
        read_secret(&self.secret_file())
    }

    pub fn write_hba(&self, text: &str) -> Result<()> {
        let path = self.hba_file();
        write_durably(&path, text.as_bytes()).map_err(|source| failed("write", &path, source))
    }

    /// Holds the directory for this process until the lock is dropped.
    pub fn lock(&self) -> Result<DirLock> {
        let path = self.root.join("postmaster.pid");
        for _ in 0..LOCK_ATTEMPTS {
            if let Some(lock) = self.try_lock(&path)? {
                return Ok(lock);
            }
        }
        Err(failed("lock", &path, io::Error::other("the file keeps being replaced")))
    }

    /// `None` when another process removed the file between our open and our lock.
    fn try_lock(&self, path: &Path) -> Result<Option<DirLock>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let file = options.open(path).map_err(|source| failed("open", path, source))?;
        let mut file = match lock_file(file) {
            Ok(file) => file,
            Err((mut file, nix::errno::Errno::EWOULDBLOCK)) => {
                let pid = first_line(&mut file).unwrap_or_else(|| "unknown".to_owned());
                return Err(DataDirError::InUse { path: self.root.clone(), pid });
            }
            Err((_, errno)) => return Err(failed("lock", path, errno.into())),
        };
        let ours = file.metadata().map_err(|source| failed("read", path, source))?;
        if fs::metadata(path).map_or(true, |there| there.ino() != ours.ino()) {
            return Ok(None);
        }
        let mut write = || {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}\n{}", std::process::id(), self.root.display())
        };
        write().map_err(|source| failed("write", path, source))?;
        Ok(Some(DirLock { file, path: path.to_path_buf() }))
    }
}

/// Held while a process works in the directory; the file is removed with it.
#[derive(Debug)]
pub struct DirLock {
    file: Flock<File>,
    path: PathBuf,
}

impl DirLock {
    /// What HAWQ's tools read after the pid: directory, start time, port and socket directory.
    pub fn note(&mut self, started_at: i64, pg_port: u16, socket_dir: &str) -> io::Result<()> {
        writeln!(self.file, "{}\n{pg_port}\n{socket_dir}", started_at / 1_000_000)
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        // Best effort: a file that stays behind is not locked and so does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// A secret file that only its owner can read; the secret is its first line.
pub fn read_secret(path: &Path) -> Result<String> {
    let metadata = fs::metadata(path).map_err(|source| failed("read", path, source))?;
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(DataDirError::LooseSecret { path: path.into(), mode });
    }
    let mut file = File::open(path).map_err(|source| failed("read", path, source))?;
    first_line(&mut file).filter(|secret| !secret.is_empty()).ok_or_else(|| DataDirError::Damaged {
        path: path.into(),
        reason: "it holds no secret".to_owned(),
    })
}

fn first_line(file: &mut File) -> Option<String> {
    const FIRST_LINE_MAX: u64 = 4096;
    let mut text = String::new();
    file.take(FIRST_LINE_MAX).read_to_string(&mut text).ok()?;
    text.lines().next().map(str::to_owned)
}

fn refuse_content(root: &Path) -> Result<()> {
    let entries = match fs::read_dir(root) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(failed("read directory", root, source)),
    };
    for entry in entries {
        let entry = entry.map_err(|source| failed("read directory", root, source))?;
        // Whoever starts us may have made the folder for our log file.
        if entry.file_name() != "pg_log" {
            return Err(DataDirError::NotEmpty { path: root.into() });
        }
    }
    Ok(())
}

fn parse_identity(text: &str) -> std::result::Result<NodeIdentity, String> {
    let text: NodeText = serde_json::from_str(text).map_err(|error| error.to_string())?;
    Ok(NodeIdentity {
        cluster: text.cluster_id.parse().map_err(|error| format!("{error}"))?,
        node: NodeId::new(text.node).ok_or("node number 0")?,
        incarnation: text.incarnation.parse().map_err(|error| format!("{error}"))?,
    })
}

fn failed(verb: &'static str, path: &Path, source: io::Error) -> DataDirError {
    DataDirError::Io { verb, path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity() -> NodeIdentity {
        NodeIdentity {
            cluster: ClusterId(77),
            node: NodeId::new(3).unwrap(),
            incarnation: Incarnation(9),
        }
    }

    #[test]
    fn a_directory_is_ours_once_it_names_its_node() {
        let temp = tempfile::tempdir().unwrap();
        let root = temp.path().join("node");
        let made = DataDir::create(&root).unwrap();
        assert!(matches!(DataDir::open(&root), Err(DataDirError::Foreign { .. })));
        made.write_identity(&identity()).unwrap();
        assert_eq!(DataDir::open(&root).unwrap().identity().unwrap(), identity());
    }

    #[test]
    fn a_directory_with_content_is_refused_and_left_alone() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("letter"), "dear").unwrap();
        let refused = DataDir::create(temp.path());
        assert!(matches!(refused, Err(DataDirError::NotEmpty { .. })));
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_second_process_is_refused_with_the_pid_of_the_first() {
        let temp = tempfile::tempdir().unwrap();
        let made = DataDir::create(&temp.path().join("node")).unwrap();
        let lock = made.lock().unwrap();
        let refused = made.lock().unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        drop(lock);
        drop(made.lock().unwrap());
    }

    #[test]
    fn a_stale_pid_file_does_no_harm() {
        let temp = tempfile::tempdir().unwrap();
        let made = DataDir::create(&temp.path().join("node")).unwrap();
        fs::write(made.root().join("postmaster.pid"), "1\n").unwrap();
        made.lock().unwrap();
    }

    #[test]
    fn a_secret_that_others_can_read_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let made = DataDir::create(&temp.path().join("node")).unwrap();
        made.write_secret("open sesame").unwrap();
        assert_eq!(made.secret().unwrap(), "open sesame");
        assert!(made.write_secret("another").is_err());
        let loose = fs::Permissions::from_mode(0o644);
        fs::set_permissions(made.secret_file(), loose).unwrap();
        assert!(matches!(made.secret(), Err(DataDirError::LooseSecret { mode: 0o644, .. })));
    }

    #[test]
    fn a_damaged_identity_is_refused() {
        let temp = tempfile::tempdir().unwrap();
        let made = DataDir::create(&temp.path().join("node")).unwrap();
        for bad in ["", "{}", "{\"cluster_id\":\"x\",\"node\":1,\"incarnation\":\"y\"}"] {
            fs::write(made.node_file(), bad).unwrap();
            let opened = DataDir::open(made.root()).unwrap();
            assert!(matches!(opened.identity(), Err(DataDirError::Damaged { .. })), "{bad:?}");
        }
    }
}
