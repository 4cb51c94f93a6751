//! fts.
