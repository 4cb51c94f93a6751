//! The fetcher's side of seeding (`seed` tells the whole of it).

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::fs::{self, File, OpenOptions};
use tokio::io::AsyncWriteExt;
use tonic::Status;

use super::transport::{PeerAddress, connect};
use crate::proto::convert::{BadField, history_from_wire};
use crate::proto::v1::{self, seed_chunk::Part};
use crate::runtime::{RpcAuth, error_text};
use crate::types::{Epoch, Lsn, Member, TimelineHistory};

/// Where a transfer is written until it is complete.
const PARTIAL_NAME: &str = "seed.partial";
const NAME_BYTES_MAX: usize = 255;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{action} {}", path.display())]
    Io {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("connect to {address}: {}", error_text(source))]
    Connect { address: PeerAddress, source: tonic::transport::Error },
    /// The giver refused, or the transfer broke.
    #[error("seeding from {address}: {}", status.message())]
    Broken { address: PeerAddress, status: Box<Status> },
    #[error("seeding from {address}: nothing came for {} s", wait.as_secs())]
    Stalled { address: PeerAddress, wait: Duration },
    /// What came is not what was sent.
    #[error("damaged seed: {why}")]
    Damaged { why: String },
    #[error("damaged seed")]
    BadField(#[from] BadField),
}

/// What to fetch, from where, and to where.
#[derive(Debug)]
pub struct Fetch<'a> {
    pub address: &'a PeerAddress,
    pub auth: &'a RpcAuth,
    /// Who asks, and the epoch that it follows.
    pub from: Member,
    pub epoch: Epoch,
    pub data_dir: &'a Path,
    /// How long to wait for the connection, and for each next piece.
    pub stall_max: Duration,
}

/// A complete checkpoint, durable in `path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    pub path: PathBuf,
    pub lsn: Lsn,
    pub epoch: Epoch,
    pub history: TimelineHistory,
    pub files: u32,
    pub bytes: u64,
}

/// Fetches a checkpoint into `<data_dir>/seed.partial`; what is there from before is removed.
pub async fn fetch(fetch: Fetch<'_>) -> Result<Seed, Error> {
    let path = fetch.data_dir.join(PARTIAL_NAME);
    remove_partial(fetch.data_dir).await?;
    let made = fs::create_dir(&path).await;
    made.map_err(io_error("create", &path))?;
    let private = std::fs::Permissions::from_mode(0o700);
    fs::set_permissions(&path, private).await.map_err(io_error("set permissions of", &path))?;

    let address = fetch.address;
    let broken = |status| Error::Broken { address: address.clone(), status: Box::new(status) };
    let stalled = |_| Error::Stalled { address: address.clone(), wait: fetch.stall_max };
    let connecting = connect(address, fetch.auth);
    let connected = tokio::time::timeout(fetch.stall_max, connecting).await.map_err(stalled)?;
    let mut client =
        connected.map_err(|source| Error::Connect { address: address.clone(), source })?;
    let request = v1::SeedRequest { from: Some(fetch.from.into()), epoch: fetch.epoch.0 };
    let asked = tokio::time::timeout(fetch.stall_max, client.seed(request)).await;
    let mut stream = asked.map_err(stalled)?.map_err(broken)?.into_inner();

    let mut arrival = Arrival::new(path);
    loop {
        let next = tokio::time::timeout(fetch.stall_max, stream.message()).await;
        let chunk = next.map_err(stalled)?.map_err(broken)?;
        let Some(part) = chunk.and_then(|chunk| chunk.part) else {
            return damaged("it ends before its last piece");
        };
        if let Some(seed) = arrival.take(part).await? {
            sync_directory(fetch.data_dir).await?;
            return Ok(seed);
        }
    }
}

/// Removes what an interrupted transfer left.
pub async fn remove_partial(data_dir: &Path) -> Result<(), Error> {
    let path = data_dir.join(PARTIAL_NAME);
    match fs::remove_dir_all(&path).await {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_error("remove", &path)(error))
        }
        _ => Ok(()),
    }
}

/// What has come so far.
struct Arrival {
    path: PathBuf,
    start: Option<(Epoch, Lsn, TimelineHistory)>,
    open: Option<(String, File)>,
    files: u32,
    bytes: u64,
    crc: u32,
}

impl Arrival {
    fn new(path: PathBuf) -> Arrival {
        Arrival { path, start: None, open: None, files: 0, bytes: 0, crc: 0 }
    }

    /// Takes one piece; the seed when it was the last.
    async fn take(&mut self, part: Part) -> Result<Option<Seed>, Error> {
        match part {
            Part::Start(start) if self.start.is_none() => {
                let history = history_from_wire("start.history", &start.history)?;
                self.start = Some((Epoch(start.epoch), Lsn(start.lsn), history));
                Ok(None)
            }
            Part::Start(_) => damaged("it starts twice"),
            Part::File(_) if self.start.is_none() => damaged("a file comes before the start"),
            Part::File(piece) => {
                self.take_file(piece).await?;
                Ok(None)
            }
            Part::End(end) => self.finish(&end).await.map(Some),
        }
    }

    async fn take_file(&mut self, piece: v1::SeedFile) -> Result<(), Error> {
        let path = self.path.join(checked_name(&piece.name)?);
        let mut file = match self.open.take() {
            Some((name, file)) if name == piece.name => file,
            Some((name, _)) => {
                return damaged(format!("file {} begins inside {name}", piece.name));
            }
            None => {
                self.files += 1;
                let mut options = OpenOptions::new();
                let opened = options.write(true).create_new(true).mode(0o600).open(&path).await;
                opened.map_err(io_error("create", &path))?
            }
        };
        file.write_all(&piece.data).await.map_err(io_error("write", &path))?;
        self.crc = crc32c::crc32c_append(self.crc, &piece.data);
        self.bytes += piece.data.len() as u64;
        if piece.last {
            file.sync_all().await.map_err(io_error("flush", &path))?;
        } else {
            self.open = Some((piece.name, file));
        }
        Ok(())
    }

    async fn finish(&mut self, end: &v1::SeedEnd) -> Result<Seed, Error> {
        let Some((epoch, lsn, history)) = self.start.take() else {
            return damaged("it ends before it starts");
        };
        if let Some((name, _)) = &self.open {
            return damaged(format!("it ends inside file {name}"));
        }
        if end.files != self.files {
            return damaged(format!("{} files came, {} were sent", self.files, end.files));
        }
        if end.crc32c != self.crc {
            let (found, sent) = (self.crc, end.crc32c);
            return damaged(format!("checksum of what came is {found:08x}, sent {sent:08x}"));
        }
        sync_directory(&self.path).await?;
        let (path, files, bytes) = (self.path.clone(), self.files, self.bytes);
        Ok(Seed { path, lsn, epoch, history, files, bytes })
    }
}

/// A name that stays inside the directory.
fn checked_name(name: &str) -> Result<&str, Error> {
    let is_plain = !matches!(name, "" | "." | "..")
        && name.len() <= NAME_BYTES_MAX
        && !name.contains(['/', '\0']);
    if is_plain { Ok(name) } else { damaged(format!("file name {name:?}")) }
}

async fn sync_directory(path: &Path) -> Result<(), Error> {
    let directory = File::open(path).await.map_err(io_error("open", path))?;
    directory.sync_all().await.map_err(io_error("sync directory", path))
}

fn damaged<T>(why: impl Into<String>) -> Result<T, Error> {
    Err(Error::Damaged { why: why.into() })
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}
