//! psql.
