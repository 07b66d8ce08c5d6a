//! What a leader has taken out of the queue and not yet written: the last write of each
//! key, in the order in which the keys came.
//!
//! Keys whose writes failed are written apart from the others, in calls that are halved
//! each time one failed while others did not: one key that the source cannot take ends up
//! alone, and holds nobody up.

use crate::clock::Tick;
use crate::queue::Queued;
use bytes::Bytes;
use std::collections::{BTreeSet, HashMap, VecDeque};

/// The last write of one key, and how many it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Latest {
    /// The key.
    pub key: Bytes,
    /// The write.
    pub write: Queued,
    /// The version of the oldest write that it stands for.
    pub first: u64,
    /// How many writes it stands for.
    pub count: u64,
    /// When the first of them was taken out of the queue.
    pub since: Tick,
    /// What is known of it if it has failed.
    pub failed: Option<Failed>,
}

/// What is known of a key whose writes fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failed {
    /// How often in a row.
    pub times: u32,
    /// How often while other calls succeeded.
    pub apart: u32,
    /// How many calls of the leader had succeeded then.
    pub successes: u64,
    /// It is not written again before.
    pub not_before: Tick,
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
}

impl Window {
    /// Adds a write that is newer than all before.
    pub fn push(&mut self, key: Bytes, write: Queued, now: Tick) {
        debug_assert!(write.version > self.highest);
        self.highest = write.version;
        if let Some(latest) = self.waiting.get_mut(&key) {
            latest.write = write;
            latest.count += 1;
            return;
        }
        self.undone.insert(write.version);
        self.fresh.push_back(key.clone());
        let latest = Latest {
            key: key.clone(),
            first: write.version,
            write,
            count: 1,
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
    }

    /// What was taken failed. A newer write of its key, if there is one, stands for both.
    pub fn put_back(&mut self, mut latest: Latest, failed: Failed) {
        latest.failed = Some(failed);
        self.failing.push_back(latest.key.clone());
        if let Some(newer) = self.waiting.remove(&latest.key) {
            self.undone.remove(&newer.first);
            self.fresh.retain(|key| key != &newer.key);
            latest.write = newer.write;
            latest.count += newer.count;
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

    /// How many keys wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none does.
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

    fn versions(taken: &[Latest]) -> Vec<(u64, u64)> {
        let each = taken.iter();
        each.map(|latest| (latest.write.version, latest.count))
            .collect()
    }

    fn second(at: u64) -> Tick {
        Tick::at(Duration::from_secs(at))
    }

    fn failed(apart: u32) -> Failed {
        Failed {
            times: 1,
            apart,
            successes: 0,
            not_before: second(1),
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
