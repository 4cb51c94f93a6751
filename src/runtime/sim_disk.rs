//! The simulation's twin of a disk: in memory, seeded, and as unkind as a real one may be.
//!
//! * What was written is readable at once and durable only after `sync_data`. A crash keeps or
//!   loses each unsynced 512-byte sector by itself, so that writes are torn and reordered.
//! * A file that was created, renamed or removed is so durably only after `sync_dir`; of what was
//!   not synced in one directory, a crash keeps some prefix.
//! * After a failed `sync_data` what was written may or may not be lost, and a later success does
//!   not bring it back (as Linux does it).
//! * Only files have names that can be renamed or removed; directories are simply there.
//! * The same seed and the same calls give the same crash, bit for bit.
//!
//! It never hangs: a disk that does not answer is modelled by the caller, who does not report.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Disk, DiskFile};

const SECTOR: usize = 512;

type Sector = [u8; SECTOR];

/// A clone is another handle on the same disk.
#[derive(Debug, Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    random: u64,
    /// Handles from before a crash do nothing any more.
    boot: u64,
    next_inode: u64,
    inodes: BTreeMap<u64, Inode>,
    live: BTreeMap<PathBuf, u64>,
    durable: BTreeMap<PathBuf, u64>,
    /// Changes of directories that are not durable yet, oldest first.
    pending: Vec<Change>,
    failing_syncs: u64,
    /// Mutations that still succeed before the power goes.
    steps_left: Option<u64>,
    steps: u64,
    capacity: Option<u64>,
}

#[derive(Debug, Default)]
struct Inode {
    len: u64,
    sectors: BTreeMap<u64, Sector>,
    /// What the device holds of sectors that were written since they were synced.
    unsynced: BTreeMap<u64, Sector>,
    /// The same for sectors of a failed sync: a later one no longer covers them.
    abandoned: BTreeMap<u64, Sector>,
}

#[derive(Debug, Clone)]
enum Change {
    Link { path: PathBuf, inode: u64 },
    Rename { from: PathBuf, to: PathBuf },
    Unlink { path: PathBuf },
}

