//! Bytes that leave the process, each with a format version and golden tests.

pub mod codec;
#[cfg(any(feature = "lz4", feature = "zstd"))]
pub mod compressed;
pub mod envelope;
pub mod invalidation;
pub mod queued;
