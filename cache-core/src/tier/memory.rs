//! L2 in this process's memory: the embedded default, and the reference that the
//! Redis L2 is compared with.

use super::decide::{self, Stored, Then};
use super::{
    Applied, Beat, Beaten, Filled, Invalidate, Leased, Offer, Reading, Record, Remote, RemoteError,
    Seen, Token, Touch, Watermark, Write, Written,
};
use crate::clock::{Clock, Tick};
use crate::model::key::{Address, BUCKETS, Bucket};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The most records one bucket holds; above it, those nearest their end go.
///
/// An evicted mark costs nothing but the bucket's higher floor, so eviction is
/// safe; the bound is there for memory.
pub const RECORDS_PER_BUCKET_MAX: usize = 16_384;

/// A copy of everything an L2 held at one moment.
#[derive(Clone, Debug)]
pub struct Image(Vec<Shelf>);

/// L2 in memory: one lock a bucket, the pure steps inside.
#[derive(Debug)]
pub struct MemoryRemote {
    clock: Arc<dyn Clock>,
    terms: OnceLock<Bytes>,
    buckets: Vec<Mutex<Shelf>>,
}

#[derive(Clone, Debug, Default)]
struct Shelf {
    watermark: Option<Watermark>,
    records: HashMap<Arc<[u8]>, Kept>,
}

#[derive(Clone, Debug)]
struct Kept {
    stored: Stored,
    until: Tick,
}

impl MemoryRemote {
    /// An empty L2.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            terms: OnceLock::new(),
            buckets: (0..BUCKETS).map(|_| Mutex::default()).collect(),
        }
    }

    fn shelf(&self, bucket: Bucket) -> parking_lot::MutexGuard<'_, Shelf> {
        self.buckets[bucket.index()].lock()
    }

    /// Forgets everything, as a Redis restarted empty does.
    pub fn forget_all(&self) {
        for bucket in &self.buckets {
            *bucket.lock() = Shelf::default();
        }
    }

    /// What it holds at this moment, as a replica or a snapshot on disk does.
    pub fn image(&self) -> Image {
        Image(
            self.buckets
                .iter()
                .map(|shelf| shelf.lock().clone())
                .collect(),
        )
    }

    /// Goes back to an image, as a restart with an old snapshot does.
    pub fn go_back_to(&self, image: &Image) {
        self.go_back_in(Bucket::all(), image);
    }

    /// The same for some buckets, as the failover of one shard to a lagging
    /// replica does.
    pub fn go_back_in(&self, buckets: impl IntoIterator<Item = Bucket>, image: &Image) {
        for bucket in buckets {
            *self.shelf(bucket) = image.0[bucket.index()].clone();
        }
    }

    /// Goes back to an image in one record, and not in its watermark: a loss that
    /// nothing shows to a reader.
    pub fn go_back_at(&self, address: &Address, image: &Image) {
        let before = image.0[address.bucket.index()].records.get(&address.record);
        let records = &mut self.shelf(address.bucket).records;
        match before {
            Some(kept) => records.insert(address.record.clone(), kept.clone()),
            None => records.remove(&address.record),
        };
    }

    /// Evicts one record, as Redis does under memory pressure.
    pub fn evict(&self, address: &Address) {
        self.shelf(address.bucket).records.remove(&address.record);
    }

    fn now_ms(&self) -> u64 {
        self.clock.now().since_start().as_millis() as u64
    }
}

impl Shelf {
    fn stored(&self, address: &Address, now: Tick) -> Option<&Stored> {
        let kept = self.records.get(&address.record)?;
        (kept.until > now).then_some(&kept.stored)
    }

    fn put(&mut self, address: &Address, then: Then, until: Tick, now: Tick) {
        let stored = match then {
            Then::Keep => return,
            Then::Put(stored) => stored,
            Then::Relabel(stored) => {
                if let Some(kept) = self.records.get_mut(&address.record) {
                    kept.stored = stored;
                }
                return;
            }
        };
        if self.records.len() >= RECORDS_PER_BUCKET_MAX {
            self.make_room(now);
        }
        self.records
            .insert(address.record.clone(), Kept { stored, until });
    }

    /// Drops what has ended, and then the nearer half of the rest if that was not
    /// enough: a full sweep, but only once per thousands of inserts.
    fn make_room(&mut self, now: Tick) {
        self.records.retain(|_, kept| kept.until > now);
        if self.records.len() < RECORDS_PER_BUCKET_MAX {
            return;
        }
        let mut ends: Vec<_> = self.records.values().map(|kept| kept.until).collect();
        let middle = ends.len() / 2;
        let (_, cut, _) = ends.select_nth_unstable(middle);
        let cut = *cut;
        self.records.retain(|_, kept| kept.until > cut);
    }
}

