//! L1: this process's memory, over moka. It keeps only what L2 accepted or served,
//! and answers only what the fence still holds for.
//!
//! An entry carries the fence ticket taken before its value was read. The fence
//! decides; moka only stores. So an invalidation needs no removal to be right, and
//! an insert that loses a race against one is never served.

use crate::clock::Tick;
use crate::event::DropCause;
use crate::guard::fence::{Fence, Ticket};
use crate::model::entry::Entry;
use crate::model::key::{Key, KeyHash};
use crate::model::position::Position;
use crate::model::tag::Tag;
use crate::shim::{AtomicU64, Cache, Ordering, RemovalCause};
use crate::tier::front::Front;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// Bytes counted for every entry beside its key and its encoded value.
const ENTRY_OVERHEAD: usize = 160;

/// Of so many reads that the front answers, the store hears of one. Of all, it would cost
/// what the front saves; of too few, it would let go of what is read most.
pub(crate) const TELL_ONE_IN: u32 = 8;

/// One entry in this process.
#[derive(Debug)]
pub struct Held<V> {
    /// The key: two keys may share a hash.
    pub key: Arc<[u8]>,
    /// The value and how far it reaches.
    pub entry: Entry<V>,
    /// The fence's count before the value was read.
    pub ticket: Ticket,
    /// When this process stops serving it.
    pub expires: Tick,
    /// When a read of it loads it anew.
    pub refresh_at: Tick,
    /// No read does before then, in milliseconds since the clock's start: one does, or
    /// has tried in vain.
    pub refresh_off_ms: AtomicU64,
    /// Until when it may be served where nothing else is to be had.
    pub stale_until: Tick,
    /// Until when it is served though it has expired, in milliseconds of the clock: its
    /// load was slow, or failed.
    pub held_over_ms: AtomicU64,
    /// The cache's tag changes that its tags were last checked against.
    pub tags_checked: AtomicU64,
    /// Its size in the budget, in bytes.
    pub weight: u32,
}

impl<V> Held<V> {
    /// How old it is for a reader.
    pub fn age(&self, now: Tick) -> Age {
        if self.expires <= now {
            Age::Stale
        } else if self.refresh_at <= now {
            Age::Due
        } else {
            Age::Fresh
        }
    }

    /// It is served until then, and not longer than it may be.
    pub fn hold_over(&self, until: Tick) {
        let until = millis(until.min(self.stale_until));
        self.held_over_ms.fetch_max(until, Ordering::Relaxed);
    }

    /// The right to load it anew, which one read gets; `until` nobody else does.
    pub fn claim_refresh(&self, now: Tick, until: Tick) -> bool {
        let off = self.refresh_off_ms.load(Ordering::Relaxed);
        // Of two at once, the second finds what the first has left.
        off <= millis(now)
            && self
                .refresh_off_ms
                .fetch_max(millis(until), Ordering::Relaxed)
                == off
    }

    /// Nobody loads it anew until then.
    pub fn put_refresh_off(&self, until: Tick) {
        self.refresh_off_ms.store(millis(until), Ordering::Relaxed);
    }

    fn is_served(&self, now: Tick) -> bool {
        let held_over = || self.held_over_ms.load(Ordering::Relaxed);
        self.expires > now || now < Tick::at(Duration::from_millis(held_over()))
    }
}

fn millis(tick: Tick) -> u64 {
    tick.since_start().as_millis() as u64
}

/// How old what is served is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// Within its lifetime.
    Fresh,
    /// The same, and to be loaded anew.
    Due,
    /// Expired: the source is slow, or fails.
    Stale,
}

/// What L1 knows about a key.
#[derive(Debug)]
pub enum Look<V> {
    /// An entry that may be served.
    Hit(Arc<Held<V>>),
    /// An entry that may be served once its tags are checked.
    CheckTags(Arc<Held<V>>),
    /// Nothing, and why.
    Miss(Unfit),
}

/// Why L1 has no entry that may be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It holds none of this key.
    NotHeld,
    /// Its lifetime has ended.
    Expired,
    /// The key, or one of its stripe, was invalidated since.
    Fenced,
}

/// The L1 of one cache.
pub struct L1<V> {
    store: Cache<u64, Arc<Held<V>>, BuildHasherDefault<AlreadyHashed>>,
    /// None where moka has to hear of every read.
    front: Option<Arc<Front<Held<V>>>>,
    tag_changes: AtomicU64,
}

