//! Compiles the gRPC contract in Rust alone: no `protoc` on the user's machine.

use prost::Message;
use std::error::Error;
use std::path::PathBuf;

const CONTRACT: [&str; 5] = ["cache", "invalidation", "stream", "loader", "admin"];

fn main() -> Result<(), Box<dyn Error>> {
    let files = CONTRACT.map(|name| format!("proto/cacheaside/v1/{name}.proto"));
    for file in &files {
        println!("cargo:rerun-if-changed={file}");
    }
    let descriptors = protox::compile(&files, ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    // The reflection service answers from this file.
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // `Bytes` instead of `Vec<u8>`: a value goes from L1 to the wire uncopied.
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