#[async_trait]
impl Remote for MemoryRemote {
    async fn read(&self, address: &Address) -> Result<Reading, RemoteError> {
        let shelf = self.shelf(address.bucket);
        let stored = shelf.stored(address, self.clock.now());
        let leased = stored.is_some_and(|stored| match stored {
            Stored::Value { lease, .. } | Stored::Mark { lease, .. } => lease.is_some(),
        });
        let record = stored.map(|stored| match stored {
            Stored::Value { as_of, body, .. } => Record::Value {
                as_of: *as_of,
                body: body.clone(),
            },
            Stored::Mark { floor, .. } => Record::Mark { floor: *floor },
        });
        Ok(Reading {
            record,
            watermark: shelf.watermark,
            garbage: false,
            leased,
        })
    }

    async fn lease(
        &self,
        address: &Address,
        token: Token,
        span: Duration,
        seen: Seen,
    ) -> Result<Leased, RemoteError> {
        let now = self.clock.now();
        let mut shelf = self.shelf(address.bucket);
        let stored = shelf.stored(address, now);
        let (answer, then) = decide::lease(
            stored,
            shelf.watermark.as_ref(),
            token,
            span,
            seen,
            self.now_ms(),
        );
        shelf.put(address, then, now.after(super::MARK_KEEP), now);
        Ok(answer)
    }

    async fn fill(&self, address: &Address, offer: Offer) -> Result<Filled, RemoteError> {
        let now = self.clock.now();
        let mut shelf = self.shelf(address.bucket);
        let stored = shelf.stored(address, now);
        let (answer, then) = decide::fill(stored, shelf.watermark.as_ref(), &offer, self.now_ms());
        let keep = match answer {
            Filled::Stored { .. } => offer.ttl,
            _ => super::MARK_KEEP,
        };
        shelf.put(address, then, now.after(keep), now);
        Ok(answer)
    }

    async fn touch(&self, address: &Address, touch: Touch) -> Result<bool, RemoteError> {
        let now = self.clock.now();
        let mut shelf = self.shelf(address.bucket);
        let stored = shelf.stored(address, now);
        let (answer, then) = decide::touch(stored, shelf.watermark.as_ref(), &touch);
        shelf.put(address, then, now.after(touch.ttl), now);
        Ok(answer)
    }

    async fn release(&self, address: &Address, token: Token) -> Result<(), RemoteError> {
        let now = self.clock.now();
        let mut shelf = self.shelf(address.bucket);
        let then = decide::release(shelf.stored(address, now), token);
        shelf.put(address, then, now.after(super::MARK_KEEP), now);
        Ok(())
    }

    async fn quarantine(
        &self,
        address: &Address,
        token: Token,
        span: Duration,
    ) -> Result<bool, RemoteError> {
        let now = self.clock.now();
        let mut shelf = self.shelf(address.bucket);
        let (stored, watermark) = (shelf.stored(address, now), shelf.watermark.as_ref());
        let (held, then) = decide::quarantine(stored, watermark, token, span, self.now_ms());
        shelf.put(address, then, now.after(super::MARK_KEEP), now);
        Ok(held)
    }

    async fn write(&self, address: &Address, write: Write) -> Result<Written, RemoteError> {
        let now = self.clock.now();
        let mut shelf = self.shelf(address.bucket);
        let stored = shelf.stored(address, now);
        let (answer, then, watermark) =
            decide::write(stored, shelf.watermark.as_ref(), &write, self.now_ms());
        let keep = match answer {
            Written::Stored { .. } => write.ttl,
            _ => super::MARK_KEEP,
        };
        shelf.put(address, then, now.after(keep), now);
        shelf.watermark = watermark.or(shelf.watermark);
        Ok(answer)
    }

    async fn apply(&self, batch: Vec<Invalidate>) -> Vec<Result<Applied, RemoteError>> {
        let now = self.clock.now();
        let mut answers = Vec::with_capacity(batch.len());
        for one in batch {
            let mut shelf = self.shelf(one.address.bucket);
            let stored = shelf.stored(&one.address, now);
            let (answer, then, watermark) =
                decide::apply(stored, shelf.watermark.as_ref(), one.position, &one.known);
            shelf.put(&one.address, then, now.after(one.keep), now);
            shelf.watermark = watermark.or(shelf.watermark);
            answers.push(Ok(answer));
        }
        answers
    }

    async fn agree(&self, terms: &[u8]) -> Result<Bytes, RemoteError> {
        let own = || Bytes::copy_from_slice(terms);
        Ok(self.terms.get_or_init(own).clone())
    }

    async fn beat(&self, batch: Vec<Beat>) -> Vec<Result<Beaten, RemoteError>> {
        let mut answers = Vec::with_capacity(batch.len());
        for one in batch {
            let mut shelf = self.shelf(one.bucket);
            let (answer, watermark) = decide::beat(shelf.watermark.as_ref(), &one);
            shelf.watermark = Some(watermark);
            answers.push(Ok(answer));
        }
        answers
    }
}
