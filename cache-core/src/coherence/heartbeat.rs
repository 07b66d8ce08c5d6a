//! Signs of life, and the mending of buckets that lost writes.
//!
//! An invalidator tells every bucket of L2 how far it has come, then everybody on
//! the bus. A bucket whose watermark is behind what is known has lost writes: its
//! floor is raised, which refuses every older value of the bucket at once, and the
//! bus says so, because an L1 may have been filled from it meanwhile. That costs
//! 1/256 of the cache, and needs no record of what exactly was lost.

use crate::clock::{Clock, Tick};
use crate::coherence::voice::Voice;
use crate::event::{Event, Observer};
use crate::guard::horizon::Horizon;
use crate::model::key::Bucket;
use crate::model::position::Position;
use crate::tier::{Beat, Beaten, Remote};
use crate::wire::invalidation::{Invalidation, Target};
use futures_util::future::join_all;
use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

/// Heartbeats sent after the last announcement before a quiet publisher says
/// farewell: as many as may go missing.
const BEATS_AFTER_LAST: u32 = 3;
/// The parts in which an invalidator tells all buckets, spread over its interval. Each
/// bucket is a script in a slot of its own, and 256 of them at once would hold up every
/// change that comes just then.
const PARTS: u32 = 4;

/// What heartbeats and mending work with.
#[derive(Clone, Debug)]
pub struct Heart {
    /// L2.
    pub remote: Arc<dyn Remote>,
    /// The bus, with this process's numbers.
    pub voice: Arc<Voice>,
    /// What is known.
    pub horizon: Arc<Horizon>,
    /// Who is told.
    pub observer: Arc<dyn Observer>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The time between heartbeats.
    pub every: Duration,
    /// How long an invalidator is believed to carry changes after it last said so.
    pub carries_for: Duration,
    /// Buckets that may lack a change though their watermark does not show it.
    pub doubts: Arc<Mutex<HashSet<Bucket>>>,
}

/// How far an invalidator is.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    /// Everything up to here is in L2 and on the bus.
    pub position: Position,
    /// When that was last said by somebody who carries more; nothing if nobody does.
    pub said: Option<Tick>,
}

