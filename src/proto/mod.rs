//! Generated messages of `proto/hawq/v1`, and the only conversion between them and `types`.

#[allow(clippy::all, clippy::pedantic, missing_docs)]
pub mod v1 {
    tonic::include_proto!("hawq.v1");
}

pub mod convert;
mod message;
