//! Giving and fetching a checkpoint: how a node without a usable log gets the catalog.
//!
//! The giver streams the files of a directory that a callback made for this purpose, and removes
//! it afterwards. The fetcher writes them into `<data_dir>/seed.partial`, durably, and believes
//! nothing before the count and the checksum at the end agree; then the caller puts the directory
//! in its place. Whatever interrupts it leaves only that directory behind, and the next attempt
//! begins by removing it.
//!
//! Never done here: touching the data that the node has, or deciding who seeds from whom.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use crate::proto::convert::history_to_wire;
use crate::proto::v1::{self, seed_chunk::Part};
use crate::types::{Epoch, Lsn, Member, TimelineHistory};

const CHUNK_BYTES: usize = 256 << 10;
/// Chunks between the reader of files and the network.
const CHUNKS_QUEUED: usize = 4;
/// A fetcher that takes nothing for so long is given up.
const STALL_MAX: Duration = Duration::from_secs(30);
/// Checkpoints given at the same time.
const GIVEN_MAX: usize = 2;

/// A checkpoint made for one transfer: a directory of plain files, removed after it.
#[derive(Debug)]
pub struct CheckpointDir {
    pub path: PathBuf,
    /// It contains everything up to here and nothing after.
    pub lsn: Lsn,
    /// Of the log up to `lsn`.
    pub history: TimelineHistory,
    /// The giver's.
    pub epoch: Epoch,
}

impl Drop for CheckpointDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.path) {
            let path = self.path.display();
            tracing::warn!(%path, %error, "checkpoint not removed");
        }
    }
}

/// Makes a checkpoint for the member that asks in the name of an epoch, or says why not. It may
/// block: it runs on a thread for that.
pub type MakeCheckpoint =
    dyn Fn(Member, Epoch) -> Result<CheckpointDir, Status> + Send + Sync + 'static;

/// The giver's side.
pub struct SeedSource {
    make: Arc<MakeCheckpoint>,
    permits: Arc<Semaphore>,
}

impl std::fmt::Debug for SeedSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SeedSource").field("permits", &self.permits).finish_non_exhaustive()
    }
}

impl SeedSource {
    #[must_use]
    pub fn new(make: Arc<MakeCheckpoint>) -> SeedSource {
        SeedSource { make, permits: Arc::new(Semaphore::new(GIVEN_MAX)) }
    }

    /// Begins one transfer on a thread of its own.
    pub(crate) fn start(
        &self,
        request: v1::SeedRequest,
    ) -> Result<ReceiverStream<Result<v1::SeedChunk, Status>>, Status> {
        let from =
            request.from.ok_or_else(|| Status::invalid_argument("bad field from: missing"))?;
        let from = Member::try_from(from)
            .map_err(|bad| Status::invalid_argument(format!("bad field from.{}", bad.field)))?;
        let permit = Arc::clone(&self.permits).try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!("{GIVEN_MAX} checkpoints are being given already"))
        })?;
        let (sender, receiver) = mpsc::channel(CHUNKS_QUEUED);
        let make = Arc::clone(&self.make);
        let handle = Handle::current();
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let mut giver = Giver { handle, sender, crc: 0, files: 0 };
            let given = make(from, Epoch(request.epoch)).and_then(|dir| giver.give(&dir));
            if let Err(status) = given {
                tracing::info!(node = %from.node, reason = status.message(), "seed not given");
                let _ = giver.send_result(Err(status));
            }
        });
        Ok(ReceiverStream::new(receiver))
    }
}

/// One transfer, on a blocking thread.
struct Giver {
    handle: Handle,
    sender: mpsc::Sender<Result<v1::SeedChunk, Status>>,
    crc: u32,
    files: u32,
}

impl Giver {
    fn give(&mut self, checkpoint: &CheckpointDir) -> Result<(), Status> {
        self.send(Part::Start(v1::SeedStart {
            epoch: checkpoint.epoch.0,
            lsn: checkpoint.lsn.0,
            history: history_to_wire(&checkpoint.history),
        }))?;
        let names = plain_files(&checkpoint.path)
            .map_err(|error| Status::internal(format!("read checkpoint: {error}")))?;
        for name in names {
            self.give_file(&checkpoint.path.join(&name), &name)?;
        }
        self.send(Part::End(v1::SeedEnd { files: self.files, crc32c: self.crc }))
    }

    fn give_file(&mut self, path: &Path, name: &str) -> Result<(), Status> {
        let failed = |error| Status::internal(format!("read checkpoint file {name}: {error}"));
        let mut file = File::open(path).map_err(failed)?;
        self.files += 1;
        loop {
            let mut data = Vec::with_capacity(CHUNK_BYTES);
            let read = file.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut data);
            let last = read.map_err(failed)? < CHUNK_BYTES;
            self.crc = crc32c::crc32c_append(self.crc, &data);
            self.send(Part::File(v1::SeedFile { name: name.to_owned(), data, last }))?;
            if last {
                return Ok(());
            }
        }
    }

    fn send(&self, part: Part) -> Result<(), Status> {
        self.send_result(Ok(v1::SeedChunk { part: Some(part) }))
    }

    fn send_result(&self, chunk: Result<v1::SeedChunk, Status>) -> Result<(), Status> {
        let sent = self.handle.block_on(tokio::time::timeout(STALL_MAX, self.sender.send(chunk)));
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Status::cancelled("the fetching node went away")),
            Err(_) => Err(Status::deadline_exceeded("the fetching node takes nothing")),
        }
    }
}

/// Names of a directory's files, sorted. A checkpoint has no directories in it.
fn plain_files(directory: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name().into_string();
        match name {
            Ok(name) if entry.file_type()?.is_file() => names.push(name),
            _ => {
                let path = entry.path();
                return Err(io::Error::other(format!("{} is not a plain file", path.display())));
            }
        }
    }
    names.sort();
    Ok(names)
}
