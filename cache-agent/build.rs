//! Compiles the gRPC contract in Rust alone: no `protoc` on the user's machine.

use prost::Message;
use std::error::Error;
use std::path::PathBuf;

fn main() -> Result<(), Box<dyn Error>> {
    let contract = "proto/cacheaside/v1/cache.proto";
    println!("cargo:rerun-if-changed={contract}");
    let descriptors = protox::compile([contract], ["proto"])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    // The reflection service answers from this file.
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // `Bytes` instead of `Vec<u8>`: a value goes from the wire to L1 uncopied.
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
