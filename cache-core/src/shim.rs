//! The locks, counters and the store whose order of steps decides what is served.
//!
//! What stands between an old value and an answer takes them from here. The test
//! `interleavings` compiles the same files once more over a shim of its own, in which
//! a model checker owns every step. Nothing there runs outside of a model, so these
//! files hold no tests: theirs are in the test `suite`.

pub(crate) use moka::sync::Cache;
pub(crate) use parking_lot::{Mutex, RwLock};
pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
pub(crate) use tokio::sync::SetOnce;
