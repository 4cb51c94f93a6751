//! The one file in which an agent keeps who it is and what it has promised. JSON, with a checksum.
//!
//! Written anew and renamed, file and directory synced before anything is answered. A file that is
//! damaged is refused with its name: an agent that forgot its promises would be a false witness.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::proto::{record_from_hex, record_to_hex};
use crate::types::{ClusterId, Epoch};

use super::fence::FenceState;

const FILE_NAME: &str = "fence.json";
const FORMAT: u32 = 1;

#[derive(Debug, thiserror::Error)]
pub enum FenceFileError {
    #[error("{action} {path}")]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{path} is damaged ({reason}); without it the segment cannot say what it promised")]
    Damaged { path: PathBuf, reason: String },
    #[error("{path} belongs to cluster {found}, not to {expected}")]
    ForeignCluster { path: PathBuf, found: ClusterId, expected: ClusterId },
}

/// As it stands in the file. Epochs are the numbers that travel, not `counter.node`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Content {
    format: u32,
    cluster_id: String,
    /// The segment's identity, hexadecimal.
    segment: String,
    followed: u64,
    promised: u64,
    /// `hawq.v1.ClusterState`, hexadecimal.
    record: Option<String>,
    /// The same for people; never read.
    record_text: Option<String>,
    crc32c: u32,
}

impl Content {
    fn checksum(&self) -> u32 {
        let record = self.record.as_deref().unwrap_or("none");
        let all = format!(
            "{}|{}|{}|{}|{}|{record}",
            self.format, self.cluster_id, self.segment, self.followed, self.promised
        );
        crc32c::crc32c(all.as_bytes())
    }
}

/// The file of one data directory, and the identity in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FenceFile {
    path: PathBuf,
    cluster: ClusterId,
    segment: u64,
}

impl FenceFile {
    /// Reads the file, or makes it with `new_identity` where there is none.
    pub fn open(
        directory: &Path,
        cluster: ClusterId,
        new_identity: u64,
    ) -> Result<(FenceFile, FenceState), FenceFileError> {
        let path = directory.join(FILE_NAME);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let file = FenceFile { path, cluster, segment: new_identity.max(1) };
                let fence = FenceState::default();
                file.store(&fence)?;
                return Ok((file, fence));
            }
            Err(source) => return Err(FenceFileError::Io { action: "read", path, source }),
        };
        let damaged = |reason: String| FenceFileError::Damaged { path: path.clone(), reason };
        let content: Content =
            serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if content.format != FORMAT {
            return Err(damaged(format!("format {} is not {FORMAT}", content.format)));
        }
        if content.checksum() != content.crc32c {
            return Err(damaged("checksum differs".to_owned()));
        }
        let found: ClusterId = content
            .cluster_id
            .parse()
            .map_err(|_| damaged("cluster_id is not a UUID".to_owned()))?;
        if found != cluster {
            return Err(FenceFileError::ForeignCluster { path, found, expected: cluster });
        }
        let segment = u64::from_str_radix(&content.segment, 16)
            .map_err(|_| damaged("segment is not a number".to_owned()))?;
        let record = content.record.as_deref().map(record_from_hex).transpose();
        let record = record.map_err(damaged)?;
        let (followed, promised) = (Epoch(content.followed), Epoch(content.promised));
        Ok((FenceFile { path, cluster, segment }, FenceState { followed, promised, record }))
    }

    #[must_use]
    pub fn segment(&self) -> u64 {
        self.segment
    }

    /// Durable when it returns.
    pub fn store(&self, fence: &FenceState) -> Result<(), FenceFileError> {
        let mut content = Content {
            format: FORMAT,
            cluster_id: self.cluster.to_string(),
            segment: format!("{:016x}", self.segment),
            followed: fence.followed.0,
            promised: fence.promised.0,
            record: fence.record.as_ref().map(record_to_hex),
            record_text: fence.record.as_ref().map(ToString::to_string),
            crc32c: 0,
        };
        content.crc32c = content.checksum();
        let text = serde_json::to_string_pretty(&content)
            .map_err(|error| self.error("encode", error.into()))?;
        replace_durably(&self.path, text.as_bytes()).map_err(|source| self.error("write", source))
    }

    fn error(&self, action: &'static str, source: io::Error) -> FenceFileError {
        FenceFileError::Io { action, path: self.path.clone(), source }
    }
}

/// Either the old content or the new one is there after a crash, and the new one once it returns.
pub(super) fn replace_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.with_extension("json.new");
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    drop(file);
    fs::rename(&new, path)?;
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::test_record;

    #[test]
    fn what_was_stored_is_read_back_and_the_identity_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (file, fence) = FenceFile::open(directory.path(), ClusterId(7), 0xabc).unwrap();
        assert_eq!((file.segment(), &fence), (0xabc, &FenceState::default()));
        let stored = FenceState {
            followed: Epoch(0x0101),
            promised: Epoch(0x0202),
            record: Some(test_record()),
        };
        file.store(&stored).unwrap();
        let (again, read) = FenceFile::open(directory.path(), ClusterId(7), 0xdef).unwrap();
        assert_eq!((again, read), (file, stored));
    }

    #[test]
    fn a_damaged_file_is_refused_whatever_byte_is_changed() {
        let directory = tempfile::tempdir().unwrap();
        let (file, _) = FenceFile::open(directory.path(), ClusterId(7), 5).unwrap();
        let fence = FenceState { followed: Epoch(0x0111), ..FenceState::default() };
        file.store(&fence).unwrap();
        let path = directory.path().join(FILE_NAME);
        let good = fs::read_to_string(&path).unwrap();
        let check = |bad: String| {
            assert_ne!(bad, good);
            fs::write(&path, bad).unwrap();
            let error = FenceFile::open(directory.path(), ClusterId(7), 5).unwrap_err();
            assert!(matches!(error, FenceFileError::Damaged { .. }), "{error}");
            assert!(error.to_string().contains(FILE_NAME), "{error}");
        };
        check(good.replace("273", "272"));
        check(good.replace("\"format\": 1", "\"format\": 2"));
        check(good[..good.len() / 2].to_owned());
        check(String::new());
    }

    #[test]
    fn a_file_of_another_cluster_is_refused_with_both_names() {
        let directory = tempfile::tempdir().unwrap();
        FenceFile::open(directory.path(), ClusterId(7), 5).unwrap();
        let error = FenceFile::open(directory.path(), ClusterId(8), 5).unwrap_err().to_string();
        assert!(error.contains(&ClusterId(7).to_string()), "{error}");
        assert!(error.contains(&ClusterId(8).to_string()), "{error}");
    }
}