impl Change {
    fn directory(&self) -> &Path {
        match self {
            Change::Link { path, .. }
            | Change::Rename { to: path, .. }
            | Change::Unlink { path } => path.parent().unwrap_or(Path::new("")),
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
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

#[derive(Debug)]
pub struct SimFile {
    state: Arc<Mutex<State>>,
    inode: u64,
    boot: u64,
}

impl SimDisk {
    #[must_use]
    pub fn new(seed: u64) -> SimDisk {
        let random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        SimDisk { state: Arc::new(Mutex::new(State { random, ..State::default() })) }
    }

    /// The power fails and comes back: unsynced writes are lost or kept, piece by piece.
    pub fn crash(&self) {
        let mut state = self.lock();
        state.boot += 1;
        state.steps_left = None;
        state.failing_syncs = 0;
        state.settle_names();
        state.settle_sectors();
    }

    /// The next `count` calls of `sync_data` report an error.
    pub fn fail_next_syncs(&self, count: u64) {
        self.lock().failing_syncs = count;
    }

    /// After `steps` more changes (writes, syncs, names) the power goes: everything fails until
    /// `crash` is called.
    pub fn power_off_after(&self, steps: u64) {
        self.lock().steps_left = Some(steps);
    }

    /// Bytes that files may have together; `None` is endless.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.lock().capacity = bytes;
    }

    /// How many changes were made so far; what `power_off_after` counts.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.lock().steps
    }

    /// Flips bits of a stored byte, as a decaying device does. False when there is no such byte.
    pub fn damage(&self, path: &Path, offset: u64, mask: u8) -> bool {
        let mut state = self.lock();
        let Some(inode) = state.live.get(path).copied() else { return false };
        let Some(inode) = state.inodes.get_mut(&inode) else { return false };
        if offset >= inode.len {
            return false;
        }
        let (sector, at) = split(offset);
        inode.sectors.entry(sector).or_insert([0; SECTOR])[at] ^= mask;
        true
    }

    /// Shortens a file durably, as an incomplete copy would be.
    pub fn truncate(&self, path: &Path, len: u64) {
        let mut state = self.lock();
        let Some(inode) = state.live.get(path).copied() else { return };
        let Some(inode) = state.inodes.get_mut(&inode) else { return };
        inode.len = inode.len.min(len);
        let (sector, at) = split(len);
        inode.sectors.retain(|number, _| *number <= sector);
        if let Some(last) = inode.sectors.get_mut(&sector) {
            last[at..].fill(0);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn handle(&self, inode: u64, boot: u64) -> SimFile {
        SimFile { state: Arc::clone(&self.state), inode, boot }
    }
}

impl State {
    /// xorshift64*, so that nothing but the seed decides.
    fn random(&mut self) -> u64 {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        self.random.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn is_lucky(&mut self) -> bool {
        self.random().is_multiple_of(2)
    }

    /// Counts one change; an error once the power is off.
    fn step(&mut self) -> io::Result<()> {
        self.check_power()?;
        self.steps += 1;
        if let Some(left) = &mut self.steps_left {
            *left -= 1;
        }
        Ok(())
    }

    fn check_power(&self) -> io::Result<()> {
        match self.steps_left {
            Some(0) => Err(io::Error::other("power is off")),
            _ => Ok(()),
        }
    }

    fn used(&self) -> u64 {
        let named: BTreeSet<u64> = self.live.values().copied().collect();
        named.iter().filter_map(|inode| self.inodes.get(inode)).map(|inode| inode.len).sum()
    }

    fn check_space(&self, more: u64) -> io::Result<()> {
        match self.capacity {
            Some(capacity) if self.used() + more > capacity => {
                Err(io::ErrorKind::StorageFull.into())
            }
            _ => Ok(()),
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.live);
        self.pending.push(change);
    }

    /// Of each directory's pending changes some prefix was durable.
    fn settle_names(&mut self) {
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

    fn settle_sectors(&mut self) {
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

    fn inode(&mut self, number: u64, boot: u64) -> io::Result<&mut Inode> {
        if boot != self.boot {
            return Err(io::Error::other("file was open before the crash"));
        }
        self.inodes.get_mut(&number).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Disk for SimDisk {
    type File = SimFile;

    fn create(&self, path: &Path, len: u64) -> io::Result<SimFile> {
        let mut state = self.lock();
        state.check_power()?;
        if state.live.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        state.check_space(len)?;
        state.step()?;
        state.next_inode += 1;
        let inode = state.next_inode;
        state.inodes.insert(inode, Inode { len, ..Inode::default() });
        state.change(Change::Link { path: path.to_owned(), inode });
        Ok(self.handle(inode, state.boot))
    }

    fn open(&self, path: &Path) -> io::Result<SimFile> {
        let state = self.lock();
        state.check_power()?;
        let inode = state.live.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.handle(*inode, state.boot))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        let state = self.lock();
        state.check_power()?;
        Ok(state.live.keys().filter(|path| path.parent() == Some(directory)).cloned().collect())
    }

    /// Directories are there as soon as a file is in them.
    fn create_dir(&self, _directory: &Path) -> io::Result<()> {
        self.lock().check_power()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.check_power()?;
        if !state.live.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.step()?;
        state.change(Change::Rename { from: from.to_owned(), to: to.to_owned() });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.check_power()?;
        if !state.live.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        state.step()?;
        state.change(Change::Unlink { path: path.to_owned() });
        Ok(())
    }

    fn sync_dir(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.step()?;
        let pending = std::mem::take(&mut state.pending);
        for change in pending {
            if change.directory() == directory {
                change.apply(&mut state.durable);
            } else {
                state.pending.push(change);
            }
        }
        Ok(())
    }
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        let mut state = lock(&self.state);
        state.check_power()?;
        Ok(state.inode(self.inode, self.boot)?.len)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = lock(&self.state);
        state.check_power()?;
        let inode = state.inode(self.inode, self.boot)?;
        let length = (buffer.len() as u64).min(inode.len.saturating_sub(offset)) as usize;
        let mut done = 0;
        while done < length {
            let (sector, at) = split(offset + done as u64);
            let part = (SECTOR - at).min(length - done);
            let target = &mut buffer[done..done + part];
            match inode.sectors.get(&sector) {
                Some(bytes) => target.copy_from_slice(&bytes[at..at + part]),
                None => target.fill(0),
            }
            done += part;
        }
        Ok(length)
    }

    fn write_all_at(&mut self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut state = lock(&self.state);
        let end = offset + bytes.len() as u64;
        let grows = end.saturating_sub(state.inode(self.inode, self.boot)?.len);
        state.check_space(grows)?;
        state.step()?;
        let inode = state.inode(self.inode, self.boot)?;
        inode.len = inode.len.max(end);
        let mut done = 0;
        while done < bytes.len() {
            let (sector, at) = split(offset + done as u64);
            let part = (SECTOR - at).min(bytes.len() - done);
            let stored = inode.sectors.entry(sector).or_insert([0; SECTOR]);
            let device = inode.abandoned.remove(&sector).unwrap_or(*stored);
            stored[at..at + part].copy_from_slice(&bytes[done..done + part]);
            inode.unsynced.entry(sector).or_insert(device);
            done += part;
        }
        Ok(())
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let mut state = lock(&self.state);
        state.step()?;
        let fails = state.failing_syncs > 0;
        state.failing_syncs = state.failing_syncs.saturating_sub(1);
        let inode = state.inode(self.inode, self.boot)?;
        let mut unsynced = std::mem::take(&mut inode.unsynced);
        if !fails {
            return Ok(());
        }
        inode.abandoned.append(&mut unsynced);
        Err(io::Error::other("input/output error (simulated)"))
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn split(offset: u64) -> (u64, usize) {
    (offset / SECTOR as u64, (offset % SECTOR as u64) as usize)
}

#[cfg(test)]
#[path = "sim_disk_tests.rs"]
mod tests;
