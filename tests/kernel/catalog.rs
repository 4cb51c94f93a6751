//! The catalog on the store in memory: what `simulation` needs of it.

#[path = "../../src/catalog/admission.rs"]
mod admission;
#[path = "../../src/catalog/apply.rs"]
mod apply;
#[path = "../../src/catalog/codec.rs"]
mod codec;
#[path = "../../src/catalog/column_type.rs"]
mod column_type;
#[path = "../../src/catalog/commit.rs"]
mod commit;
#[path = "../../src/catalog/datum.rs"]
mod datum;
#[path = "../../src/catalog/digest.rs"]
mod digest;
#[path = "../../src/catalog/error.rs"]
mod error;
#[path = "../../src/catalog/fit.rs"]
mod fit;
#[path = "../../src/catalog/instance.rs"]
mod instance;
#[path = "../../src/catalog/key.rs"]
mod key;
#[path = "../../src/catalog/layout.rs"]
mod layout;
#[path = "../../src/catalog/memory_store.rs"]
mod memory_store;
#[path = "../../src/catalog/meta.rs"]
mod meta;
#[path = "../../src/catalog/open_transaction.rs"]
mod open_transaction;
#[path = "../../src/catalog/relation.rs"]
mod relation;
#[path = "../../src/catalog/relation_cache.rs"]
mod relation_cache;
#[path = "../../src/catalog/relation_load.rs"]
mod relation_load;
#[path = "../../src/catalog/row.rs"]
mod row;
#[path = "../../src/catalog/snapshot.rs"]
mod snapshot;
#[path = "../../src/catalog/store.rs"]
mod store;
#[path = "../../src/catalog/transaction.rs"]
mod transaction;

pub use datum::Datum;
pub use digest::Digest;
pub use instance::Catalog;
pub use key::RowKey;
pub use layout::{GP_SEGMENT_CONFIGURATION, PG_DESCRIPTION};
pub use memory_store::MemoryStore;
pub use transaction::{Change, Transaction};
