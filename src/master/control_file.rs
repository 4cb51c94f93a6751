//! The control file: what a node must never forget, written as a whole, atomically and durably.
//!
//! Two writers meet here: the node (what it follows and has promised, and the record it has
//! learned) and, in manual mode, the coordinator, for which the record in this file is the record
//! itself. A write never takes the record back to an older one; that is the only thing that this
//! file decides. A write that fails ends the process: nobody can tell what the disk holds then.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ha::RecordStore;
use crate::types::ClusterState;

use super::Control;
use super::control_json;
use super::fatal::Fatal;

#[derive(Debug, thiserror::Error)]
pub enum ControlFileError {
    #[error("{verb} control file \"{}\"", path.display())]
    Io { verb: &'static str, path: PathBuf, source: io::Error },
    #[error("control file \"{}\" is damaged: {reason}", path.display())]
    Damaged { path: PathBuf, reason: String },
}

/// The file and its content in memory; cheap to clone.
#[derive(Clone)]
pub struct ControlFile {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    /// Held while the file is written: one writer at a time.
    writing: Mutex<()>,
    /// Never ahead of the disk, and never locked while somebody waits for it.
    content: Mutex<Control>,
    fatal: Fatal,
}

impl ControlFile {
    /// Writes a first control file; fails if there is one.
    pub fn create(path: &Path, control: &Control) -> Result<(), ControlFileError> {
        let failed = |source| ControlFileError::Io { verb: "create", path: path.into(), source };
        if path.exists() {
            return Err(failed(io::ErrorKind::AlreadyExists.into()));
        }
        write_durably(path, control_json::encode(control).as_bytes()).map_err(failed)
    }

    pub fn open(path: &Path) -> Result<ControlFile, ControlFileError> {
        ControlFile::open_with(path, Fatal::process())
    }

    fn open_with(path: &Path, fatal: Fatal) -> Result<ControlFile, ControlFileError> {
        let text = fs::read_to_string(path).map_err(|source| ControlFileError::Io {
            verb: "read",
            path: path.into(),
            source,
        })?;
        let control = control_json::decode(&text)
            .map_err(|reason| ControlFileError::Damaged { path: path.into(), reason })?;
        let (writing, content) = (Mutex::default(), Mutex::new(control));
        let inner = Inner { path: path.into(), writing, content, fatal };
        Ok(ControlFile { inner: Arc::new(inner) })
    }

    #[must_use]
    pub fn content(&self) -> Control {
        self.lock().clone()
    }

    /// Makes `control` durable; a newer record that is already there stays.
    pub fn persist(&self, control: &Control) -> Result<(), ControlFileError> {
        let _writing = locked(&self.inner.writing);
        let mut next = control.clone();
        next.record = newer(self.content().record, next.record);
        self.write(next)
    }

    /// Replaces the record if it is still `expected`.
    pub fn replace_record(
        &self,
        expected: &ClusterState,
        proposed: &ClusterState,
    ) -> Result<bool, ControlFileError> {
        let _writing = locked(&self.inner.writing);
        let mut next = self.content();
        if next.record.as_ref() != Some(expected) {
            return Ok(false);
        }
        next.record = Some(proposed.clone());
        self.write(next)?;
        Ok(true)
    }

