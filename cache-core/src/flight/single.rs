//! Singleflight (groupcache's word): of all callers that miss one key, one leads
//! and the others wait for what it finds.
//!
//! A flight's identity includes the key's fence ticket, and how often tags of the
//! cache have changed. A caller that arrives after an invalidation holds newer ones,
//! and so never joins a flight that began before it:
//!
//! 1. A leads with ticket 4 and reads the old row
//! 2. the row changes, the invalidation makes the ticket 5
//! 3. B asks, finds no flight with ticket 5, and leads one of its own
//!
//! A leader that goes away, by a drop or a panic, leaves no one waiting for ever:
//! its [`Lead`] says so when it is dropped, and the followers elect another.

use crate::guard::fence::Ticket;
use crate::model::key::KeyHash;
use crate::model::position::Position;
use crate::shim::{AtomicUsize, Mutex, Ordering, SetOnce};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;

/// The most callers that may wait for others in one cache.
pub const WAITERS_MAX: usize = 65_536;
const SHARDS: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Identity {
    key: Arc<[u8]>,
    since: Since,
    at_least: Position,
}

/// What a caller had been told of when it began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Since {
    /// The key's count in the fence.
    pub ticket: Ticket,
    /// The cache's tag changes.
    pub tag_changes: u64,
}

/// A flight ends once: with what was found, or with nothing when its leader went away.
type End<T> = Arc<SetOnce<Option<T>>>;

/// The flights of one cache.
pub struct Flights<T> {
    shards: [Mutex<HashMap<Identity, End<T>>>; SHARDS],
    waiters: AtomicUsize,
}

/// A caller's part in a flight.
#[derive(Debug)]
pub enum Part<T: Clone> {
    /// It does the work.
    Lead(Lead<T>),
    /// It waits.
    Follow(Follow<T>),
    /// Too many wait already.
    Full,
}

/// The duty to finish a flight.
pub struct Lead<T: Clone> {
    flights: Arc<Flights<T>>,
    shard: usize,
    identity: Identity,
    end: End<T>,
}

/// A place among those who wait.
pub struct Follow<T: Clone> {
    flights: Arc<Flights<T>>,
    end: End<T>,
}

impl<T: Clone> Flights<T> {
    /// No flights.
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            waiters: AtomicUsize::new(0),
        })
    }

    /// Joins the flight of a key that began no earlier, or begins it. A caller that asks
    /// for a younger value than others does not share theirs.
    pub fn join(
        self: &Arc<Self>,
        key: &Arc<[u8]>,
        hash: KeyHash,
        since: Since,
        at_least: Position,
    ) -> Part<T> {
        let identity = Identity {
            key: key.clone(),
            since,
            at_least,
        };
        let shard = hash.0 as usize % SHARDS;
        match self.shards[shard].lock().entry(identity) {
            Entry::Occupied(flight) => {
                if self.waiters.fetch_add(1, Ordering::AcqRel) >= WAITERS_MAX {
                    self.waiters.fetch_sub(1, Ordering::AcqRel);
                    return Part::Full;
                }
                Part::Follow(Follow {
                    flights: self.clone(),
                    end: flight.get().clone(),
                })
            }
            Entry::Vacant(place) => {
                let end = Arc::new(SetOnce::new());
                let identity = place.key().clone();
                place.insert(end.clone());
                Part::Lead(Lead {
                    flights: self.clone(),
                    shard,
                    identity,
                    end,
                })
            }
        }
    }

    /// Whether one of this key is under way.
    pub fn has(&self, key: &[u8], hash: KeyHash) -> bool {
        let flights = self.shards[hash.0 as usize % SHARDS].lock();
        flights.keys().any(|identity| &*identity.key == key)
    }

    /// How many flights are under way.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Clone> Lead<T> {
    /// A place among those who wait, for the caller whose work runs elsewhere.
    pub fn follow(&self) -> Follow<T> {
        self.flights.waiters.fetch_add(1, Ordering::AcqRel);
        Follow {
            flights: self.flights.clone(),
            end: self.end.clone(),
        }
    }

    /// Whether nobody waits any more. Whoever comes to wait meanwhile and finds the leader
    /// gone leads a flight of its own.
    pub fn is_abandoned(&self) -> bool {
        // The map's and this one.
        Arc::strong_count(&self.end) <= 2
    }

    /// Ends the flight with what was found.
    pub fn finish(self, found: T) {
        // Nobody else ends a flight, so it is not ended yet.
        let _ = self.end.set(Some(found));
    }
}

impl<T: Clone> Drop for Lead<T> {
    fn drop(&mut self) {
        // The flight leaves the map first: whoever is woken below and joins again
        // must not find it.
        self.flights.shards[self.shard]
            .lock()
            .remove(&self.identity);
        let _ = self.end.set(None);
    }
}

impl<T: Clone> Follow<T> {
    /// Waits; `None` means that the leader went away: join again.
    pub async fn wait(self) -> Option<T> {
        self.end.wait().await.clone()
    }
}

impl<T: Clone> Drop for Follow<T> {
    fn drop(&mut self) {
        self.flights.waiters.fetch_sub(1, Ordering::AcqRel);
    }
}

impl<T> fmt::Debug for Flights<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flights").finish_non_exhaustive()
    }
}

impl<T: Clone> fmt::Debug for Lead<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lead")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl<T: Clone> fmt::Debug for Follow<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follow").finish_non_exhaustive()
    }
}
