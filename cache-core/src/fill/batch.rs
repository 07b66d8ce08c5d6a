//! One load for many keys (Facebook's DataLoader calls it a batch): each key goes its own
//! way through the tiers, flights and leases, and those that come to load are loaded
//! together.
//!
//! A batch is loaded when every key of it has come to load, is answered, or waits for
//! another's load: nobody waits for a key that is loaded elsewhere. A key that waited in
//! vain is loaded later, by itself.

use crate::error::Error;
use crate::source::{Loaded, Wanted};
use parking_lot::Mutex;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::oneshot;

/// One key that is to be loaded, and where its value is waited for.
pub struct Order<V> {
    /// The key.
    pub wanted: Wanted,
    /// Who waits for its value.
    pub answer: oneshot::Sender<Result<Loaded<V>, Error>>,
}

/// What is done with the orders of a batch: it must not wait.
pub type Place<V> = Box<dyn Fn(Vec<Order<V>>) + Send + Sync>;

/// The keys of one call that may have to be loaded.
struct Batch<V> {
    orders: Mutex<Orders<V>>,
    place: Place<V>,
}

struct Orders<V> {
    /// The keys of which nobody knows yet whether they must be loaded.
    open: usize,
    taken: Vec<Order<V>>,
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
        taken: Vec::new(),
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
    pub async fn load(self, wanted: Wanted) -> Option<Result<Loaded<V>, Error>> {
        let (answer, loaded) = oneshot::channel();
        self.0.settle(Some(Order { wanted, answer }));
        loaded.await.ok()
    }
}

impl<V> Part<V> {
    fn settle(&self, order: Option<Order<V>>) {
        let mut orders = self.batch.orders.lock();
        if !self.settled.swap(true, Ordering::Relaxed) {
            orders.open -= 1;
        }
        orders.taken.extend(order);
        if orders.open > 0 || orders.taken.is_empty() {
            return;
        }
        let taken = std::mem::take(&mut orders.taken);
        drop(orders);
        (self.batch.place)(taken);
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