/// What invalidations and inspections need of an L1, whatever its values are.
pub trait Drops: Send + Sync + fmt::Debug {
    /// Frees one key's memory; the fence has already cut it off.
    fn drop_key(&self, hash: KeyHash);
    /// A tag changed: entries check theirs before they are served again.
    fn tags_changed(&self);
    /// Frees everything.
    fn drop_all(&self);
    /// The as-of of what a read of this key would be answered with; nothing if it
    /// would go on to L2. It counts as no read.
    fn serves(&self, key: Key<'_>) -> Option<Position>;
    /// The floor that entries with this tag are admitted by; nothing if L2 would be
    /// asked for it.
    fn admits_from(&self, tag: &Tag) -> Option<Position>;
}

impl<V: Send + Sync + 'static> L1<V> {
    /// An empty L1 that holds up to `capacity` bytes, each entry `longest` at most, and one
    /// that nobody asks for no longer than `idle`; `dropped` hears of each that it lets go.
    pub fn new(
        capacity: u64,
        longest: Duration,
        idle: Option<Duration>,
        dropped: impl Fn(DropCause) + Send + Sync + 'static,
    ) -> Self {
        let mut store = Cache::builder()
            .max_capacity(capacity)
            .weigher(|_, held: &Arc<Held<V>>| held.weight)
            .time_to_live(longest);
        let front = match idle {
            None => Some(Arc::new(Front::for_bytes(capacity))),
            Some(idle) => {
                store = store.time_to_idle(idle);
                None
            }
        };
        let forward = front.clone();
        store = store.eviction_listener(move |hash, held, cause| {
            // What the store lets go of, the front keeps no memory for.
            if let Some(front) = &forward {
                front.forget(KeyHash(*hash), &held);
            }
            dropped(why(cause));
        });
        Self {
            store: store.build_with_hasher(BuildHasherDefault::default()),
            front,
            tag_changes: AtomicU64::new(0),
        }
    }

    /// The number of tag changes so far: taken before a value's tags are checked,
    /// and kept with the value.
    pub fn tag_changes(&self) -> u64 {
        self.tag_changes.load(Ordering::Acquire)
    }

    /// Looks a key up.
    pub fn look(&self, hash: KeyHash, key: &[u8], fence: &Fence, now: Tick) -> Look<V> {
        self.find(hash, key, fence, now, |held| held.is_served(now))
    }

    /// The same for an entry that may have expired.
    pub fn look_stale(&self, hash: KeyHash, key: &[u8], fence: &Fence, now: Tick) -> Look<V> {
        self.find(hash, key, fence, now, |held| held.stale_until > now)
    }

    fn find(
        &self,
        hash: KeyHash,
        key: &[u8],
        fence: &Fence,
        now: Tick,
        is_young: impl Fn(&Held<V>) -> bool,
    ) -> Look<V> {
        let judge = |held: Arc<Held<V>>| {
            if !is_young(&held) {
                return Look::Miss(Unfit::Expired);
            }
            if !fence.holds(hash, held.ticket) {
                return Look::Miss(Unfit::Fenced);
            }
            if held.tags_checked.load(Ordering::Acquire) == self.tag_changes() {
                Look::Hit(held)
            } else {
                Look::CheckTags(held)
            }
        };
        let is = |held: &Held<V>| &*held.key == key;
        let front = self.front.as_deref();
        if let Some(held) = front.and_then(|front| front.get(hash, is)) {
            let look = judge(held);
            match &look {
                // An unfit one may have been followed by another, in the store alone.
                Look::Miss(_) => {}
                Look::Hit(held) | Look::CheckTags(held) => {
                    self.tell_store(hash, held, now);
                    return look;
                }
            }
        }
        let Some(held) = self.store.get(&hash.0).filter(|held| is(held)) else {
            return Look::Miss(Unfit::NotHeld);
        };
        let look = judge(held);
        if let (Some(front), Look::Hit(held)) = (front, &look) {
            self.bring_forward(front, hash, held);
        }
        look
    }

