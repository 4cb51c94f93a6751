//! A transaction as it is logged: changes to rows, nothing else.

/// Filled in by the catalog's author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {}
