//! What the simulated disk remembers: what its device holds, what is only in its cache, and which
//! names are durable. A crash is settled here; who may do what to a file is `sim_disk`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

pub(super) const SECTOR: usize = 512;

type Sector = [u8; SECTOR];

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) random: u64,
    /// Handles from before a crash do nothing any more.
    pub(super) boot: u64,
    pub(super) next_inode: u64,
    pub(super) inodes: BTreeMap<u64, Inode>,
    pub(super) live: BTreeMap<PathBuf, u64>,
    pub(super) durable: BTreeMap<PathBuf, u64>,
    /// Changes of directories that are not durable yet, oldest first.
    pub(super) pending: Vec<Change>,
    pub(super) failing_syncs: u64,
    /// Mutations that still succeed before the power goes.
    pub(super) steps_left: Option<u64>,
    pub(super) steps: u64,
    pub(super) capacity: Option<u64>,
}

#[derive(Debug, Default)]
pub(super) struct Inode {
    pub(super) len: u64,
    pub(super) sectors: BTreeMap<u64, Sector>,
    /// What the device holds of sectors that were written since they were synced.
    pub(super) unsynced: BTreeMap<u64, Sector>,
    /// The same for sectors of a failed sync: a later one no longer covers them.
    pub(super) abandoned: BTreeMap<u64, Sector>,
}

#[derive(Debug, Clone)]
pub(super) enum Change {
    Link { path: PathBuf, inode: u64 },
    Rename { from: PathBuf, to: PathBuf },
    Unlink { path: PathBuf },
}

impl Change {
    pub(super) fn directory(&self) -> &Path {
        match self {
            Change::Link { path, .. }
            | Change::Rename { to: path, .. }
            | Change::Unlink { path } => path.parent().unwrap_or(Path::new("")),
        }
    }

    pub(super) fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Change::Link { path, inode } => {
                names.insert(path.clone(), *inode);
            }
            Change::Rename { from, to } => {
                if let Some(inode) = names.remove(from) {
                    names.insert(to.clone(), inode);
                }
            }
            Change::Unlink { path } => {
                names.remove(path);
            }
        }
    }
}

impl State {
    /// xorshift64*, so that nothing but the seed decides.
    pub(super) fn random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    pub(super) fn is_lucky(&mut self) -> bool {
        self.random().is_multiple_of(2)
    }

    /// Counts one change; an error once the power is off.
    pub(super) fn step(&mut self) -> io::Result<()> {
        self.check_power()?;
        self.steps += 1;
        if let Some(left) = &mut self.steps_left {
            *left -= 1;
        }
        Ok(())
    }

    pub(super) fn check_power(&self) -> io::Result<()> {
        match self.steps_left {
            Some(0) => Err(io::Error::other("power is off")),
            _ => Ok(()),
        }
    }

    pub(super) fn used(&self) -> u64 {
        let named: BTreeSet<u64> = self.live.values().copied().collect();
        named.iter().filter_map(|inode| self.inodes.get(inode)).map(|inode| inode.len).sum()
    }

    pub(super) fn check_space(&self, more: u64) -> io::Result<()> {
        match self.capacity {
            Some(capacity) if self.used() + more > capacity => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    /// Of each directory's pending changes some prefix was durable.
    pub(super) fn settle_names(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let directories: BTreeSet<PathBuf> =
            pending.iter().map(|change| change.directory().to_owned()).collect();
        for directory in directories {
            let changes: Vec<_> =
                pending.iter().filter(|change| change.directory() == directory).collect();
            let kept = (self.random() % (changes.len() as u64 + 1)) as usize;
            for change in changes.into_iter().take(kept) {
                change.apply(&mut self.durable);
            }
        }
        self.live = self.durable.clone();
        let named: BTreeSet<u64> = self.live.values().copied().collect();
        self.inodes.retain(|inode, _| named.contains(inode));
    }

    pub(super) fn settle_sectors(&mut self) {
        let inodes: Vec<u64> = self.inodes.keys().copied().collect();
        for number in inodes {
            let Some(inode) = self.inodes.get_mut(&number) else { continue };
            let mut open = std::mem::take(&mut inode.abandoned);
            open.append(&mut inode.unsynced);
            for (sector, device) in open {
                let is_lost = self.is_lucky();
                if let Some(inode) = self.inodes.get_mut(&number)
                    && is_lost
                {
                    inode.sectors.insert(sector, device);
                }
            }
        }
    }

    pub(super) fn inode(&mut self, number: u64, boot: u64) -> io::Result<&mut Inode> {
        if boot != self.boot {
            return Err(io::Error::other("file was open before the crash"));
        }
        self.inodes.get_mut(&number).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

pub(super) fn split(offset: u64) -> (u64, usize) {
    (offset / SECTOR as u64, (offset % SECTOR as u64) as usize)
}
