//! What a leader has taken out of the queue and not yet written: the last write of each
//! key, in the order in which the keys came.
//!
//! Keys whose writes failed are written apart from the others, in calls that are halved
//! each time one failed while others did not: one key that the source cannot take ends up
//! alone, and holds nobody up.

use super::backoff::Failed;
use crate::clock::Tick;
use crate::queue::Queued;
use bytes::Bytes;
use std::collections::{BTreeSet, HashMap, VecDeque};

/// The most writes that the keys of a window stand for. Each older one costs 8 bytes.
pub const WRITES_MAX: usize = 2_000_000;
const _: () = assert!(WRITES_MAX >= super::KEYS_MAX);

/// The last write of one key, and those that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latest {
    /// The key.
    pub key: Bytes,
    /// The write.
    pub write: Queued,
    /// The versions of the older ones, oldest first: where the source refuses the last, the
    /// one before is what it is to have. Their bodies stay in the queue.
    pub older: Vec<u64>,
    /// The oldest version that is not in the source.
    pub first: u64,
    /// When the first of them was taken out of the queue.
    pub since: Tick,
    /// What is known of it if it has failed.
    pub failed: Option<Failed>,
}

impl Latest {
    /// How many writes it stands for, itself among them.
    pub fn count(&self) -> usize {
        self.older.len() + 1
    }

    /// A newer write of the key stands for it from here on.
    fn is_followed_by(&mut self, newer: Queued) {
        self.older.push(self.write.version);
        self.write = newer;
    }
}

/// The writes that one leader holds.
#[derive(Debug, Default)]
pub struct Window {
    waiting: HashMap<Bytes, Latest>,
    /// The keys that were never tried.
    fresh: VecDeque<Bytes>,
    /// The keys that failed.
    failing: VecDeque<Bytes>,
    /// The oldest versions that are not in the source, of those waiting and those taken.
    undone: BTreeSet<u64>,
    highest: u64,
    /// How many writes all that is waiting or taken stands for.
    writes: usize,
}

impl Window {
    /// Adds a write that is newer than all before.
    pub fn push(&mut self, key: Bytes, write: Queued, now: Tick) {
        debug_assert!(write.version > self.highest);
        self.highest = write.version;
        self.writes += 1;
        if let Some(latest) = self.waiting.get_mut(&key) {
            latest.is_followed_by(write);
            return;
        }
        self.undone.insert(write.version);
        self.fresh.push_back(key.clone());
        let latest = Latest {
            key: key.clone(),
            first: write.version,
            write,
            older: Vec::new(),
            since: now,
            failed: None,
        };
        self.waiting.insert(key, latest);
    }

    /// Passes over a write that is not for the source; it counts as not done until
    /// [`Window::passed`].
    pub fn pass(&mut self, version: u64) {
        self.highest = self.highest.max(version);
        self.undone.insert(version);
    }

    /// Such a write is where people find it.
    pub fn passed(&mut self, version: u64) {
        self.undone.remove(&version);
    }

    /// Takes at most so many keys out that were never tried, in their order.
    pub fn take_fresh(&mut self, most: usize) -> Vec<Latest> {
        let many = most.min(self.fresh.len());
        let keys = self.fresh.drain(..many);
        keys.filter_map(|key| self.waiting.remove(&key)).collect()
    }

    /// Takes keys out that failed and may be tried again: at most so many, and fewer, the
    /// more often they failed. `streak` is how many calls in a row have failed.
    pub fn take_failing(&mut self, most: usize, streak: u32, now: Tick) -> Vec<Latest> {
        let failed = |key: &Bytes| self.waiting.get(key).and_then(|latest| latest.failed);
        let is_due = |key: &Bytes| failed(key).is_some_and(|failed| failed.not_before <= now);
        let due = self.failing.iter().filter(|key| is_due(key)).count();
        let apart = self.failing.iter().find(|key| is_due(key)).and_then(failed);
        let apart = apart.map_or(0, |failed| failed.apart);
        // Without a success in between nobody knows which key is to blame, and the source
        // may be down; after a few tries, fewer keys find out.
        let halvings = apart + streak.saturating_sub(2);
        let many = due.min(most).checked_shr(halvings).unwrap_or(0).max(1);
        let (mut taken, mut later) = (Vec::new(), VecDeque::new());
        while let Some(key) = self.failing.pop_front() {
            let failed = self.waiting.get(&key).and_then(|latest| latest.failed);
            let Some(failed) = failed else { continue };
            if failed.not_before > now || taken.len() == many || failed.apart < apart {
                later.push_back(key);
            } else {
                taken.extend(self.waiting.remove(&key));
            }
        }
        self.failing = later;
        taken
    }

    /// What was taken is in the source, or will never be.
    pub fn done(&mut self, latest: &Latest) {
        self.undone.remove(&latest.first);
        self.writes -= latest.count();
    }

    /// The source refused the last write of what was taken, which was put aside; in its
    /// place there is `before`, one of the older ones, or nothing if none is left.
    pub fn refused(&mut self, mut latest: Latest, before: Option<Queued>, now: Tick) {
        let Some(before) = before else {
            return self.done(&latest);
        };
        let count = latest.count();
        latest.older.retain(|version| *version < before.version);
        latest.write = before;
        self.writes -= count - latest.count();
        self.put_back(latest, Failed::alone(now));
    }

    /// What was taken failed. A newer write of its key, if there is one, stands for both.
    pub fn put_back(&mut self, mut latest: Latest, failed: Failed) {
        latest.failed = Some(failed);
        self.failing.push_back(latest.key.clone());
        if let Some(newer) = self.waiting.remove(&latest.key) {
            self.undone.remove(&newer.first);
            self.fresh.retain(|key| key != &newer.key);
            latest.older.push(latest.write.version);
            latest.older.extend(newer.older);
            latest.write = newer.write;
        }
        self.waiting.insert(latest.key.clone(), latest);
    }

