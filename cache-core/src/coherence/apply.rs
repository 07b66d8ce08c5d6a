//! The one way a change comes in: close the fence, then drop from L1.
//!
//! The fence first: a fill under way must find the gate shut before the entry is
//! gone, or it would put the old value back.

use crate::clock::Clock;
use crate::event::{Event, Observer, TargetKind};
use crate::guard::fence::Fence;
use crate::guard::horizon::Horizon;
use crate::guard::owed::Owed;
use crate::model::key::{Bucket, Key, KeyHash, KeySpace, Name};
use crate::model::position::Position;
use crate::model::tag::Tag;
use crate::shim::RwLock;
use crate::tier::l1::Drops;
use crate::wire::invalidation::{Invalidation, Target};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// Hears what was applied, for copies outside this process. Called where messages are
/// heard: it must not block.
pub trait Tap: Send + Sync + fmt::Debug {
    /// No L1 of this process serves any more what this hit.
    fn applied(&self, one: &Invalidation);

    /// Messages may have been lost; all of L1 was dropped.
    fn gap(&self, reason: &str);
}

/// Applies invalidations to everything this process holds.
#[derive(Debug)]
pub struct Applier {
    domain: Name,
    fence: Arc<Fence>,
    horizon: Arc<Horizon>,
    owed: Arc<Owed>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    /// By name; two handles of one name each have an L1.
    caches: RwLock<HashMap<Name, Vec<Weak<dyn Drops>>>>,
    tap: OnceLock<Arc<dyn Tap>>,
}

impl Applier {
    /// An applier for a process without caches yet.
    pub fn new(
        domain: Name,
        fence: Arc<Fence>,
        horizon: Arc<Horizon>,
        owed: Arc<Owed>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            domain,
            fence,
            horizon,
            owed,
            clock,
            observer,
            caches: RwLock::default(),
            tap: OnceLock::new(),
        }
    }

    /// Adds a cache's L1 for as long as somebody holds it. It must be added before it
    /// is served from.
    pub fn add<L: Drops + 'static>(&self, cache: Name, l1: &Arc<L>) {
        let l1: Weak<L> = Arc::downgrade(l1);
        let mut caches = self.caches.write();
        let all = caches.entry(cache).or_default();
        all.retain(|other| other.strong_count() > 0);
        all.push(l1);
    }

    /// Has everything told to `tap` as well, from here on; the first one counts.
    pub fn tell(&self, tap: Arc<dyn Tap>) {
        self.tap.get_or_init(|| tap);
    }

    /// Applies one invalidation. On return no L1 of this process serves what it hit.
    pub fn apply(&self, one: &Invalidation) {
        let kind = match &one.target {
            Target::Key { cache, key } => {
                self.apply_key(cache, key, one);
                TargetKind::Key
            }
            Target::Tag { cache, tag } => {
                self.apply_tag(cache, tag, one);
                TargetKind::Tag
            }
            Target::Bucket(bucket) => {
                self.apply_bucket(*bucket, one);
                TargetKind::Bucket
            }
        };
        let lag = one
            .changed_ms
            .map(|changed| Duration::from_millis(self.clock.wall_ms().saturating_sub(changed)));
        self.observer.observe(&Event::Applied { kind, lag });
        // Last: whoever drops a copy now and asks again must not get the old value here.
        if let Some(tap) = self.tap.get() {
            tap.applied(one);
        }
    }

    /// Looks into every L1 of a target's cache, and hands over how far back each would
    /// serve the target: the as-of of a key's entry, the floor of a tag's. Nothing where
    /// L1 would not answer by itself.
    pub fn look_into(&self, target: &Target, mut each: impl FnMut(Option<Position>)) {
        match target {
            Target::Key { cache, key } => {
                let Ok(key) = Key::new(key) else { return };
                self.each_of(cache, |l1| each(l1.serves(key)));
            }
            Target::Tag { cache, tag } => self.each_of(cache, |l1| each(l1.admits_from(tag))),
            // Its floor is L2's business: L1 keeps no bucket apart.
            Target::Bucket(_) => {}
        }
    }

    /// Messages may have been lost: drops everything.
    pub fn gap(&self, reason: &str) {
        self.fence.raise_all();
        self.each_cache(|l1| {
            l1.tags_changed();
            l1.drop_all();
        });
        self.observer.observe(&Event::Gap { reason });
        if let Some(tap) = self.tap.get() {
            tap.gap(reason);
        }
    }

    fn apply_key(&self, cache: &Name, key: &[u8], one: &Invalidation) {
        // A key outside the limits cannot be in any tier.
        let Ok(key) = Key::new(key) else { return };
        let space = KeySpace::new(self.domain.clone(), cache.clone());
        let hash = space.hash(key);
        self.close(hash, one);
        self.each_of(cache, |l1| l1.drop_key(hash));
    }

    fn apply_tag(&self, cache: &Name, tag: &Tag, one: &Invalidation) {
        let space = KeySpace::new(self.domain.clone(), cache.clone());
        let hash = space.tag_hash(tag);
        // The fence cuts off the tag's known floor; then entries ask for it again.
        self.close(hash, one);
        self.each_of(cache, |l1| l1.tags_changed());
    }

    /// Closes the fence of a key or a tag. What L2 owes and what was heard come first,
    /// since whoever passes the fence from here on judges L2 by them:
    ///
    /// 1. L2 has lost the change in a failover, and this process hears of it
    /// 2. the fence is raised, and a reader takes the new ticket
    /// 3. it reads the old value from L2, which is behind nothing heard so far
    /// 4. it keeps the value in L1 under a ticket that holds
    fn close(&self, hash: KeyHash, one: &Invalidation) {
        if one.in_l2 {
            self.owed.pay(hash, one.position);
        } else {
            self.owed.owe(hash, one.position, self.clock.now());
        }
        self.horizon.raise(hash.bucket(), one.position);
        self.fence.raise(hash);
    }

    fn apply_bucket(&self, bucket: Bucket, one: &Invalidation) {
        // In this order, see `close`.
        self.horizon.raise(bucket, one.position);
        self.fence.raise_bucket(bucket);
        self.each_cache(|l1| l1.tags_changed());
    }

    fn each_of(&self, cache: &Name, mut each: impl FnMut(&dyn Drops)) {
        let caches = self.caches.read();
        let all = caches.get(cache).into_iter().flatten();
        all.filter_map(Weak::upgrade).for_each(|l1| each(&*l1));
    }

    fn each_cache(&self, each: impl Fn(&dyn Drops)) {
        let caches = self.caches.read();
        let all = caches.values().flatten();
        all.filter_map(Weak::upgrade).for_each(|l1| each(&*l1));
    }
}
