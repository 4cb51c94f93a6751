//! Values to bytes and back: PostgreSQL's text and binary formats over Arrow columns.
//!
//! A column's oid says how its values are written; the Arrow type only says how they are stored.
//! Nothing here knows of messages, sessions or SQL.

pub mod array;
pub mod binary;
pub mod calendar;
pub mod number;
pub mod oid;
pub mod parameter;
pub mod rows;
pub mod text;
pub mod value;

#[cfg(test)]
mod encode_tests;

pub use calendar::Zone;
pub use parameter::decode_parameter;
pub use rows::{Format, RowWriter, copy_row, data_row};
