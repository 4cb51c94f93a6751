//! One life of a node has one log and one catalog, in folders named by its incarnation:
//! `pg_xlog/<incarnation>/` and `catalog/<incarnation>/`.
//!
//! Seeding prepares both folders of the next life beside the present ones. What makes the new life
//! the present one is a single atomic write of `node.json`; a crash before it leaves the old life
//! whole, a crash after it leaves only what the next start clears away. The log of a life that was
//! lived may hold records that no other node has (rule 14), so it is not removed but moved to
//! `pg_lost_wal/<incarnation>/`; of those folders the newest `LOST_LIVES_MAX` are kept. The log of
//! a seed that never became a life holds nothing, and goes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::types::Incarnation;

use super::data_dir::DataDir;

/// Each may be as large as `aerie_wal_keep`.
const LOST_LIVES_MAX: usize = 3;

/// In the log's folder of a life that has not begun.
const UNBORN_NAME: &str = "unborn";

/// A copy to another file system that is under way.
const COPY_SUFFIX: &str = ".partial";

impl DataDir {
    #[must_use]
    pub fn log_of(&self, incarnation: Incarnation) -> PathBuf {
        self.log_dir().join(incarnation.to_string())
    }

    #[must_use]
    pub fn catalog_of(&self, incarnation: Incarnation) -> PathBuf {
        self.catalog_dir().join(incarnation.to_string())
    }

    /// Where the log of an earlier life is kept.
    #[must_use]
    pub fn lost_log_of(&self, incarnation: Incarnation) -> PathBuf {
        self.lost_wal_dir().join(incarnation.to_string())
    }

    /// Before the log of the next life is begun: should it never be lived, it is rubbish.
    pub fn announce_life(&self, next: Incarnation) -> io::Result<()> {
        let folder = self.log_of(next);
        fs::create_dir_all(&folder)?;
        fs::File::create(folder.join(UNBORN_NAME))?.sync_all()?;
        sync_dir(&folder)?;
        sync_dir(&self.log_dir())
    }

    /// Clears away what other lives have left: a seed that never finished is removed, the log of
    /// the life before a seed is moved to `pg_lost_wal/`. Returns where, for each log kept.
    pub fn remove_other_lives(&self, present: Incarnation) -> io::Result<Vec<PathBuf>> {
        let unborn = self.log_of(present).join(UNBORN_NAME);
        if unborn.exists() {
            fs::remove_file(&unborn)?;
            sync_dir(&self.log_of(present))?;
        }
        let mut kept = Vec::new();
        for (life, folder) in lives(&self.log_dir())? {
            if life == present {
                continue;
            }
            if folder.join(UNBORN_NAME).exists() {
                fs::remove_dir_all(&folder)?;
                continue;
            }
            let keep = self.lost_log_of(life);
            self.keep_log(&folder, &keep)?;
            kept.push(keep);
        }
        if !kept.is_empty() {
            self.forget_oldest()?;
        }
        for (life, folder) in lives(&self.catalog_dir())? {
            if life != present {
                fs::remove_dir_all(folder)?;
            }
        }
        Ok(kept)
    }

    /// Durable in its new place before it is gone from the old one.
    fn keep_log(&self, folder: &Path, keep: &Path) -> io::Result<()> {
        let lost = self.lost_wal_dir();
        fs::create_dir_all(&lost)?;
        // Copied whole by a start that was ended before it removed the original.
        if keep.exists() {
            fs::remove_dir_all(keep)?;
        }
        match fs::rename(folder, keep) {
            Ok(()) => {
                sync_dir(&lost)?;
                sync_dir(&self.log_dir())
            }
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                copy_log(folder, keep)?;
                sync_dir(&lost)?;
                fs::remove_dir_all(folder)
            }
            Err(error) => Err(error),
        }
    }

    fn forget_oldest(&self) -> io::Result<()> {
        let mut kept = Vec::new();
        for (_, folder) in lives(&self.lost_wal_dir())? {
            kept.push((newest_change(&folder)?, folder));
        }
        kept.sort();
        let surplus = kept.len().saturating_sub(LOST_LIVES_MAX);
        kept.drain(..surplus).try_for_each(|(_, folder)| fs::remove_dir_all(folder))
    }

    /// Removes transfers and checkpoints that were under way when the process ended.
    pub fn remove_leftovers(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.root())? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name == "seed.partial" || name.starts_with("checkpoint.") {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

/// Folders of lives; nothing else there is ours.
fn lives(folder: &Path) -> io::Result<Vec<(Incarnation, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if let Some(life) = name.to_str().and_then(|name| name.parse::<Incarnation>().ok()) {
            found.push((life, entry.path()));
        }
    }
    Ok(found)
}

/// When the log was last written: lives follow one another, so this orders them.
fn newest_change(folder: &Path) -> io::Result<std::time::SystemTime> {
    let mut newest = std::time::SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(folder)? {
        newest = newest.max(entry?.metadata()?.modified()?);
    }
    Ok(newest)
}

/// `pg_xlog` may lie on another device than the rest.
fn copy_log(folder: &Path, keep: &Path) -> io::Result<()> {
    let mut partial = keep.as_os_str().to_owned();
    partial.push(COPY_SUFFIX);
    let partial = PathBuf::from(partial);
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir(&partial)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let modified = entry.metadata()?.modified()?;
        let target = partial.join(entry.file_name());
        fs::copy(entry.path(), &target)?;
        let copy = fs::File::options().write(true).open(&target)?;
        copy.set_modified(modified)?;
        copy.sync_all()?;
    }
    sync_dir(&partial)?;
    fs::rename(&partial, keep)
}

fn sync_dir(folder: &Path) -> io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

#[cfg(test)]
#[path = "seeded_tests.rs"]
mod tests;
