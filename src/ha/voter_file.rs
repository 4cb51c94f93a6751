//! The one file in which a voter keeps who it is, what it has promised and what it has accepted.
//! JSON, with a checksum.
//!
//! Written anew and renamed, file and directory synced before anything is answered. A file that
//! cannot be read is refused with its name, never taken for a missing one: a voter that forgot
//! would let a chosen record be overwritten. Where there is no file, a new voter is made, which no
//! record names yet.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::proto::{record_from_hex, record_to_hex};
use crate::runtime::{Disk, DiskFile};
use crate::types::{ClusterId, ClusterState, Incarnation};

use super::register::{Acceptor, Ballot};

const FILE_NAME: &str = "voter.json";
const NEW_FILE_NAME: &str = "voter.new";
const FORMAT: u32 = 1;

/// The largest file that is read; a record is a few kilobytes.
const BYTES_MAX: u64 = 16 << 20;

#[derive(Debug, thiserror::Error)]
pub enum VoterFileError {
    #[error("{action} voter file \"{}\"", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error(
        "voter file \"{}\" is damaged ({reason}); this voter cannot say what it accepted: move the \
         file away, restart this process, which makes a new voter, and let it take the place of \
         this one with \"hawq ha voter add\"",
        path.display()
    )]
    Damaged { path: PathBuf, reason: String },
    #[error("voter file \"{}\" belongs to cluster {found}, not to {expected}", path.display())]
    ForeignCluster { path: PathBuf, found: ClusterId, expected: ClusterId },
    #[error("voter file \"{}\" could not be made durable before: {reason}", path.display())]
    Doubtful { path: PathBuf, reason: String },
}

/// As it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    format: u32,
    cluster_id: String,
    incarnation: String,
    promised: u64,
    accepted: u64,
    /// `hawq.v1.ClusterState`, hexadecimal.
    record: Option<String>,
    /// The same for people; never read.
    record_text: Option<String>,
    crc32c: u32,
}

impl Content {
    fn checksum(&self) -> u32 {
        let Content { format, cluster_id, incarnation, promised, accepted, .. } = self;
        let record = self.record.as_deref().unwrap_or("none");
        let all = format!("{format}|{cluster_id}|{incarnation}|{promised}|{accepted}|{record}");
        crc32c::crc32c(all.as_bytes())
    }
}

/// The file of one voter.
#[derive(Debug)]
pub struct VoterFile<D> {
    disk: D,
    directory: PathBuf,
    cluster: ClusterId,
    incarnation: Incarnation,
    /// A sync failed: what the disk holds is not known, and a later success would not tell.
    doubtful: Option<String>,
}

impl<D: Disk> VoterFile<D> {
    /// Reads the file in `directory`, or makes it, as `new_life`, where there is none.
    pub fn open(
        disk: D,
        directory: &Path,
        cluster: ClusterId,
        new_life: Incarnation,
    ) -> Result<(VoterFile<D>, Acceptor<ClusterState>), VoterFileError> {
        let path = directory.join(FILE_NAME);
        let mut file = VoterFile {
            disk,
            directory: directory.to_owned(),
            cluster,
            incarnation: new_life,
            doubtful: None,
        };
        let Some(text) = file.read(&path)? else {
            let acceptor = Acceptor::default();
            file.store(&acceptor)?;
            return Ok((file, acceptor));
        };
        let damaged = |reason: String| VoterFileError::Damaged { path: path.clone(), reason };
        let content: Content =
            serde_json::from_slice(&text).map_err(|error| damaged(error.to_string()))?;
        if content.format != FORMAT {
            return Err(damaged(format!("format {} is not {FORMAT}", content.format)));
        }
        if content.checksum() != content.crc32c {
            return Err(damaged("checksum differs".to_owned()));
        }
        let found: ClusterId =
            content.cluster_id.parse().map_err(|error| damaged(format!("{error}")))?;
        if found != cluster {
            return Err(VoterFileError::ForeignCluster { path, found, expected: cluster });
        }
        file.incarnation =
            content.incarnation.parse().map_err(|error| damaged(format!("{error}")))?;
        let record = content.record.as_deref().map(record_from_hex).transpose();
        let record = record.map_err(damaged)?;
        let (promised, accepted) = (Ballot(content.promised), Ballot(content.accepted));
        Ok((file, Acceptor { promised, accepted, record }))
    }

    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    /// Durable when it returns. After an error the file holds what it held or `acceptor`; neither
    /// was answered for, so both are true.
    pub fn store(&mut self, acceptor: &Acceptor<ClusterState>) -> Result<(), VoterFileError> {
        if let Some(reason) = &self.doubtful {
            let (path, reason) = (self.directory.join(FILE_NAME), reason.clone());
            return Err(VoterFileError::Doubtful { path, reason });
        }
        let mut content = Content {
            format: FORMAT,
            cluster_id: self.cluster.to_string(),
            incarnation: self.incarnation.to_string(),
            promised: acceptor.promised.0,
            accepted: acceptor.accepted.0,
            record: acceptor.record.as_ref().map(record_to_hex),
            record_text: acceptor.record.as_ref().map(ToString::to_string),
            crc32c: 0,
        };
        content.crc32c = content.checksum();
        let text = serde_json::to_vec_pretty(&content)
            .map_err(|error| self.failed("encode", error.into()))?;
        self.write(&text)
    }

    fn write(&mut self, text: &[u8]) -> Result<(), VoterFileError> {
        let (path, new) = (self.directory.join(FILE_NAME), self.directory.join(NEW_FILE_NAME));
        let fresh = || {
            match self.disk.remove(&new) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = self.disk.create(&new, 0)?;
            file.write_all_at(text, 0)?;
            Ok(file)
        };
        let mut file = fresh().map_err(|source| self.failed("write", source))?;
        let synced = file.sync_data();
        drop(file);
        let synced = synced.and_then(|()| {
            self.disk.rename(&new, &path)?;
            self.disk.sync_dir(&self.directory)
        });
        synced.map_err(|source| {
            self.doubtful = Some(source.to_string());
            self.failed("sync", source)
        })
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, VoterFileError> {
        let read = || {
            let file = self.disk.open(path)?;
            let length = file.len()?;
            if length > BYTES_MAX {
                return Err(io::Error::other(format!("{length} bytes are too many")));
            }
            let mut bytes = vec![0; length as usize];
            let mut done = 0;
            while done < bytes.len() {
                match file.read_at(&mut bytes[done..], done as u64)? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    more => done += more,
                }
            }
            Ok(bytes)
        };
        match read() {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.failed("read", source)),
        }
    }

    fn failed(&self, action: &'static str, source: io::Error) -> VoterFileError {
        VoterFileError::Io { action, path: self.directory.join(FILE_NAME), source }
    }
}

#[cfg(test)]
#[path = "voter_file_tests.rs"]
mod tests;
