//! The locks, counters and the store whose order of steps decides what is served.
//!
//! What stands between an old value and an answer takes them from here. The test
//! `interleavings` compiles the same files once more over a shim of its own, in which
//! a model checker owns every step. Nothing there runs outside of a model, so these
//! files hold no tests: theirs are in the test `suite`.

use arc_swap::ArcSwapOption;
pub(crate) use moka::notification::RemovalCause;
pub(crate) use moka::sync::Cache;
pub(crate) use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
pub(crate) use tokio::sync::SetOnce;

/// A place for one entry that is replaced as a whole.
pub(crate) struct Slot<T>(ArcSwapOption<T>);

impl<T> Slot<T> {
    pub(crate) fn empty() -> Self {
        Self(ArcSwapOption::empty())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.load().is_none()
    }

    pub(crate) fn get_if(&self, is: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        let found = self.0.load();
        found.as_ref().filter(|entry| is(entry)).cloned()
    }

    pub(crate) fn put(&self, entry: Arc<T>) {
        self.0.store(Some(entry));
    }

    pub(crate) fn take_if(&self, entry: &Arc<T>) {
        let found = self.0.load();
        if found.as_ref().is_some_and(|is| Arc::ptr_eq(is, entry)) {
            // Another one that has come meanwhile stays.
            self.0.compare_and_swap(&*found, None);
        }
    }
}

/// A flag that may be lost.
#[derive(Default)]
pub(crate) struct Hint(AtomicBool);

impl Hint {
    pub(crate) fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self) {
        // A write takes the line from every other core, and most are in vain.
        if !self.is_set() {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    pub(crate) fn clear(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
