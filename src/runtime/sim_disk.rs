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

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::sim_disk_state::{Change, Inode, SECTOR, State, split};
use super::{Disk, DiskFile};

/// A clone is another handle on the same disk.
#[derive(Debug, Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
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

#[cfg(test)]
#[path = "sim_disk_tests.rs"]
mod tests;
