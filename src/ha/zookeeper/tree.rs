//! The requests about a cluster's tree, and the bytes of its record.
//!
//! A load goes through ZooKeeper's quorum: it sends a check, which is ordered and logged like a
//! write, and behind it in the same session the read. (`sync` would not do: the server that leads
//! answers it alone, also for a while when it no longer leads.)

use prost::Message;
use zookeeper_client::{
    Acls, Client, CreateMode, Error, MultiWriteError, MultiWriteResult, MultiWriter,
};

use crate::proto::{record_from_wire, record_to_wire, v1};
use crate::types::ClusterState;

use super::ZooKeeperError;
use super::paths::Paths;

/// What a record's znode begins with; behind it 16 bytes of its life, then protobuf.
const MAGIC: &[u8] = b"aerie 1\n";

/// One state of the record's znode, unlike any other that it ever had or will have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Znode {
    /// Random, made when the znode was created.
    pub(super) life: u128,
    pub(super) version: i32,
}

#[derive(Debug)]
pub(super) struct Held {
    pub(super) znode: Znode,
    pub(super) record: ClusterState,
}

/// Why a record was not put there.
#[derive(Debug)]
pub(super) enum Refused {
    /// Certainly not applied: something else is there by now.
    Changed,
    /// Certainly not applied, and asking again is of no use.
    No(ZooKeeperError),
    /// It may have been applied or may yet be.
    Unknown(ZooKeeperError),
}

pub(super) struct Tree<'a> {
    paths: &'a Paths,
    client: &'a Client,
}

impl<'a> Tree<'a> {
    pub(super) fn new(paths: &'a Paths, client: &'a Client) -> Self {
        Tree { paths, client }
    }

    /// The record as it stands at some moment during the call; `None`: there is none.
    pub(super) async fn load(&self) -> Result<Option<Held>, ZooKeeperError> {
        let path = self.paths.state();
        let mut check = self.client.new_multi_writer();
        check.add_check_version(&path, -1).map_err(|error| self.paths.failed(&path, error))?;
        // Both are sent here, in this order; then their answers are awaited.
        let (check, read) = (check.commit(), self.client.get_data(&path));
        let (check, read) = tokio::join!(check, read);
        match check.map_err(Error::from) {
            Ok(_) | Err(Error::NoNode) => {}
            Err(error) => return Err(self.paths.failed(&path, error)),
        }
        match read {
            Ok((bytes, stat)) => self.held(&bytes, stat.version).map(Some),
            Err(Error::NoNode) => Ok(None),
            Err(error) => Err(self.paths.failed(&path, error)),
        }
    }

    pub(super) fn held(&self, bytes: &[u8], version: i32) -> Result<Held, ZooKeeperError> {
        let (life, record) = decode(bytes)
            .map_err(|why| ZooKeeperError::NotARecord { path: self.paths.state(), why })?;
        Ok(Held { znode: Znode { life, version }, record })
    }

    /// Puts `proposed` in place of what `znode` holds, if that is still there.
    pub(super) async fn replace(
        &self,
        znode: Znode,
        proposed: &ClusterState,
    ) -> Result<Znode, Refused> {
        let bytes = encode(znode.life, proposed);
        let mut change = self.client.new_multi_writer();
        self.add(change.add_check_version(&self.paths.life(znode.life), -1))?;
        self.add(change.add_set_data(&self.paths.state(), &bytes, Some(znode.version)))?;
        let version = self.commit(change).await?;
        Ok(Znode { life: znode.life, version })
    }

    /// Puts `first` where nothing is.
    pub(super) async fn create(&self, first: &ClusterState) -> Result<Znode, Refused> {
        let acls = Acls::new(self.paths.acl());
        let lasting = CreateMode::Persistent.with_acls(acls);
        // A folder that is made for nothing does no harm: no answer here is worth a doubt.
        let base = self.paths.base();
        let made = self.client.mkdir(base, &lasting).await;
        made.map_err(|error| Refused::No(self.paths.failed(base, error)))?;
        // The nonce is random; the life of the tree that it creates can bear its name.
        let life = first.nonce.0;
        let mut change = self.client.new_multi_writer();
        self.add(change.add_create(&self.paths.state(), &encode(life, first), &lasting))?;
        self.add(change.add_create(&self.paths.life(life), b"", &lasting))?;
        self.commit(change).await?;
        Ok(Znode { life, version: 0 })
    }

    fn add(&self, added: Result<(), Error>) -> Result<(), Refused> {
        added.map_err(|error| Refused::No(self.paths.failed(&self.paths.state(), error)))
    }

    /// The version that the record's znode has then, where it was replaced.
    async fn commit(&self, mut change: MultiWriter<'_>) -> Result<i32, Refused> {
        let failed = |error| self.paths.failed(&self.paths.state(), error);
        match change.commit().await {
            Ok(results) => Ok(results.iter().find_map(version).unwrap_or_default()),
            Err(MultiWriteError::OperationFailed { source, .. }) => Err(match source {
                Error::BadVersion | Error::NoNode | Error::NodeExists => Refused::Changed,
                source => Refused::No(failed(source)),
            }),
            Err(MultiWriteError::RequestFailed { source }) => Err(match source {
                Error::NoAuth | Error::InvalidAcl | Error::Throttled | Error::QuotaExceeded => {
                    Refused::No(failed(source))
                }
                source => Refused::Unknown(failed(source)),
            }),
        }
    }
}

fn version(result: &MultiWriteResult) -> Option<i32> {
    match result {
        MultiWriteResult::SetData { stat } => Some(stat.version),
        _ => None,
    }
}

fn encode(life: u128, record: &ClusterState) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&life.to_be_bytes());
    bytes.extend_from_slice(&record_to_wire(record).encode_to_vec());
    bytes
}

fn decode(bytes: &[u8]) -> Result<(u128, ClusterState), String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("it was not written by this program")?;
    let (life, record) = rest.split_first_chunk::<16>().ok_or("it is too short")?;
    let wire = v1::ClusterState::decode(record).map_err(|error| error.to_string())?;
    let record = record_from_wire(wire).map_err(|error| error.to_string())?;
    Ok((u128::from_be_bytes(*life), record))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::test_record;

    #[test]
    fn a_record_comes_back_as_it_was_written() {
        let record = test_record();
        let bytes = encode(7, &record);
        assert_eq!(decode(&bytes), Ok((7, record)));
        assert_eq!(decode(b"hello").unwrap_err(), "it was not written by this program");
        assert_eq!(decode(&bytes[..MAGIC.len() + 3]).unwrap_err(), "it is too short");
        assert!(decode(&bytes[..bytes.len() - 1]).is_err());
    }
}
