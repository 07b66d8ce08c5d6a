//! One load per key per process, and so many at once.

pub mod bulkhead;
pub mod single;
