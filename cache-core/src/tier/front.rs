//! The front of L1: the entries that are read again and again, in an array that a read
//! finds by the key's hash, without a lock, a queue or a count.
//!
//! It decides nothing. Whatever it hands out is judged like an entry of the store behind
//! it, by its key, its lifetime and the fence, so an invalidation needs no removal here
//! either, and a place may hold any entry that was ever put into it.
//!
//! A set has two places. An entry gets one that is empty, or whose entry nobody has read
//! since it was last passed over: CLOCK (Corbató, 1968), one turn for each entry that is
//! refused. So what is read once drives out nothing that is read often.

use crate::model::key::KeyHash;
use crate::shim::{Hint, Slot};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// How many entries share a set.
const WAYS: usize = 2;
/// So many bytes of L1 for each place: fewer entries than L1 holds, since few keys are hot.
const BYTES_PER_PLACE: u64 = 2048;
const SETS_MAX: u64 = 32 * 1024;

/// Entries by the hashes of their keys.
pub struct Front<T> {
    /// Set aside when there is something to hold: most processes open more caches than they
    /// use.
    sets: OnceLock<Box<[Set<T>]>>,
    count: usize,
}

struct Set<T> {
    places: [Slot<T>; WAYS],
    /// Whether it was read since it was last passed over.
    read: [Hint; WAYS],
}

impl<T> Front<T> {
    /// One for an L1 of so many bytes.
    pub fn for_bytes(bytes: u64) -> Self {
        let places = bytes / BYTES_PER_PLACE;
        let sets = (places / WAYS as u64).clamp(1, SETS_MAX);
        Self {
            sets: OnceLock::new(),
            count: sets.next_power_of_two() as usize,
        }
    }

    /// The entry of a key; `is` tells it by.
    pub fn get(&self, hash: KeyHash, is: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        let set = self.set(hash)?;
        for (place, read) in set.places.iter().zip(&set.read) {
            if let Some(found) = place.get_if(&is) {
                read.set();
                return Some(found);
            }
        }
        None
    }

    /// The same, which counts as no read.
    pub fn peek(&self, hash: KeyHash, is: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        let set = self.set(hash)?;
        set.places.iter().find_map(|place| place.get_if(&is))
    }

    /// Offers the entry of a key; whether it was taken, because it is likely to be read again.
    pub fn offer(&self, hash: KeyHash, is: impl Fn(&T) -> bool, entry: &Arc<T>) -> bool {
        if self.replace(hash, &is, entry) {
            return true;
        }
        let sets = self
            .sets
            .get_or_init(|| (0..self.count).map(|_| Set::new()).collect());
        let set = &sets[self.index(hash)];
        let empty = set.places.iter().position(Slot::is_empty);
        let unread = || set.read.iter().position(|read| !read.is_set());
        match empty.or_else(unread) {
            Some(at) => {
                set.places[at].put(entry.clone());
                set.read[at].clear();
                true
            }
            None => {
                set.read.iter().for_each(Hint::clear);
                false
            }
        }
    }

    /// Puts an entry in the place of the key's former one, if that has one.
    pub fn replace(&self, hash: KeyHash, is: impl Fn(&T) -> bool, entry: &Arc<T>) -> bool {
        let Some(set) = self.set(hash) else {
            return false;
        };
        let former = set.places.iter().find(|place| place.get_if(&is).is_some());
        former.inspect(|place| place.put(entry.clone())).is_some()
    }

    /// Forgets this very entry.
    pub fn forget(&self, hash: KeyHash, entry: &Arc<T>) {
        if let Some(set) = self.set(hash) {
            set.places.iter().for_each(|place| place.take_if(entry));
        }
    }

    fn set(&self, hash: KeyHash) -> Option<&Set<T>> {
        Some(&self.sets.get()?[self.index(hash)])
    }

    fn index(&self, hash: KeyHash) -> usize {
        hash.0 as usize & (self.count - 1)
    }
}

impl<T> Set<T> {
    fn new() -> Self {
        Self {
            places: std::array::from_fn(|_| Slot::empty()),
            read: std::array::from_fn(|_| Hint::default()),
        }
    }
}

impl<T> fmt::Debug for Front<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count;
        f.debug_struct("Front")
            .field("sets", &count)
            .finish_non_exhaustive()
    }
}
