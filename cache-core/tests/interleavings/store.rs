//! What L1 keeps its entries in, here: a map under one lock, each call one step, with
//! the part of moka's interface that L1 uses.
//!
//! The worst store that may stand in for moka forgets to drop what it was told to drop:
//! [`drops_lost`] makes it do so.

use loom::sync::Mutex;
use moka::notification::RemovalCause;
use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

thread_local! {
    // loom runs all threads of a life on the one thread that explores it.
    static DROPS_LOST: Cell<bool> = const { Cell::new(false) };
}

/// Runs `explore` over a store that drops nothing.
pub(crate) fn drops_lost<T>(explore: impl FnOnce() -> T) -> T {
    DROPS_LOST.set(true);
    let explored = explore();
    DROPS_LOST.set(false);
    explored
}

pub(crate) struct Cache<K, V, S = RandomState> {
    entries: Mutex<HashMap<K, V, S>>,
}

/// Bounds and lifetimes are left out: no life is long enough to meet them.
pub(crate) struct Builder<K, V>(PhantomData<(K, V)>);

impl<K, V> Cache<K, V, RandomState> {
    pub(crate) fn builder() -> Builder<K, V> {
        Builder(PhantomData)
    }
}

impl<K: Eq + Hash, V> Builder<K, V> {
    pub(crate) fn max_capacity(self, _: u64) -> Self {
        self
    }

    pub(crate) fn weigher(self, _: impl Fn(&K, &V) -> u32) -> Self {
        self
    }

    pub(crate) fn time_to_live(self, _: Duration) -> Self {
        self
    }

    /// Nobody is told: what is evicted may stay in the front for ever.
    pub(crate) fn eviction_listener<F>(self, _: F) -> Self
    where
        F: Fn(Arc<K>, V, RemovalCause) + Send + Sync + 'static,
    {
        self
    }

    pub(crate) fn time_to_idle(self, _: Duration) -> Self {
        self
    }

    pub(crate) fn build_with_hasher<S: BuildHasher>(self, hasher: S) -> Cache<K, V, S> {
        Cache {
            entries: Mutex::new(HashMap::with_hasher(hasher)),
        }
    }
}

impl<K: Eq + Hash, V: Clone, S: BuildHasher> Cache<K, V, S> {
    fn step<T>(&self, step: impl FnOnce(&mut HashMap<K, V, S>) -> T) -> T {
        step(&mut self.entries.lock().expect("no life goes on after a panic"))
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        self.step(|entries| entries.get(key).cloned())
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.step(|entries| entries.contains_key(key))
    }

    pub(crate) fn insert(&self, key: K, value: V) {
        self.step(|entries| entries.insert(key, value));
    }

    pub(crate) fn invalidate(&self, key: &K) {
        if !DROPS_LOST.get() {
            self.step(|entries| entries.remove(key));
        }
    }

    pub(crate) fn invalidate_all(&self) {
        if !DROPS_LOST.get() {
            self.step(HashMap::clear);
        }
    }

    pub(crate) fn entry_count(&self) -> u64 {
        self.step(|entries| entries.len() as u64)
    }

    pub(crate) fn weighted_size(&self) -> u64 {
        self.entry_count()
    }

    pub(crate) fn run_pending_tasks(&self) {}

    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, V)> + use<K, V, S>
    where
        K: Clone,
    {
        let copy = |entries: &mut HashMap<K, V, S>| {
            let each = entries.iter();
            each.map(|(key, value)| (key.clone(), value.clone()))
                .collect::<Vec<_>>()
        };
        self.step(copy).into_iter()
    }
}
