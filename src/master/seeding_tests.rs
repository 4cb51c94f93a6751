//! Checkpoints between two servers on loopback: given, fetched, refused and not believed.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;

use super::super::seed::CheckpointDir;
use super::super::seed_fetch::{Error as SeedError, Fetch, Seed, fetch, remove_partial};
use super::super::transport::PeerAddress;
use super::tests::{BOUND, auth, member, no_seeds, serve_anywhere, until, within};
use super::*;
use crate::types::{Epoch, Lsn, TimelineHistory};

fn history() -> TimelineHistory {
    TimelineHistory::from_entries(vec![(Epoch(257), Lsn(8)), (Epoch(513), Lsn(64))]).unwrap()
}

/// Makes checkpoints under `directory`, each in a directory of its own.
fn checkpoints(directory: &Path, files: Vec<(String, Vec<u8>)>) -> (SeedSource, Arc<AtomicU32>) {
    let made = Arc::new(AtomicU32::new(0));
    let (directory, count) = (directory.to_owned(), Arc::clone(&made));
    let source = SeedSource::new(Arc::new(move |from, epoch| {
        assert_eq!((from, epoch), (member(1), Epoch(257)));
        let number = count.fetch_add(1, Ordering::SeqCst);
        let path = directory.join(format!("checkpoint{number}"));
        std::fs::create_dir(&path).unwrap();
        for (name, data) in &files {
            std::fs::write(path.join(name), data).unwrap();
        }
        Ok(CheckpointDir { path, lsn: Lsn(4096), history: history(), epoch: Epoch(513) })
    }));
    (source, made)
}

async fn fetch_into(address: &PeerAddress, data_dir: &Path) -> Result<Seed, SeedError> {
    within(fetch(Fetch {
        address,
        auth: &auth(1),
        from: member(1),
        epoch: Epoch(257),
        data_dir,
        stall_max: BOUND,
    }))
    .await
}

