//! One load per key per process, and so many at once.

pub mod breaker;
pub mod budget;
pub mod bulkhead;
pub mod single;
