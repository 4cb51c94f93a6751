//! The catalog: rows, transactions, deterministic apply, snapshots.
//!
//! It never decides what is committed and never talks to another node: `master` hands it committed
//! transactions in LSN order and it is the same on every node at the same LSN.

mod codec;
mod column_type;
mod datum;
mod key;
mod relation;
mod row;

mod error;
mod layout;
mod store;

mod memory_store;
mod meta;
mod rocks_store;

mod relation_cache;
mod relation_load;
mod snapshot;

mod admission;
mod apply;
mod commit;
mod digest;
mod fit;
mod instance;
mod open_transaction;
mod transaction;

mod bootstrap;
mod script;

pub mod ddl;
pub mod segments;

#[cfg(test)]
mod admission_tests;
#[cfg(test)]
mod catalog_tests;
#[cfg(test)]
mod column_type_tests;
#[cfg(test)]
mod ddl_tests;
#[cfg(test)]
mod fate_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod test_node;

pub use bootstrap::Bootstrap;
pub use codec::CodecError;
pub use column_type::{ColumnType, TypeError};
pub use commit::{Commit, CommitError, CommitFuture, Committed};
pub use datum::{Datum, Row};
pub use digest::{Digest, digest_of};
pub use error::Error;
pub use instance::{Catalog, XactStatus};
pub use key::RowKey;
pub use layout::{
    BOOTSTRAP_SUPERUSER, BUCKETS, COLUMNS_MAX, FIRST_NORMAL_OID, GP_CONFIGURATION,
    GP_CONFIGURATION_HISTORY, GP_DISTRIBUTION_POLICY, GP_MASTER_MIRRORING,
    GP_SEGMENT_CONFIGURATION, NAME_BYTES_MAX, PG_ATTRIBUTE, PG_AUTHID, PG_AUTHID_NAME_INDEX,
    PG_CATALOG_NAMESPACE, PG_CLASS, PG_CLASS_NAME_INDEX, PG_DATABASE, PG_DATABASE_NAME_INDEX,
    PG_DESCRIPTION, PG_FILESPACE, PG_FILESPACE_ENTRY, PG_FILESYSTEM, PG_NAMESPACE,
    PG_NAMESPACE_NAME_INDEX, PG_RESQUEUE, PG_TABLESPACE, PG_TYPE, PUBLIC_NAMESPACE,
};
pub use memory_store::MemoryStore;
pub use open_transaction::{Mark, OpenTransaction};
pub use relation::{Column, Distribution, Relation, RelationKind};
pub use rocks_store::RocksStore;
pub use snapshot::{ReadView, Snapshot};
pub use store::{Batch, Family, Operation, Store, StoreError, StoreSnapshot, Visit};
pub use transaction::{Change, Transaction};
