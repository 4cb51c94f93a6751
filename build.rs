//! Generates the gRPC code from `proto/`; protox compiles the files, so no protoc is needed.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let files = [
        "proto/hawq/v1/common.proto",
        "proto/hawq/v1/wal.proto",
        "proto/hawq/v1/control.proto",
        "proto/hawq/v1/segment.proto",
        "proto/hawq/v1/voter.proto",
    ];
    let descriptors = protox::compile(files, ["proto"])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    // A benchmark says how it was built.
    let level = std::env::var("OPT_LEVEL")?;
    println!("cargo:rustc-env=AERIE_OPT_LEVEL={level}");
    println!("cargo:rerun-if-changed=proto");
    println!("cargo:rerun-if-changed=sql");
    Ok(())
}
