//! One life of a node has one log and one catalog, in folders named by its incarnation:
//! `pg_xlog/<incarnation>/` and `catalog/<incarnation>/`.
//!
//! Seeding prepares both folders of the next life beside the present ones. What makes the new life
//! the present one is a single atomic write of `node.json`; a crash before it leaves the old life
//! whole, a crash after it leaves only rubbish, which the next start removes.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::types::Incarnation;

use super::data_dir::DataDir;

impl DataDir {
    #[must_use]
    pub fn log_of(&self, incarnation: Incarnation) -> PathBuf {
        self.log_dir().join(incarnation.to_string())
    }

    #[must_use]
    pub fn catalog_of(&self, incarnation: Incarnation) -> PathBuf {
        self.catalog_dir().join(incarnation.to_string())
    }

    /// Removes what other lives have left: the life before a seed, or a seed that never finished.
    pub fn remove_other_lives(&self, present: Incarnation) -> io::Result<()> {
        let present = present.to_string();
        for folder in [self.log_dir(), self.catalog_dir()] {
            remove_others(&folder, &present)?;
        }
        Ok(())
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

fn remove_others(folder: &Path, present: &str) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        // Nothing but folders of lives is ours to remove.
        let life = name.to_str().is_some_and(|name| name.parse::<Incarnation>().is_ok());
        if life && name != present {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_folders_of_other_lives_are_removed() {
        let temp = tempfile::tempdir().unwrap();
        let made = DataDir::create(&temp.path().join("node")).unwrap();
        let (old, new) = (Incarnation(1), Incarnation(2));
        for life in [old, new] {
            fs::create_dir_all(made.log_of(life)).unwrap();
            fs::create_dir_all(made.catalog_of(life)).unwrap();
        }
        let letter = made.log_dir().join("letter");
        fs::write(&letter, "dear").unwrap();
        made.remove_other_lives(new).unwrap();
        assert!(made.log_of(new).exists() && made.catalog_of(new).exists() && letter.exists());
        assert!(!made.log_of(old).exists() && !made.catalog_of(old).exists());
    }
}
