//! The contract in `proto/cacheaside/v1/cache.proto`, as the build script compiled it.

/// Version 1 of the contract.
#[allow(
    clippy::all,
    missing_docs,
    unreachable_pub,
    reason = "generated; the contract is documented"
)]
pub mod v1 {
    tonic::include_proto!("cacheaside.v1");
}

/// The compiled contract, for the reflection service.
pub const DESCRIPTORS: &[u8] = tonic::include_file_descriptor_set!("descriptors");
