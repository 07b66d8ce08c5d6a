//! The keys that are asked for most: a sketch of fixed size (Space-Saving: Metwally, Agrawal
//! and El Abbadi, ICDT 2005) over a sample of the reads.

use bytes::Bytes;
use cache_core::Name;
use cache_core::clock::{Clock, Tick};
use cache_core::random::{MILLION, Sample};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How many keys are counted at once: a key above one read in so many is surely among them.
pub const KEYS_MAX: usize = 256;
/// How many reads of a million are counted. One in sixteen costs nothing that could be
/// measured, and hot keys are found all the same.
const PER_MILLION: u32 = MILLION / 16;
/// How long one sketch counts. The one before it is kept, so that there is always a minute
/// to be looked at.
const SPAN: Duration = Duration::from_secs(60);

/// What is counted of the reads of the last minute or two.
pub struct HotKeys {
    sample: Sample,
    per_million: u32,
    clock: Arc<dyn Clock>,
    sketches: Mutex<Sketches>,
}

/// One key that is asked for much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hot {
    /// The cache.
    pub cache: Name,
    /// The key.
    pub key: Bytes,
    /// How often it was asked for, or less often.
    pub reads: u64,
    /// By how much that may be too many.
    pub error: u64,
}

struct Sketches {
    began: Tick,
    now: Sketch,
    before: Option<(Tick, Sketch)>,
}

#[derive(Default)]
struct Sketch(HashMap<(Name, Bytes), Count>);

#[derive(Clone, Copy, Default)]
struct Count {
    reads: u64,
    error: u64,
}

impl HotKeys {
    /// A sketch over one read in sixteen.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::of(clock, PER_MILLION)
    }

    /// A sketch over so many reads of a million; at least one.
    pub fn of(clock: Arc<dyn Clock>, per_million: u32) -> Self {
        let per_million = per_million.clamp(1, MILLION);
        Self {
            sample: Sample::new(per_million, 0),
            per_million,
            sketches: Mutex::new(Sketches {
                began: clock.now(),
                now: Sketch::default(),
                before: None,
            }),
            clock,
        }
    }

    /// A key was asked for.
    pub fn saw(&self, cache: &Name, key: &[u8]) {
        if !self.sample.draws() {
            return;
        }
        // Who finds it locked counts nothing: that is one more sample left out.
        let Some(mut sketches) = self.sketches.try_lock() else {
            return;
        };
        sketches.turn(self.clock.now());
        // A copy: the request's own bytes would keep its whole message.
        let key = Bytes::copy_from_slice(key);
        sketches.now.count((cache.clone(), key));
    }

    /// The hottest keys, of one cache or of all, and how long they were counted.
    pub fn hottest(&self, cache: Option<&Name>, most: usize) -> (Vec<Hot>, Duration) {
        let now = self.clock.now();
        let mut sketches = self.sketches.lock();
        sketches.turn(now);
        let (began, counts) = sketches.all();
        drop(sketches);
        let wanted = counts
            .into_iter()
            .filter(|((name, _), _)| cache.is_none_or(|cache| cache == name));
        let scale = u64::from(MILLION) / u64::from(self.per_million);
        let mut hottest: Vec<Hot> = wanted
            .map(|((cache, key), count)| Hot {
                cache,
                key,
                reads: count.reads * scale,
                error: count.error * scale,
            })
            .collect();
        hottest.sort_by(|a, b| (b.reads, &a.key).cmp(&(a.reads, &b.key)));
        hottest.truncate(most);
        (hottest, now.since(began))
    }
}

impl Sketches {
    fn turn(&mut self, now: Tick) {
        let age = now.since(self.began);
        if age < SPAN {
            return;
        }
        let full = std::mem::take(&mut self.now);
        self.before = (age < 2 * SPAN).then_some((self.began, full));
        self.began = now;
    }

    fn all(&self) -> (Tick, HashMap<(Name, Bytes), Count>) {
        let mut all = self.now.0.clone();
        let Some((began, before)) = &self.before else {
            return (self.began, all);
        };
        for (key, count) in &before.0 {
            let sum = all.entry(key.clone()).or_default();
            sum.reads += count.reads;
            sum.error += count.error;
        }
        (*began, all)
    }
}

impl Sketch {
    fn count(&mut self, key: (Name, Bytes)) {
        if let Some(count) = self.0.get_mut(&key) {
            count.reads += 1;
            return;
        }
        let mut error = 0;
        if self.0.len() >= KEYS_MAX {
            // The newcomer takes the place, and the count, of the one with the least.
            let least = self.0.iter().min_by_key(|(_, count)| count.reads);
            let least = least.map(|(key, count)| (key.clone(), count.reads));
            if let Some((least, reads)) = least {
                self.0.remove(&least);
                error = reads;
            }
        }
        let reads = error + 1;
        self.0.insert(key, Count { reads, error });
    }
}

impl fmt::Debug for HotKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HotKeys").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_core::testkit::clock::HandClock;

    fn users() -> Name {
        Name::new("users").unwrap()
    }

    #[test]
    fn hot_keys_are_found_among_many_more_than_are_counted() {
        let keys = HotKeys::of(Arc::new(HandClock::new()), MILLION);
        for turn in 0..20_000_u32 {
            keys.saw(&users(), b"hot");
            keys.saw(&users(), format!("cold:{turn}").as_bytes());
            if turn % 2 == 0 {
                keys.saw(&users(), b"warm");
            }
        }
        let (hottest, _) = keys.hottest(None, 2);
        let names: Vec<_> = hottest.iter().map(|hot| &hot.key[..]).collect();
        assert_eq!(names, [&b"hot"[..], b"warm"]);
        assert!(hottest[0].reads >= 20_000 && hottest[0].reads - hottest[0].error <= 20_000);
        let (all, _) = keys.hottest(None, usize::MAX);
        assert_eq!(all.len(), KEYS_MAX, "and no more is kept");
    }

    #[test]
    fn what_was_hot_long_ago_is_forgotten() {
        let clock = Arc::new(HandClock::new());
        let keys = HotKeys::of(clock.clone(), MILLION);
        keys.saw(&users(), b"old");
        clock.turn(Duration::from_secs(61));
        keys.saw(&users(), b"new");
        let (hottest, over) = keys.hottest(None, 9);
        assert_eq!((hottest.len(), over), (2, Duration::from_secs(61)));
        clock.turn(Duration::from_secs(69));
        let (hottest, _) = keys.hottest(None, 9);
        assert_eq!(hottest.len(), 1);
        assert_eq!(hottest[0].key, "new");
    }

    #[test]
    fn caches_are_counted_apart_and_a_sample_is_scaled_up() {
        let keys = HotKeys::of(Arc::new(HandClock::new()), MILLION / 4);
        let notes = Name::new("notes").unwrap();
        for _ in 0..4_000 {
            keys.saw(&users(), b"k");
        }
        for _ in 0..400 {
            keys.saw(&notes, b"k");
        }
        let of = |cache: &Name| keys.hottest(Some(cache), 9).0;
        assert_eq!((of(&users()).len(), of(&notes).len()), (1, 1));
        let (many, few) = (of(&users())[0].reads, of(&notes)[0].reads);
        assert!(
            many.abs_diff(4_000) <= 40 && few.abs_diff(400) <= 40,
            "{many} {few}"
        );
    }
}
