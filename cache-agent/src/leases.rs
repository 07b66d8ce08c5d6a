//! The leases that callers hold: what is kept here between a miss and its fill.
//!
//! A ticket that leaves this store without a fill is dropped, which gives its lease
//! back and lets another caller load.

use bytes::Bytes;
use cache_core::Name;
use cache_core::clock::{Clock, Tick};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The most leases held at once; beyond it, the one that would end first is given
/// back. Callers load one key each, so this is far above any real number of them,
/// and bounds the memory of those that never come back.
pub const LEASES_MAX: usize = 65_536;

/// Tickets by token.
pub struct Leases<T> {
    clock: Arc<dyn Clock>,
    most: usize,
    state: Mutex<State<T>>,
}

struct State<T> {
    held: HashMap<u64, Held<T>>,
    /// The tokens by their end, the earliest first.
    ends: BTreeSet<(Tick, u64)>,
}

struct Held<T> {
    cache: Name,
    key: Bytes,
    until: Tick,
    ticket: T,
}

impl<T> Leases<T> {
    /// An empty store for at most `most` leases.
    pub fn new(clock: Arc<dyn Clock>, most: usize) -> Self {
        Self {
            clock,
            most,
            state: Mutex::new(State {
                held: HashMap::new(),
                ends: BTreeSet::new(),
            }),
        }
    }

    /// Keeps a ticket for as long as its lease lasts.
    pub fn keep(&self, token: u64, cache: Name, key: Bytes, ticket: T, lasts: Duration) {
        let until = self.clock.now().after(lasts);
        let held = Held {
            cache,
            key,
            until,
            ticket,
        };
        let mut out = Vec::new();
        {
            let mut state = self.state.lock();
            if state.held.len() >= self.most {
                out.extend(state.take_first(None));
            }
            state.ends.insert((until, token));
            if let Some(same) = state.held.insert(token, held) {
                state.ends.remove(&(same.until, token));
                out.push(same.ticket);
            }
        }
        // Dropping a ticket wakes other callers: not under the lock.
        drop(out);
    }

    /// Takes the ticket of a token, if it is held for this very key.
    pub fn take(&self, token: u64, cache: &Name, key: &[u8]) -> Option<T> {
        let now = self.clock.now();
        let mut state = self.state.lock();
        let held = state.held.get(&token)?;
        if held.cache != *cache || held.key != key || held.until <= now {
            return None;
        }
        state.remove(token)
    }

    /// Takes out all that have run out.
    pub fn sweep(&self) -> Vec<T> {
        let now = self.clock.now();
        let mut out = Vec::new();
        let mut state = self.state.lock();
        while let Some(ticket) = state.take_first(Some(now)) {
            out.push(ticket);
        }
        out
    }

    /// Gives back all of them.
    pub fn clear(&self) {
        let all = {
            let mut state = self.state.lock();
            state.ends.clear();
            std::mem::take(&mut state.held)
        };
        drop(all);
    }

    /// How many are held.
    pub fn len(&self) -> usize {
        self.state.lock().held.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T> State<T> {
    fn remove(&mut self, token: u64) -> Option<T> {
        let held = self.held.remove(&token)?;
        self.ends.remove(&(held.until, token));
        Some(held.ticket)
    }

    /// Takes the lease that ends first, if it ends by `now`.
    fn take_first(&mut self, now: Option<Tick>) -> Option<T> {
        let (until, token) = *self.ends.first()?;
        if now.is_some_and(|now| until > now) {
            return None;
        }
        self.remove(token)
    }
}

impl<T> fmt::Debug for Leases<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Leases")
            .field("held", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[derive(Debug, Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn now(&self) -> Tick {
            Tick::at(Duration::from_millis(self.0.load(Ordering::Relaxed)))
        }

        fn wall_ms(&self) -> u64 {
            0
        }
    }

    fn store(most: usize) -> (Arc<Hand>, Leases<Arc<()>>, Name) {
        let clock = Arc::new(Hand::default());
        (
            clock.clone(),
            Leases::new(clock, most),
            Name::new("users").unwrap(),
        )
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_token_opens_its_own_key_once() {
        let (_, leases, users) = store(8);
        leases.keep(7, users.clone(), Bytes::from("a"), Arc::new(()), SECOND);
        let other = Name::new("orders").unwrap();
        assert!(leases.take(7, &users, b"b").is_none(), "another key");
        assert!(leases.take(7, &other, b"a").is_none(), "another cache");
        assert!(leases.take(8, &users, b"a").is_none(), "another token");
        assert!(leases.take(7, &users, b"a").is_some());
        assert!(leases.take(7, &users, b"a").is_none(), "it is used up");
        assert!(leases.is_empty());
    }

    #[test]
    fn a_lease_that_ran_out_is_dropped() {
        let (clock, leases, users) = store(8);
        let (short, long) = (Arc::new(()), Arc::new(()));
        leases.keep(1, users.clone(), Bytes::from("a"), long.clone(), 2 * SECOND);
        leases.keep(2, users.clone(), Bytes::from("b"), short.clone(), SECOND);
        clock.0.store(1_000, Ordering::Relaxed);
        assert!(
            leases.take(2, &users, b"b").is_none(),
            "even before the sweep"
        );
        drop(leases.sweep());
        assert_eq!(
            (Arc::strong_count(&short), Arc::strong_count(&long)),
            (1, 2)
        );
        leases.clear();
        assert_eq!(Arc::strong_count(&long), 1);
    }

    #[test]
    fn a_full_store_gives_back_the_one_that_ends_first() {
        let (_, leases, users) = store(2);
        for (token, seconds) in [(1, 3), (2, 1), (3, 2)] {
            let lasts = seconds * SECOND;
            leases.keep(token, users.clone(), Bytes::from("a"), Arc::new(()), lasts);
        }
        assert_eq!(leases.len(), 2);
        assert!(leases.take(2, &users, b"a").is_none());
        assert!(leases.take(1, &users, b"a").is_some());
    }
}
