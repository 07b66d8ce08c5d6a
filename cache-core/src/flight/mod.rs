//! One load per key per process.

pub mod single;