    /// The version up to which the source has all; nothing if nothing was ever taken.
    pub fn done_up_to(&self) -> Option<u64> {
        let done = match self.undone.first() {
            Some(first) => first - 1,
            None => self.highest,
        };
        (done > 0).then_some(done)
    }

    /// How many keys wait that were never tried.
    pub fn fresh(&self) -> usize {
        self.fresh.len()
    }

    /// Since when the first of them waits. When it was pushed, another machine's clock
    /// says.
    pub fn since(&self) -> Option<Tick> {
        let first = self.waiting.get(self.fresh.front()?)?;
        Some(first.since)
    }

    /// Whether no more is to be pushed, if so many keys may wait.
    pub fn is_full(&self, keys_max: usize) -> bool {
        self.waiting.len() >= keys_max || self.writes >= WRITES_MAX
    }

    /// Whether no key waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn push(window: &mut Window, key: &'static str, version: u64) {
        let body = Bytes::from(version.to_string());
        let write = Queued {
            version,
            pushed_ms: 0,
            body,
        };
        window.push(Bytes::from(key), write, second(0));
    }

    fn versions(taken: &[Latest]) -> Vec<(u64, usize)> {
        let each = taken.iter();
        each.map(|latest| (latest.write.version, latest.count()))
            .collect()
    }

    fn second(at: u64) -> Tick {
        Tick::at(Duration::from_secs(at))
    }

    fn failed(apart: u32) -> Failed {
        Failed {
            apart,
            ..Failed::alone(second(1))
        }
    }

    #[test]
    fn the_last_write_of_a_key_stands_for_all_at_the_place_of_the_first() {
        let mut window = Window::default();
        push(&mut window, "a", 1);
        push(&mut window, "b", 2);
        push(&mut window, "a", 3);
        let taken = window.take_fresh(10);
        assert_eq!(versions(&taken), [(3, 2), (2, 1)]);
        assert_eq!(window.done_up_to(), None, "taken is not written");
        window.done(&taken[1]);
        assert_eq!(window.done_up_to(), None, "version 1 is not written");
        window.done(&taken[0]);
        assert_eq!(window.done_up_to(), Some(3));
    }

    #[test]
    fn a_newer_write_takes_the_place_of_one_that_failed() {
        let mut window = Window::default();
        push(&mut window, "a", 1);
        let first = window.take_fresh(10).remove(0);
        push(&mut window, "a", 2);
        push(&mut window, "b", 3);
        window.put_back(first, failed(0));
        assert_eq!(versions(&window.take_fresh(10)), [(3, 1)], "a has failed");
        assert_eq!(window.take_failing(10, 1, second(0)), []);
        let taken = window.take_failing(10, 1, second(1));
        assert_eq!(versions(&taken), [(2, 2)]);
        assert_eq!(taken[0].first, 1);
        assert!(window.is_empty());
    }

    #[test]
    fn of_a_refused_write_the_one_before_is_left() {
        let mut window = Window::default();
        for version in 1..=4 {
            push(&mut window, "a", version);
        }
        push(&mut window, "b", 5);
        let mut taken = window.take_fresh(10);
        window.done(&taken.pop().expect("b"));
        let body = Bytes::from_static(b"2");
        let second_write = Queued {
            version: 2,
            pushed_ms: 0,
            body,
        };
        let latest = taken.pop().expect("a");
        assert_eq!(latest.older, [1, 2, 3]);
        // The third has gone from the queue.
        window.refused(latest, Some(second_write), second(0));
        assert_eq!(window.done_up_to(), None);
        push(&mut window, "a", 6);
        let latest = window.take_failing(10, 0, second(0)).remove(0);
        assert_eq!((latest.write.version, &*latest.older), (6, &[1, 2][..]));
        assert_eq!(window.writes, 3);
        window.refused(latest, None, second(0));
        assert_eq!((window.done_up_to(), window.writes), (Some(6), 0));
    }

    #[test]
    fn one_key_that_fails_ends_up_alone() {
        let mut window = Window::default();
        let keys = ["a", "b", "c", "d", "e", "f", "g", "h"];
        for (version, key) in (1..).zip(keys) {
            push(&mut window, key, version);
        }
        for latest in window.take_fresh(8) {
            window.put_back(latest, failed(1));
        }
        let mut calls = Vec::new();
        while !window.is_empty() {
            let taken = window.take_failing(8, 0, second(1));
            calls.push(taken.len());
            let has_it = taken.iter().any(|latest| latest.key == "b");
            for latest in taken.into_iter().filter(|_| has_it && calls.len() < 20) {
                let apart = latest.failed.expect("it failed").apart + 1;
                window.put_back(latest, failed(apart));
            }
            if window.waiting.values().all(|latest| latest.key == "b") {
                break;
            }
        }
        assert!(calls.len() <= 10, "{calls:?}");
        assert!(window.waiting.contains_key("b".as_bytes()));
    }

    #[test]
    fn without_any_success_calls_become_smaller_with_each_try() {
        let mut window = Window::default();
        for (version, key) in (1..).zip(["a", "b"]) {
            push(&mut window, key, version);
        }
        for latest in window.take_fresh(8) {
            window.put_back(latest, failed(0));
        }
        assert_eq!(window.take_failing(8, 2, second(1)).len(), 2);
        for (version, key) in (3..).zip(["c", "d"]) {
            push(&mut window, key, version);
        }
        for latest in window.take_fresh(8) {
            window.put_back(latest, failed(0));
        }
        assert_eq!(window.take_failing(8, 3, second(1)).len(), 1);
    }
}
