//! The store's twin in memory, for tests and the simulation.
//!
//! It forgets in a crash what was not flushed, as RocksDB without its log does. Every key keeps
//! the versions that a snapshot or the last flush still sees, so that neither a snapshot nor a
//! write copies the content, and everything is exactly repeatable.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::store::{Batch, Family, Operation, Store, StoreError, StoreSnapshot, Visit};

/// How many entries a scan copies out under the lock at a time.
const SCAN_CHUNK: usize = 256;

/// Number of a write; zero is the empty store.
type Sequence = u64;

/// Versions of one key, oldest first; `None` is a deletion.
type Versions = Vec<(Sequence, Option<Vec<u8>>)>;

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<(Family, Vec<u8>), Versions>,
    last: Sequence,
    flushed: Sequence,
    /// How many snapshots there are at a write.
    snapshots: BTreeMap<Sequence, usize>,
}

impl State {
    fn put(&mut self, key: (Family, Vec<u8>), value: Option<Vec<u8>>, at: Sequence) {
        let versions = self.entries.entry(key.clone()).or_default();
        versions.retain(|(sequence, _)| *sequence != at);
        versions.push((at, value));
        let ends: Vec<Sequence> = versions.iter().skip(1).map(|(next, _)| *next).collect();
        let mut position = 0;
        let (flushed, snapshots) = (self.flushed, &self.snapshots);
        versions.retain(|(from, _)| {
            let Some(end) = ends.get(position) else {
                return true;
            };
            position += 1;
            (*from..*end).contains(&flushed) || snapshots.range(*from..*end).next().is_some()
        });
        if matches!(versions.as_slice(), [(_, None)]) {
            self.entries.remove(&key);
        }
    }

    fn read(versions: &Versions, at: Sequence) -> Option<&Vec<u8>> {
        versions.iter().rev().find(|(sequence, _)| *sequence <= at)?.1.as_ref()
    }

    /// A store of its own with what this one shows at a write, all of it flushed.
    fn copy(&self, at: Sequence) -> MemoryStore {
        let seen = self.entries.iter().filter_map(|(key, versions)| {
            State::read(versions, at).map(|value| (key.clone(), vec![(1, Some(value.clone()))]))
        });
        let state = State { entries: seen.collect(), last: 1, flushed: 1, ..State::default() };
        MemoryStore { state: Arc::new(Mutex::new(state)) }
    }
}

/// Clones share one content, so that a test keeps a handle to the store that it gave away.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    state: Arc<Mutex<State>>,
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryStore {
    #[must_use]
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// What a process would find after a crash: a store of its own with what was flushed.
    #[must_use]
    pub fn crash(&self) -> MemoryStore {
        let state = locked(&self.state);
        state.copy(state.flushed)
    }

    /// A durable copy of what is written now: what a checkpoint is to the store on disk.
    #[must_use]
    pub fn image(&self) -> MemoryStore {
        let state = locked(&self.state);
        state.copy(state.last)
    }
}

impl Store for MemoryStore {
    fn snapshot(&self) -> Arc<dyn StoreSnapshot> {
        let mut state = locked(&self.state);
        let at = state.last;
        *state.snapshots.entry(at).or_default() += 1;
        Arc::new(MemorySnapshot { state: Arc::clone(&self.state), at })
    }

    fn write(&self, batch: Batch) -> Result<(), StoreError> {
        let mut state = locked(&self.state);
        let at = state.last + 1;
        for operation in batch.operations {
            match operation {
                Operation::Put { family, key, value } => state.put((family, key), Some(value), at),
                Operation::Delete { family, key } => state.put((family, key), None, at),
            }
        }
        state.last = at;
        Ok(())
    }

    fn flush(&self) -> Result<(), StoreError> {
        let mut state = locked(&self.state);
        state.flushed = state.last;
        Ok(())
    }

    fn checkpoint(&self, _directory: &Path) -> Result<(), StoreError> {
        Err(StoreError::InMemory { action: "write a checkpoint to disk" })
    }
}

struct MemorySnapshot {
    state: Arc<Mutex<State>>,
    at: Sequence,
}

impl MemorySnapshot {
    /// The next entries that this snapshot sees; empty at the end. Copied, so that the visitor may
    /// itself read the store.
    fn chunk(
        &self,
        family: Family,
        prefix: &[u8],
        from: Bound<(Family, Vec<u8>)>,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        let state = locked(&self.state);
        state
            .entries
            .range((from, Bound::Unbounded))
            .take_while(|((of, key), _)| *of == family && key.starts_with(prefix))
            .filter_map(|((_, key), versions)| {
                State::read(versions, self.at).map(|value| (key.clone(), value.clone()))
            })
            .take(SCAN_CHUNK)
            .collect()
    }
}

impl StoreSnapshot for MemorySnapshot {
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let state = locked(&self.state);
        let versions = state.entries.get(&(family, key.to_vec()));
        Ok(versions.and_then(|versions| State::read(versions, self.at)).cloned())
    }

    fn scan(&self, family: Family, prefix: &[u8], visit: Visit<'_>) -> Result<(), StoreError> {
        let mut from = Bound::Included((family, prefix.to_vec()));
        loop {
            let chunk = self.chunk(family, prefix, from);
            for (key, value) in &chunk {
                if let ControlFlow::Break(()) = visit(key, value) {
                    return Ok(());
                }
            }
            match chunk.into_iter().next_back() {
                Some((last, _)) => from = Bound::Excluded((family, last)),
                None => return Ok(()),
            }
        }
    }
}

impl Drop for MemorySnapshot {
    fn drop(&mut self) {
        let mut state = locked(&self.state);
        if let Some(count) = state.snapshots.get_mut(&self.at) {
            *count -= 1;
            if *count == 0 {
                state.snapshots.remove(&self.at);
            }
        }
    }
}