fn content(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, std::fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_checkpoint_arrives_whole_and_replaces_an_interrupted_one() {
    let giver = tempfile::tempdir().unwrap();
    let taker = tempfile::tempdir().unwrap();
    let files: Vec<(String, Vec<u8>)> = vec![
        ("000007.sst".to_owned(), (0..1_000_000_u32).map(|n| (n % 251) as u8).collect()),
        ("CURRENT".to_owned(), b"MANIFEST-1\n".to_vec()),
        ("EMPTY".to_owned(), Vec::new()),
        ("EXACT".to_owned(), vec![3; 512 << 10]),
    ];
    let (source, _) = checkpoints(giver.path(), files.clone());
    let server = serve_anywhere(2, source).await;
    let partial = taker.path().join("seed.partial");
    std::fs::create_dir(&partial).unwrap();
    std::fs::write(partial.join("stale"), b"x").unwrap();
    let seed = fetch_into(&server.address, taker.path()).await.unwrap();
    let bytes = files.iter().map(|(_, data)| data.len() as u64).sum();
    let (lsn, epoch, history) = (Lsn(4096), Epoch(513), history());
    assert_eq!(seed, Seed { path: partial.clone(), lsn, epoch, history, files: 4, bytes });
    assert_eq!(content(&partial), files);
    until(|| std::fs::read_dir(giver.path()).unwrap().next().is_none()).await;
    remove_partial(taker.path()).await.unwrap();
    remove_partial(taker.path()).await.unwrap();
    assert!(!partial.exists());
}

#[tokio::test]
async fn refusals_say_why_and_leave_only_the_partial_directory() {
    let taker = tempfile::tempdir().unwrap();
    std::fs::write(taker.path().join("kept"), b"x").unwrap();
    let server = serve_anywhere(2, no_seeds()).await;
    let refused = fetch_into(&server.address, taker.path()).await.unwrap_err();
    assert!(refused.to_string().contains("no checkpoint here"), "{refused}");
    let nobody = PeerAddress { host: "127.0.0.1".to_owned(), rpc_port: 1 };
    let refused = fetch_into(&nobody, taker.path()).await.unwrap_err();
    assert!(matches!(refused, SeedError::Connect { .. }), "{refused}");
    assert_eq!(std::fs::read(taker.path().join("kept")).unwrap(), b"x");
    let names: Vec<PathBuf> =
        std::fs::read_dir(taker.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

/// A giver that says whatever a test wants, then ends.
struct Liar {
    chunks: Vec<v1::seed_chunk::Part>,
}

#[tonic::async_trait]
impl Replication for Liar {
    type ExchangeStream = BoxStream<'static, Result<v1::Envelope, Status>>;
    type SeedStream = ReceiverStream<Result<v1::SeedChunk, Status>>;

    async fn exchange(
        &self,
        _: Request<Streaming<v1::Envelope>>,
    ) -> Result<Response<Self::ExchangeStream>, Status> {
        Err(Status::unimplemented("seeds only"))
    }

    async fn seed(
        &self,
        _: Request<v1::SeedRequest>,
    ) -> Result<Response<Self::SeedStream>, Status> {
        let (sender, receiver) = mpsc::channel(self.chunks.len() + 1);
        for part in self.chunks.clone() {
            sender.try_send(Ok(v1::SeedChunk { part: Some(part) })).unwrap();
        }
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

async fn fetch_from_liar(chunks: Vec<v1::seed_chunk::Part>, data_dir: &Path) -> SeedError {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let rpc_port = listener.local_addr().unwrap().port();
    let serving = server_builder()
        .add_service(ReplicationServer::new(Liar { chunks }))
        .serve_with_incoming(TcpListenerStream::new(listener));
    let task = tokio::spawn(async move { serving.await.unwrap() });
    let address = PeerAddress { host: "127.0.0.1".to_owned(), rpc_port };
    let fetched = fetch_into(&address, data_dir).await;
    task.abort();
    fetched.unwrap_err()
}

#[tokio::test]
async fn a_transfer_that_is_cut_or_changed_is_not_believed() {
    use v1::seed_chunk::Part;
    let start = || Part::Start(v1::SeedStart { epoch: 257, lsn: 8, history: Vec::new() });
    let file = |name: &str, last| {
        Part::File(v1::SeedFile { name: name.to_owned(), data: b"data".to_vec(), last })
    };
    let end = |files, crc32c| Part::End(v1::SeedEnd { files, crc32c });
    let crc = crc32c::crc32c(b"data");
    let rows = [
        (vec![start(), file("a", true)], "before its last piece"),
        (vec![start(), file("a", true), end(2, crc)], "1 files came, 2 were sent"),
        (vec![start(), file("a", true), end(1, crc ^ 1)], "checksum"),
        (vec![start(), file("a", false), end(1, crc)], "inside file a"),
        (vec![start(), file("a", false), file("b", true)], "begins inside a"),
        (vec![start(), file("../a", true)], "file name"),
        (vec![start(), file("", true)], "file name"),
        (vec![start(), start()], "starts twice"),
        (vec![file("a", true)], "before the start"),
        (vec![end(0, 0)], "before it starts"),
    ];
    let taker = tempfile::tempdir().unwrap();
    for (chunks, why) in rows {
        let error = fetch_from_liar(chunks, taker.path()).await;
        assert!(matches!(error, SeedError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains(why), "{error}: {why}");
    }
    let twice = vec![start(), file("a", true), file("a", true)];
    assert!(matches!(fetch_from_liar(twice, taker.path()).await, SeedError::Io { .. }));
}

#[tokio::test]
async fn only_so_many_checkpoints_are_given_at_once() {
    let giver = tempfile::tempdir().unwrap();
    let large = vec![("large".to_owned(), vec![1; 8 << 20])];
    let (source, made) = checkpoints(giver.path(), large);
    let request = || v1::SeedRequest { from: Some(member(1).into()), epoch: 257 };
    let first = source.start(request()).unwrap();
    let second = source.start(request()).unwrap();
    let refused = source.start(request()).expect_err("a third is refused");
    assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
    drop((first, second));
    until(|| source.start(request()).is_ok()).await;
    // The first two may not even have begun when their place is free again.
    until(|| made.load(Ordering::SeqCst) == 3).await;
}