    /// The caller holds `writing`.
    fn write(&self, next: Control) -> Result<(), ControlFileError> {
        let path = &self.inner.path;
        if let Err(source) = write_durably(path, control_json::encode(&next).as_bytes()) {
            let error = ControlFileError::Io { verb: "write", path: path.clone(), source };
            self.inner.fatal.error("control file", &error);
            return Err(error);
        }
        *self.lock() = next;
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Control> {
        locked(&self.inner.content)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The record of the later reign, or the later version within one.
fn newer(known: Option<ClusterState>, given: Option<ClusterState>) -> Option<ClusterState> {
    match (known, given) {
        (Some(known), Some(given)) => {
            let keep = (known.epoch, known.version) > (given.epoch, given.version);
            Some(if keep { known } else { given })
        }
        (known, given) => given.or(known),
    }
}

impl RecordStore for ControlFile {
    fn current(&self) -> Option<ClusterState> {
        self.lock().record.clone()
    }

    async fn replace(&self, expected: &ClusterState, proposed: &ClusterState) -> io::Result<bool> {
        let (file, expected, proposed) = (self.clone(), expected.clone(), proposed.clone());
        let write = move || file.replace_record(&expected, &proposed);
        let written = tokio::task::spawn_blocking(write).await;
        written.map_err(io::Error::other)?.map_err(io::Error::other)
    }
}

/// New file, fdatasync, rename over the old one, fsync of the directory.
pub(super) fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    File::open(directory)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ha::manual_policy::tests::{node, record, taken_over};
    use crate::types::Epoch;

    fn control(record: Option<ClusterState>) -> Control {
        Control { followed: Epoch::new(3, node(1)), promised: Epoch::new(4, node(2)), record }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.json");
        for record in [None, Some(record(5, 3, 2, &[1, 2]))] {
            let _ = fs::remove_file(&path);
            ControlFile::create(&path, &control(record.clone())).unwrap();
            assert_eq!(ControlFile::open(&path).unwrap().content(), control(record));
        }
        assert!(ControlFile::create(&path, &control(None)).is_err());
    }

    #[test]
    fn a_late_write_of_the_node_does_not_take_the_record_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.json");
        let (old, new) = (record(5, 3, 2, &[1, 2]), record(6, 3, 2, &[1]));
        ControlFile::create(&path, &control(Some(old.clone()))).unwrap();
        let file = ControlFile::open(&path).unwrap();
        assert!(file.replace_record(&old, &new).unwrap());
        assert!(!file.replace_record(&old, &new).unwrap());
        let mut late = control(Some(old.clone()));
        late.promised = Epoch::new(9, node(1));
        file.persist(&late).unwrap();
        late.record = Some(new.clone());
        assert_eq!(ControlFile::open(&path).unwrap().content(), late);
        // A later reign wins over a higher version of an earlier one.
        let reign = ClusterState { version: 2, ..taken_over(&new, 2) };
        file.persist(&control(Some(reign.clone()))).unwrap();
        file.persist(&control(Some(new))).unwrap();
        assert_eq!(ControlFile::open(&path).unwrap().content(), control(Some(reign)));
    }

    #[test]
    fn a_write_that_fails_ends_the_process_and_is_not_remembered() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gone").join("control.json");
        fs::create_dir(directory.path().join("gone")).unwrap();
        let (old, new) = (record(5, 3, 2, &[1, 2]), record(6, 3, 2, &[1]));
        ControlFile::create(&path, &control(Some(old.clone()))).unwrap();
        let ends = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&ends);
        let fatal = Fatal::new(move |reason: &str| seen.lock().unwrap().push(reason.to_owned()));
        let file = ControlFile::open_with(&path, fatal).unwrap();
        fs::remove_dir_all(directory.path().join("gone")).unwrap();
        assert!(file.replace_record(&old, &new).is_err());
        assert!(file.replace_record(&old, &new).is_err(), "not Done either when tried again");
        assert!(file.persist(&control(Some(new))).is_err());
        assert_eq!(file.content(), control(Some(old)));
        let ends = ends.lock().unwrap();
        assert_eq!(ends.len(), 3);
        assert!(ends[0].contains("write control file"), "{ends:?}");
    }

    #[test]
    fn damage_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("control.json");
        for bad in ["", "{", "{\"followed\":1}", "null"] {
            fs::write(&path, bad).unwrap();
            let found = ControlFile::open(&path);
            assert!(matches!(found, Err(ControlFileError::Damaged { .. })), "{bad:?}");
        }
    }
}
