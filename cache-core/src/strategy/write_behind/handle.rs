//! The handle: puts writes into the queue.

use super::Behind;
use super::flush::Flusher;
use crate::error::{Error, Kind};
use crate::event::{Event, QueueEvent, QueueOutcome};
use crate::fill::Tiers;
use crate::model::key::Key;
use crate::queue::{Backlog, QUEUED_BYTES_MAX, Queue, QueueError};
use crate::source::BulkWriter;
use crate::wire::queued::{self, QueuedWrite};
use bytes::Bytes;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The first and the longest pause between two looks at how far the source is.
const LOOK_MIN: Duration = Duration::from_millis(5);
const LOOK_MAX: Duration = Duration::from_millis(100);

/// A cache that writes a little later.
pub struct WriteBehind<V> {
    tiers: Arc<Tiers<V>>,
    queue: Arc<dyn Queue>,
}

impl<V: Send + Sync + 'static> WriteBehind<V> {
    /// Begins to write what waits, when this process comes to lead.
    pub(crate) fn new(
        tiers: Arc<Tiers<V>>,
        queue: Arc<dyn Queue>,
        writer: Arc<dyn BulkWriter<V>>,
        behind: Behind,
    ) -> Result<Self, Error> {
        behind.check()?;
        let flusher = Arc::new(Flusher {
            tiers: tiers.clone(),
            queue: queue.clone(),
            writer,
            behind,
        });
        tiers.domain.see_off(flusher.run());
        // Its series begin with 0: what begins with its first count never rises.
        let what = QueueEvent::Backlog {
            waiting: 0,
            oldest: Duration::ZERO,
        };
        let cache = tiers.id;
        tiers.observe(Event::Queue { cache, what });
        Ok(Self { tiers, queue })
    }

    /// Queues a value; returns the version of the write. Readers see it when the source
    /// has it.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a key or value outside its limits, [`Kind::Encode`],
    /// [`Kind::Overloaded`] when the queue is full and [`Kind::Unavailable`] when it
    /// cannot be reached or the domain is being left: nothing was queued.
    /// [`Kind::WriteUncertain`] when its answer was lost: it may come to be written.
    pub async fn put(&self, key: impl AsRef<[u8]>, value: V) -> Result<u64, Error> {
        let key = Key::new(key.as_ref())?;
        let value = self.tiers.encode(&value)?;
        self.push(key, Some(value)).await
    }

    /// Queues a deletion.
    ///
    /// # Errors
    /// As [`WriteBehind::put`].
    pub async fn delete(&self, key: impl AsRef<[u8]>) -> Result<u64, Error> {
        self.push(Key::new(key.as_ref())?, None).await
    }

    /// Waits until the source has a write, but not longer than `within`; whether it has.
    /// One that the source refused, and that was put aside, counts as done.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the queue does not answer.
    pub async fn is_written(&self, version: u64, within: Duration) -> Result<bool, Error> {
        let clock = self.tiers.domain.clock();
        let give_up = clock.now().after(within);
        let mut pause = LOOK_MIN;
        loop {
            if self.backlog().await?.done >= version {
                return Ok(true);
            }
            let left = give_up.since(clock.now());
            if left.is_zero() {
                return Ok(false);
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 2).min(LOOK_MAX);
        }
    }

    /// How much waits.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the queue does not answer.
    pub async fn backlog(&self) -> Result<Backlog, Error> {
        self.queue.backlog().await.map_err(|cause| {
            let name = self.tiers.policy.name.as_str();
            Error::new(Kind::Unavailable, "asking the queue of writes", name).because(cause)
        })
    }

    async fn push(&self, key: Key<'_>, value: Option<Bytes>) -> Result<u64, Error> {
        let codec = &self.tiers.codec;
        let body = queued::seal(&QueuedWrite {
            codec: codec.id(),
            fingerprint: codec.fingerprint(),
            key: Bytes::copy_from_slice(key.bytes()),
            value,
        });
        let name = self.tiers.policy.name.as_str();
        let error = |kind| Error::new(kind, "queueing a write", name);
        if body.len() > QUEUED_BYTES_MAX {
            return Err(error(Kind::Invalid).hint(format!(
                "it has {} bytes with its key, and a queue takes {QUEUED_BYTES_MAX}",
                body.len()
            )));
        }
        if self.tiers.domain.leaving().is_cancelled() {
            return Err(error(Kind::Unavailable).hint("the domain is being left"));
        }
        let pushed = self.queue.push(body).await;
        let outcome = match &pushed {
            Ok(_) => QueueOutcome::Taken,
            Err(QueueError::Full) => QueueOutcome::Full,
            Err(QueueError::Uncertain(_)) => QueueOutcome::Uncertain,
            Err(QueueError::Unavailable(_) | QueueError::Deposed) => QueueOutcome::Unavailable,
        };
        self.tiers.observe(Event::Queue {
            cache: self.tiers.id,
            what: QueueEvent::Pushed(outcome),
        });
        pushed.map_err(|cause| {
            let kind = match cause {
                QueueError::Full => Kind::Overloaded,
                QueueError::Uncertain(_) => Kind::WriteUncertain,
                QueueError::Unavailable(_) | QueueError::Deposed => Kind::Unavailable,
            };
            error(kind).because(cause)
        })
    }
}

impl<V> Clone for WriteBehind<V> {
    fn clone(&self) -> Self {
        Self {
            tiers: self.tiers.clone(),
            queue: self.queue.clone(),
        }
    }
}

impl<V> fmt::Debug for WriteBehind<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteBehind")
            .field("tiers", &self.tiers)
            .field("queue", &self.queue)
            .finish()
    }
}