    /// Tells the store of some reads that the front answered, so that it learns what is
    /// popular; by the clock, whose lowest digits are as good as drawn by lot.
    fn tell_store(&self, hash: KeyHash, held: &Arc<Held<V>>, now: Tick) {
        if !now.since_start().subsec_nanos().is_multiple_of(TELL_ONE_IN) {
            return;
        }
        if let Some(front) = &self.front {
            self.confirm(front, hash, held);
        }
    }

    /// Offers what the store has to the front.
    ///
    /// 1. a reader gets the old entry from the store
    /// 2. a new one is put: into the store; the front has none of the key to replace
    /// 3. the reader brings the old one forward
    ///
    /// The old one would be served until it is not young any more: no wrong answer, the fence
    /// still holds for it, and not the best one. So the reader looks again: either it sees
    /// the new one in the store, or whoever puts that one sees the old one in the front.
    fn bring_forward(&self, front: &Front<Held<V>>, hash: KeyHash, held: &Arc<Held<V>>) {
        if front.offer(hash, |other| other.key == held.key, held) {
            self.confirm(front, hash, held);
        }
    }

    /// The front has no other entry of a key than the store.
    fn confirm(&self, front: &Front<Held<V>>, hash: KeyHash, held: &Arc<Held<V>>) {
        let is_there = self.store.get(&hash.0);
        if !is_there.is_some_and(|is| Arc::ptr_eq(&is, held)) {
            front.forget(hash, held);
        }
    }

    /// An entry of a key, valid or not.
    pub fn held(&self, hash: KeyHash, key: &[u8]) -> Option<Arc<Held<V>>> {
        if let Some(held) = self.in_front(hash, key) {
            return Some(held);
        }
        let held = self.store.get(&hash.0)?;
        (&*held.key == key).then_some(held)
    }

    /// Keeps an entry that L2 accepted or served.
    pub fn put(&self, hash: KeyHash, held: Arc<Held<V>>) {
        self.store.insert(hash.0, held.clone());
        // Of two that are put at once, the store has kept one.
        if let Some(front) = &self.front
            && front.replace(hash, |other| other.key == held.key, &held)
        {
            self.confirm(front, hash, &held);
        }
    }

    /// Whether there is an entry, valid or not. For moka this is no read: it makes the
    /// entry neither younger nor more popular.
    pub fn has(&self, hash: KeyHash, key: &[u8]) -> bool {
        self.in_front(hash, key).is_some() || self.store.contains_key(&hash.0)
    }

    fn in_front(&self, hash: KeyHash, key: &[u8]) -> Option<Arc<Held<V>>> {
        let front = self.front.as_ref()?;
        front.peek(hash, |held| &*held.key == key)
    }

    /// Up to so many of the keys, in no order, valid or not.
    pub fn keys(&self, most: usize) -> Vec<Arc<[u8]>> {
        let entries = self.store.iter().take(most);
        entries.map(|(_, held)| held.key.clone()).collect()
    }

    /// Frees one key's memory.
    pub fn drop_key(&self, hash: KeyHash) {
        self.store.invalidate(&hash.0);
    }

    /// A tag changed: entries check theirs before they are served again.
    pub fn tags_changed(&self) {
        self.tag_changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Frees everything.
    pub fn drop_all(&self) {
        self.store.invalidate_all();
    }

    /// Entries at the moment; lags behind by moka's own housekeeping.
    pub fn entries(&self) -> u64 {
        self.store.entry_count()
    }

    /// Bytes at the moment; lags likewise.
    pub fn weight(&self) -> u64 {
        self.store.weighted_size()
    }

    /// Does moka's housekeeping, so that callers need not.
    pub fn tidy_up(&self) {
        self.store.run_pending_tasks();
    }
}

fn why(cause: RemovalCause) -> DropCause {
    match cause {
        RemovalCause::Size => DropCause::Size,
        RemovalCause::Expired => DropCause::Expired,
        RemovalCause::Explicit => DropCause::Invalidated,
        RemovalCause::Replaced => DropCause::Replaced,
    }
}

/// The size of an entry in the budget.
pub fn weight(key: &[u8], encoded: usize) -> u32 {
    u32::try_from(key.len() + encoded + ENTRY_OVERHEAD).unwrap_or(u32::MAX)
}

impl<V> fmt::Debug for L1<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("L1").finish_non_exhaustive()
    }
}

/// Passes a hash through: the key is xxh3 of the real key already.
#[derive(Default)]
struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