impl Heart {
    /// An invalidator's heartbeat, for ever, from when it first says that everything
    /// up to some position is `done`: in L2, and on the bus.
    ///
    /// What it writes is that position and no higher one. After a restart of
    /// everything the buckets then say from where on the stream must be read again
    /// to know what they should hold.
    ///
    /// The bus hears it even while a part of L2 is down; but it then repeats the last
    /// position that every bucket has been told.
    ///
    /// It proves that invalidations still flow only while somebody says so: an
    /// invalidator that hears nothing of its stream, or gets nowhere, goes on beating,
    /// but nobody trusts L1 for it.
    pub async fn beat_for_all(self, mut done: watch::Receiver<Option<Done>>) {
        // An error means that the domain is gone.
        if done.wait_for(Option::is_some).await.is_err() {
            return;
        }
        let mut told = Position::ZERO;
        let mut doubted = HashSet::new();
        let mut tick = tokio::time::interval(self.every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first round at once: nobody trusts an L1 before its heartbeat.
        let mut pause = Duration::ZERO;
        loop {
            tick.tick().await;
            let Some(Done { position: seen, .. }) = *done.borrow() else {
                continue;
            };
            doubted.extend(self.remote.moved());
            doubted.extend(self.doubts.lock().drain());
            if self.tell_all(seen, &mut doubted, pause).await {
                told = told.max(seen);
            }
            pause = self.every / PARTS;
            let said = done.borrow().and_then(|done| done.said);
            let now = self.clock.now();
            let carries = said.is_some_and(|said| now.since(said) <= self.carries_for);
            // A bus that is away is noticed by its listeners; nothing else helps.
            let _ = self.voice.heartbeat(carries, told).await;
        }
    }

    /// Tells all buckets of `seen`: those in doubt at once, the others part by part. A part
    /// that waits for a dead node holds up no other.
    async fn tell_all(
        &self,
        seen: Position,
        doubted: &mut HashSet<Bucket>,
        pause: Duration,
    ) -> bool {
        let urgent: Vec<_> = doubted.iter().copied().collect();
        if !urgent.is_empty() {
            self.tell_buckets(urgent, seen, doubted).await;
        }
        let parts = (0..PARTS).map(|part| {
            let is_in = move |bucket: &Bucket| u32::from(bucket.0) % PARTS == part;
            let mut doubted: HashSet<_> = doubted.iter().copied().filter(is_in).collect();
            async move {
                tokio::time::sleep(pause * part).await;
                let buckets = Bucket::all().filter(is_in);
                let told = self.tell_buckets(buckets, seen, &mut doubted).await;
                (told, doubted)
            }
        });
        let parts = join_all(parts.collect::<Vec<_>>()).await;
        *doubted = parts.iter().flat_map(|(_, left)| left).copied().collect();
        parts.iter().all(|(told, _)| *told)
    }

    /// A library process's heartbeat: only while it announces, and a little after.
    pub async fn beat_while_announcing(self) {
        let mut tick = tokio::time::interval(self.every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = 0;
        let mut quiet = BEATS_AFTER_LAST + 1;
        loop {
            tick.tick().await;
            let next = self.voice.last().await;
            quiet = if next == last {
                quiet.saturating_add(1)
            } else {
                0
            };
            last = next;
            let _ = match quiet {
                ..BEATS_AFTER_LAST => self.voice.heartbeat(false, Position::ZERO).await,
                BEATS_AFTER_LAST => self.voice.farewell().await,
                _ => Ok(()),
            };
        }
    }

    /// Gives every bucket without a watermark one at the beginning: for domains
    /// without an invalidator, where only local positions are used.
    pub async fn begin(&self) {
        self.tell_buckets(Bucket::all(), Position::ZERO, &mut HashSet::new())
            .await;
    }

    /// Mends the buckets that readers found behind.
    ///
    /// Readers wait a heartbeat first: an invalidator mends all buckets by itself,
    /// and an announcement may just be on its way to L2.
    pub async fn mend(self, mut behind: mpsc::Receiver<Bucket>) {
        while let Some(first) = behind.recv().await {
            tokio::time::sleep(self.every).await;
            let others = std::iter::from_fn(|| behind.try_recv().ok());
            let buckets: Vec<_> = std::iter::once(first).chain(others).collect();
            self.tell_buckets(buckets, self.horizon.seen(), &mut HashSet::new())
                .await;
        }
    }

    /// Writes `seen` to buckets and raises those that lost writes, or that are
    /// `doubted` until they have been told; whether all were told.
    async fn tell_buckets(
        &self,
        buckets: impl IntoIterator<Item = Bucket>,
        seen: Position,
        doubted: &mut HashSet<Bucket>,
    ) -> bool {
        // Whatever a node that was behind may lack is at most as high as this.
        let highest = self.horizon.highest();
        for bucket in doubted.iter() {
            self.horizon.raise(*bucket, highest);
        }
        let known = self.horizon.snapshot();
        let beats: Vec<_> = buckets
            .into_iter()
            .map(|bucket| Beat {
                bucket,
                seen,
                known: known.of(bucket),
                doubted: doubted.contains(&bucket),
            })
            .collect();
        let answers = self.remote.beat(beats.clone()).await;
        let mut raised = Vec::new();
        let mut all = true;
        for (beat, answer) in beats.iter().zip(answers) {
            if answer.is_ok() {
                doubted.remove(&beat.bucket);
            }
            match answer {
                Ok(Beaten::Fine(watermark)) => {
                    self.horizon.raise(beat.bucket, watermark.applied);
                }
                Ok(Beaten::Raised(watermark)) => {
                    self.horizon.raise(beat.bucket, watermark.applied);
                    // A bucket of which nothing was known is new, not damaged.
                    if beat.known.applied > Position::ZERO {
                        self.observer.observe(&Event::BucketRaised {
                            bucket: beat.bucket,
                        });
                    }
                    raised.push(Invalidation {
                        target: Target::Bucket(beat.bucket),
                        position: watermark.floor,
                        changed_ms: None,
                        in_l2: true,
                    });
                }
                Err(_) => all = false,
            }
        }
        // If the bus is away, listeners drop everything when it is back.
        let _ = self.voice.invalidate(&raised).await;
        all
    }
}
