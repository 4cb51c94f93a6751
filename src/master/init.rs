//! `hawq-master init`: makes a data directory. Either the first node of a new cluster, with a log
//! of its own, or a standby's, which seeds itself from the primary when it is first started.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::proto::record_from_wire;
use crate::proto::v1::StatusRequest;
use crate::proto::v1::control_client::ControlClient;
use crate::runtime::config::MasterSettings;
use crate::runtime::{FileDisk, RpcAuthError};
use crate::types::{
    ClusterId, ClusterState, Epoch, Incarnation, Lsn, MemberEntry, TimelineHistory,
};
use crate::wal::{Identity, Options, Wal};

use super::data_dir::{DataDir, DataDirError, NodeIdentity, read_secret};
use super::witnesses::connect;
use super::{Control, ControlFile, ControlFileError};

/// Where the log of every cluster begins: never zero, which means "no log".
pub const LOG_START: Lsn = Lsn(0x0100_0000);

const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Local users by the operating system's word for them, the loopback and everybody else by password
/// of the cluster's roles; an operator edits this file.
const HBA: &str = "\
# TYPE  DATABASE  USER  ADDRESS       METHOD
local   all       all                 trust
host    all       all   127.0.0.1/32  trust
host    all       all   ::1/128       trust
";

#[derive(Debug, thiserror::Error)]
pub enum InitError {
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Control(#[from] ControlFileError),
    #[error("make the write-ahead log")]
    Log(#[from] crate::wal::Error),
    #[error("no random numbers: {0}")]
    Random(getrandom::Error),
    #[error(transparent)]
    Secret(#[from] RpcAuthError),
    #[error("the primary at {address} cannot be asked: {reason}")]
    Primary { address: String, reason: String },
    #[error("node {node} is already the number of the primary; choose another aerie_node")]
    SameNode { node: u8 },
}

/// Makes the first node of a new cluster: alone in its set, its record at version 1.
pub fn new_cluster(
    settings: &MasterSettings,
    root: &Path,
    cluster: Option<ClusterId>,
) -> Result<NodeIdentity, InitError> {
    let directory = DataDir::create(root)?;
    let cluster = match cluster {
        Some(cluster) => cluster,
        None => new_cluster_id()?,
    };
    let identity = NodeIdentity { cluster, node: settings.node, incarnation: new_incarnation()? };
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(InitError::Random)?;
    let secret: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    directory.write_secret(&secret)?;
    directory.write_hba(HBA)?;
    let record = first_record(settings, &identity);
    let control = Control { followed: Epoch::ZERO, promised: Epoch::ZERO, record: Some(record) };
    ControlFile::create(&directory.control_file(), &control)?;
    let mut log = Wal::create(
        FileDisk,
        &directory.log_of(identity.incarnation),
        log_identity(&identity),
        Options::default(),
        (LOG_START, TimelineHistory::default()),
    )?;
    log.flush()?;
    directory.write_identity(&identity)?;
    Ok(identity)
}

/// Makes the directory of a standby of the cluster whose primary answers at `primary`.
pub async fn standby(
    settings: &MasterSettings,
    root: &Path,
    primary: &str,
    secret_file: &Path,
) -> Result<NodeIdentity, InitError> {
    let secret = read_secret(secret_file)?;
    let record = ask_record(primary, &secret).await?;
    if record.primary == settings.node {
        return Err(InitError::SameNode { node: settings.node.get() });
    }
    let directory = DataDir::create(root)?;
    let cluster = record.cluster_id;
    let identity = NodeIdentity { cluster, node: settings.node, incarnation: new_incarnation()? };
    directory.write_secret(&secret)?;
    directory.write_hba(HBA)?;
    // It follows nobody yet: the record only says where to look for the primary.
    let control = Control { followed: Epoch::ZERO, promised: Epoch::ZERO, record: Some(record) };
    ControlFile::create(&directory.control_file(), &control)?;
    directory.write_identity(&identity)?;
    Ok(identity)
}

fn first_record(settings: &MasterSettings, identity: &NodeIdentity) -> ClusterState {
    let entry = MemberEntry {
        incarnation: identity.incarnation,
        host: settings.host.clone(),
        rpc_port: settings.rpc_port,
        pg_port: settings.pg_port,
        priority: settings.priority,
    };
    let members = BTreeMap::from([(identity.node, entry)]);
    ClusterState::first(identity.cluster, identity.member(), members)
}

/// Who holds the secret may ask; the cluster's id is what is wanted, so it cannot be sent.
async fn ask_record(primary: &str, secret: &str) -> Result<ClusterState, InitError> {
    let failed = |reason: String| InitError::Primary { address: primary.to_owned(), reason };
    let address = primary.rsplit_once(':').and_then(|(host, port)| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Some((host, port.parse::<u16>().ok()?))
    });
    let (host, port) = address.ok_or_else(|| failed("expected host:port".to_owned()))?;
    let channel = connect(host, port, ANSWER_MAX).await.map_err(failed)?;
    let mut request = tonic::Request::new(StatusRequest::default());
    let value = secret.parse().map_err(|_| failed("the secret is not plain text".to_owned()))?;
    request.metadata_mut().insert(crate::runtime::SECRET_KEY, value);
    let mut client = ControlClient::new(channel);
    let asked = tokio::time::timeout(ANSWER_MAX, client.status(request)).await;
    let reply = asked.map_err(|_| failed("no answer in time".to_owned()))?;
    let reply = reply.map_err(|status| failed(status.message().to_owned()))?.into_inner();
    let record = reply.record.ok_or_else(|| failed("it knows of no cluster state".to_owned()))?;
    record_from_wire(record).map_err(|bad| failed(bad.to_string()))
}

pub(super) fn log_identity(identity: &NodeIdentity) -> Identity {
    Identity { cluster: identity.cluster, incarnation: identity.incarnation }
}

pub(super) fn new_incarnation() -> Result<Incarnation, InitError> {
    getrandom::u64().map(Incarnation).map_err(InitError::Random)
}

/// A random UUID (version 4).
fn new_cluster_id() -> Result<ClusterId, InitError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(InitError::Random)?;
    let number = u128::from_be_bytes(bytes);
    let number = number & !(0xF << 76) | 4 << 76;
    Ok(ClusterId(number & !(0b11 << 62) | 0b10 << 62))
}
