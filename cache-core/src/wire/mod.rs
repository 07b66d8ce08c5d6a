//! Bytes that leave the process, each with a format version and golden tests.

pub mod codec;
pub mod envelope;
pub mod invalidation;
pub mod queued;
