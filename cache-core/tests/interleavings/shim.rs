//! What the shipped files take from `crate::shim`, here with every step in the hands
//! of loom: it decides who goes next, and which of the values that the memory model
//! allows a load returns.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

pub(crate) use crate::store::Cache;
pub(crate) use loom::sync::atomic::Ordering;
pub(crate) use moka::notification::RemovalCause;

thread_local! {
    // loom runs all threads of a life on the one thread that explores it.
    static RELAXED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `explore` with every atomic step `Relaxed`, whatever the shipped files ask for.
pub(crate) fn relaxed<T>(explore: impl FnOnce() -> T) -> T {
    RELAXED.set(true);
    let explored = explore();
    RELAXED.set(false);
    explored
}

fn effective(asked: Ordering) -> Ordering {
    if RELAXED.get() {
        Ordering::Relaxed
    } else {
        asked
    }
}

macro_rules! counter {
    ($name:ident, $of:ty) => {
        #[derive(Default)]
        pub(crate) struct $name(loom::sync::atomic::$name);

        impl $name {
            pub(crate) fn new(value: $of) -> Self {
                Self(loom::sync::atomic::$name::new(value))
            }

            pub(crate) fn load(&self, order: Ordering) -> $of {
                self.0.load(effective(order))
            }

            pub(crate) fn store(&self, value: $of, order: Ordering) {
                self.0.store(value, effective(order));
            }

            pub(crate) fn fetch_add(&self, value: $of, order: Ordering) -> $of {
                self.0.fetch_add(value, effective(order))
            }

            pub(crate) fn fetch_sub(&self, value: $of, order: Ordering) -> $of {
                self.0.fetch_sub(value, effective(order))
            }

            pub(crate) fn fetch_max(&self, value: $of, order: Ordering) -> $of {
                self.0.fetch_max(value, effective(order))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    };
}

counter!(AtomicU64, u64);
counter!(AtomicUsize, usize);

macro_rules! lock {
    ($name:ident, $($take:ident -> $guard:ident),+) => {
        #[derive(Default)]
        pub(crate) struct $name<T>(loom::sync::$name<T>);

        impl<T> $name<T> {
            pub(crate) fn new(value: T) -> Self {
                Self(loom::sync::$name::new(value))
            }

            $(pub(crate) fn $take(&self) -> loom::sync::$guard<'_, T> {
                self.0.$take().expect("no life goes on after a panic")
            })+
        }

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    };
}

lock!(Mutex, lock -> MutexGuard);
lock!(RwLock, read -> RwLockReadGuard, write -> RwLockWriteGuard);

/// A cell that is set once, as tokio's: its own lock-free inside is not searched here.
/// Waiting blocks the thread of the life, so that loom finds those that wait for ever.
pub(crate) struct SetOnce<T> {
    value: loom::sync::Mutex<Option<T>>,
    is_set: loom::sync::Condvar,
}

impl<T: Clone> SetOnce<T> {
    pub(crate) fn new() -> Self {
        Self {
            value: loom::sync::Mutex::new(None),
            is_set: loom::sync::Condvar::new(),
        }
    }

    /// Gives the value back if there is one already.
    pub(crate) fn set(&self, value: T) -> Result<(), T> {
        let mut place = self.value.lock().expect("no life goes on after a panic");
        if place.is_some() {
            return Err(value);
        }
        *place = Some(value);
        self.is_set.notify_all();
        Ok(())
    }

    pub(crate) async fn wait(&self) -> T {
        let mut place = self.value.lock().expect("no life goes on after a panic");
        loop {
            if let Some(value) = &*place {
                return value.clone();
            }
            place = self
                .is_set
                .wait(place)
                .expect("no life goes on after a panic");
        }
    }
}

/// A place for one entry; the search is in the hands of loom at each call, and arc-swap's own
/// inside is not searched here.
pub(crate) struct Slot<T>(loom::sync::Mutex<Option<Arc<T>>>);

impl<T> Slot<T> {
    pub(crate) fn empty() -> Self {
        Self(loom::sync::Mutex::new(None))
    }

    fn step<R>(&self, step: impl FnOnce(&mut Option<Arc<T>>) -> R) -> R {
        step(&mut self.0.lock().expect("no life goes on after a panic"))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.step(|place| place.is_none())
    }

    pub(crate) fn get_if(&self, is: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        self.step(|place| place.clone()).filter(|entry| is(entry))
    }

    pub(crate) fn put(&self, entry: Arc<T>) {
        self.step(|place| *place = Some(entry));
    }

    pub(crate) fn take_if(&self, entry: &Arc<T>) {
        self.step(|place| {
            if place.as_ref().is_some_and(|is| Arc::ptr_eq(is, entry)) {
                *place = None;
            }
        });
    }
}

/// A flag that may be lost, and is.
#[derive(Default)]
pub(crate) struct Hint(());

impl Hint {
    pub(crate) fn is_set(&self) -> bool {
        false
    }

    pub(crate) fn set(&self) {}

    pub(crate) fn clear(&self) {}
}
