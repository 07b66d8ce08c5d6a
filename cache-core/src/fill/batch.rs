//! One load for many keys (Facebook's DataLoader calls it a batch): each key goes its own
//! way through the tiers, flights and leases, and those that come to load are loaded
//! together.
//!
//! A batch is loaded when every key of it has come to load, is answered, or waits for
//! another's load: nobody waits for a key that is loaded elsewhere. Keys that waited in
//! vain are loaded later, and gathered for a moment first: they come one after the other.

use crate::error::Error;
use crate::model::key::KeyHash;
use crate::source::{Loaded, Wanted};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::oneshot;

/// One key that is to be loaded, and where its value is waited for.
pub struct Order<V> {
    /// The key.
    pub wanted: Wanted<V>,
    /// Its hash.
    pub hash: KeyHash,
    /// Who waits for its value.
    pub answer: oneshot::Sender<Result<Loaded<V>, Error>>,
}

/// What is done with a batch that is to be loaded: it must not wait.
pub type Place<V> = Box<dyn Fn(Ready<V>) + Send + Sync>;

/// How long a late key waits for others like it.
const GATHER: Duration = Duration::from_millis(20);

/// A batch that is to be loaded.
pub struct Ready<V> {
    batch: Arc<Batch<V>>,
    is_late: bool,
}

/// The keys of one call that may have to be loaded.
struct Batch<V> {
    orders: Mutex<Orders<V>>,
    place: Place<V>,
}

struct Orders<V> {
    /// The keys of which nobody knows yet whether they must be loaded.
    open: usize,
    given: Vec<Order<V>>,
    /// Whether somebody has been told to take them.
    is_placed: bool,
}

/// One key's part in a batch. Dropped, it holds up the others no more.
pub struct Slot<V>(Arc<Part<V>>);

struct Part<V> {
    batch: Arc<Batch<V>>,
    settled: AtomicBool,
}

/// The slots of a batch of so many keys.
pub fn slots<V>(count: usize, place: Place<V>) -> Vec<Slot<V>> {
    let orders = Orders {
        open: count,
        given: Vec::new(),
        is_placed: false,
    };
    let batch = Arc::new(Batch {
        orders: Mutex::new(orders),
        place,
    });
    let part = |_| Part {
        batch: batch.clone(),
        settled: AtomicBool::new(false),
    };
    (0..count)
        .map(part)
        .map(|part| Slot(Arc::new(part)))
        .collect()
}

impl<V: Send> Slot<V> {
    /// What to call when the others need not wait for this key.
    pub fn step_aside(&self) -> impl Fn() + Send + Sync + use<V> {
        let part = self.0.clone();
        move || part.settle(None)
    }

    /// Loads this key together with the others; nothing if the load went away.
    pub async fn load(self, wanted: Wanted<V>, hash: KeyHash) -> Option<Result<Loaded<V>, Error>> {
        let (answer, loaded) = oneshot::channel();
        self.0.settle(Some(Order {
            wanted,
            hash,
            answer,
        }));
        loaded.await.ok()
    }
}

impl<V> Part<V> {
    fn settle(&self, order: Option<Order<V>>) {
        let mut orders = self.batch.orders.lock();
        let is_late = self.settled.swap(true, Ordering::Relaxed);
        if !is_late {
            orders.open -= 1;
        }
        orders.given.extend(order);
        if orders.open > 0 || orders.given.is_empty() || orders.is_placed {
            return;
        }
        orders.is_placed = true;
        drop(orders);
        (self.batch.place)(Ready {
            batch: self.batch.clone(),
            is_late,
        });
    }
}

impl<V> Ready<V> {
    /// What is to be loaded.
    pub async fn take(self) -> Vec<Order<V>> {
        if self.is_late {
            tokio::time::sleep(GATHER).await;
        }
        let mut orders = self.batch.orders.lock();
        orders.is_placed = false;
        std::mem::take(&mut orders.given)
    }
}

impl<V> fmt::Debug for Ready<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ready").finish_non_exhaustive()
    }
}

impl<V> Drop for Slot<V> {
    fn drop(&mut self) {
        self.0.settle(None);
    }
}

impl<V> fmt::Debug for Slot<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").finish_non_exhaustive()
    }
}
