//! Tests of the temporary directories: each is written to and read back, within a deadline.
//!
//! A directory on a dead network mount hangs whoever touches it. The hung thread is left behind,
//! but only one a directory: until it returns that directory counts as failed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

/// HAWQ's name for the file.
const TEST_FILE: &str = "checktmpdir.log";

/// Bound of the test of one directory; all are tested at once.
const DEADLINE: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Directory {
    path: PathBuf,
    busy: AtomicBool,
}

/// The configured temporary directories, in their order.
#[derive(Debug, Clone)]
pub struct Directories {
    all: Arc<[Arc<Directory>]>,
}

impl Directories {
    #[must_use]
    pub fn new(paths: &[PathBuf]) -> Directories {
        let directory = |path: &PathBuf| {
            Arc::new(Directory { path: path.clone(), busy: AtomicBool::new(false) })
        };
        Directories { all: paths.iter().map(directory).collect() }
    }

    /// Those that failed, in the configured order, with why.
    pub async fn check(&self) -> Vec<(String, String)> {
        let mut tests = JoinSet::new();
        for (position, directory) in self.all.iter().cloned().enumerate() {
            tests.spawn(async move { (position, test_bounded(directory).await) });
        }
        let mut failed = Vec::new();
        while let Some(finished) = tests.join_next().await {
            if let Ok((position, Err(error))) = finished {
                failed.push((position, error.to_string()));
            }
        }
        failed.sort_unstable();
        let name = |position: usize| {
            self.all.get(position).map(|d| d.path.display().to_string()).unwrap_or_default()
        };
        failed.into_iter().map(|(position, reason)| (name(position), reason)).collect()
    }
}

async fn test_bounded(directory: Arc<Directory>) -> io::Result<()> {
    if directory.busy.swap(true, Ordering::AcqRel) {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "an earlier test still hangs"));
    }
    let test = tokio::task::spawn_blocking(move || {
        let result = test(&directory.path);
        directory.busy.store(false, Ordering::Release);
        result
    });
    match tokio::time::timeout(DEADLINE, test).await {
        Ok(Ok(result)) => result,
        Ok(Err(error)) => Err(io::Error::other(error)),
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "the test does not end")),
    }
}

/// Writes, reads back from the file, removes. HAWQ only opens the file for writing, which a full or
/// broken disk may allow.
fn test(directory: &Path) -> io::Result<()> {
    let path = directory.join(TEST_FILE);
    let content = format!("{} {:?}\n", std::process::id(), std::time::SystemTime::now());
    let mut file: File =
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
    file.write_all(content.as_bytes())?;
    file.sync_data()?;
    file.seek(SeekFrom::Start(0))?;
    let mut read = String::new();
    file.read_to_string(&mut read)?;
    if read != content {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "what was written is not read"));
    }
    fs::remove_file(&path)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A disk that is slower than the deadline counts as failed until it has answered.
    async fn eventually_fail(directories: &Directories, expected: &[PathBuf]) {
        let search = async {
            loop {
                let failed = directories.check().await.into_iter().map(|(name, _)| name);
                if failed.eq(expected.iter().map(|path| path.display().to_string())) {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        let found = tokio::time::timeout(Duration::from_secs(60), search).await;
        found.unwrap_or_else(|_| panic!("{expected:?} did not fail, or others did"));
    }

    #[tokio::test]
    async fn a_directory_that_is_missing_or_a_file_fails_by_name() {
        let root = tempfile::tempdir().unwrap();
        let paths: Vec<PathBuf> =
            ["a", "b", "c"].iter().map(|name| root.path().join(name)).collect();
        paths.iter().for_each(|path| fs::create_dir(path).unwrap());
        let directories = Directories::new(&paths);
        eventually_fail(&directories, &[]).await;
        fs::remove_dir(&paths[1]).unwrap();
        fs::write(&paths[1], "a file").unwrap();
        fs::remove_dir(&paths[2]).unwrap();
        eventually_fail(&directories, &paths[1..]).await;
        fs::remove_file(&paths[1]).unwrap();
        paths[1..].iter().for_each(|path| fs::create_dir(path).unwrap());
        eventually_fail(&directories, &[]).await;
        assert_eq!(fs::read_dir(&paths[0]).unwrap().count(), 0, "nothing is left behind");
    }

    #[tokio::test]
    async fn a_test_that_cannot_write_fails() {
        // Writes to this file always fail for want of space, also for the superuser.
        let root = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/dev/full", root.path().join(TEST_FILE)).unwrap();
        let failed = Directories::new(&[root.path().to_owned()]).check().await;
        assert_eq!(failed.len(), 1, "{failed:?}");
    }

    #[tokio::test]
    async fn a_directory_whose_test_still_hangs_is_failed_at_once() {
        let root = tempfile::tempdir().unwrap();
        let directories = Directories::new(&[root.path().to_owned()]);
        directories.all[0].busy.store(true, Ordering::Release);
        let failed = directories.check().await;
        assert!(failed[0].1.contains("hangs"), "{failed:?}");
    }
}
