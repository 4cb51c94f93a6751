//! A node for tests: a catalog and a log that exists only as a list.

use std::sync::Arc;

use super::bootstrap::Bootstrap;
use super::commit::CommitError;
use super::instance::Catalog;
use super::open_transaction::OpenTransaction;
use super::store::Store;
use crate::types::{Epoch, Lsn, NodeId};

pub(super) struct TestNode {
    pub(super) catalog: Catalog,
    pub(super) log: Vec<(Lsn, Vec<u8>)>,
}

pub(super) fn epoch(counter: u64) -> Epoch {
    Epoch::new(counter, NodeId::new(1).unwrap())
}

pub(super) fn cluster() -> Bootstrap {
    Bootstrap {
        master_host: "mdw".to_owned(),
        master_address: "192.0.2.1".to_owned(),
        master_port: 5432,
        superuser: "gpadmin".to_owned(),
        now_micros: 1_700_000_000_000_000,
    }
}

impl TestNode {
    /// A primary in its first reign, bootstrapped.
    pub(super) fn bootstrapped(store: impl Store) -> TestNode {
        let catalog = Catalog::open(Arc::new(store)).unwrap();
        let mut node = TestNode { catalog, log: vec![(Lsn(64), Vec::new())] };
        node.catalog.reign(epoch(1));
        node.apply_from(0);
        let first = Catalog::bootstrap(&cluster()).unwrap();
        let payload = node.catalog.admit(&first).unwrap();
        node.append(payload);
        node.apply_from(1);
        node
    }

    /// A node that finds this log and whatever its store kept.
    pub(super) fn replayed(store: impl Store, log: &[(Lsn, Vec<u8>)]) -> TestNode {
        let catalog = Catalog::open(Arc::new(store)).unwrap();
        let node = TestNode { catalog, log: log.to_vec() };
        node.apply_from(0);
        node
    }

    pub(super) fn append(&mut self, payload: Vec<u8>) -> Lsn {
        let last = self.log.last().map_or(Lsn::ZERO, |(end, _)| *end);
        let end = last.advance(u64::try_from(payload.len()).unwrap() + 40);
        self.log.push((end, payload));
        end
    }

    pub(super) fn apply_from(&self, index: usize) {
        let records: Vec<(Lsn, &[u8])> =
            self.log[index..].iter().map(|(end, payload)| (*end, payload.as_slice())).collect();
        self.catalog.apply(&records).unwrap();
    }

    /// Admits, logs and applies.
    pub(super) fn commit(&mut self, t: OpenTransaction) -> Result<Lsn, CommitError> {
        let transaction = t.into_transaction();
        let payload = self.catalog.admit(&transaction)?;
        let end = self.append(payload);
        self.catalog.admitted_at(transaction.xid, end);
        self.apply_from(self.log.len() - 1);
        Ok(end)
    }
}
