//! One call of the writer: what surrounds it, and what becomes of each key.

use super::Behind;
use super::window::Latest;
use crate::clock::Tick;
use crate::event::{Event, FlushOutcome, QueueEvent};
use crate::fill::Tiers;
use crate::model::key::Key;
use crate::queue::{Queue, QueueError, Queued};
use crate::source::{BulkWriter, Cause, Due, WriteError};
use crate::wire::queued;
use bytes::Bytes;
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::Duration;

/// Writes what waits in one queue.
pub(super) struct Flusher<V> {
    pub(super) tiers: Arc<Tiers<V>>,
    pub(super) queue: Arc<dyn Queue>,
    pub(super) writer: Arc<dyn BulkWriter<V>>,
    pub(super) behind: Behind,
}

/// What became of one key of a call.
pub(super) enum Fate {
    Written,
    /// The source will never take it.
    Refused(Cause),
    Failed,
}

impl<V: Send + Sync + 'static> Flusher<V> {
    /// Writes a batch; what the source refuses in whole, it is given in halves. After
    /// `until`, only the first call is begun.
    pub(super) async fn write_apart(&self, batch: Vec<Latest>, until: Tick) -> Vec<(Latest, Fate)> {
        let clock = self.tiers.domain.clock();
        let (mut fates, mut parts, mut calls) = (Vec::new(), vec![batch], 0_u32);
        while let Some(mut part) = parts.pop() {
            if calls > 0 && clock.now() > until {
                fates.extend(part.into_iter().map(|latest| (latest, Fate::Failed)));
                continue;
            }
            calls += 1;
            match self.write(&mut part, &mut fates).await {
                Ok(()) => fates.extend(part.into_iter().map(|latest| (latest, Fate::Written))),
                Err(WriteError::Refused(why)) if part.len() == 1 => {
                    fates.extend(part.pop().map(|latest| (latest, Fate::Refused(why))));
                }
                Err(WriteError::Refused(_)) => {
                    let second = part.split_off(part.len() / 2);
                    // The first half is taken first.
                    parts.extend([second, part]);
                }
                Err(WriteError::NotWritten(_) | WriteError::Uncertain(_)) => {
                    fates.extend(part.into_iter().map(|latest| (latest, Fate::Failed)));
                }
            }
        }
        fates
    }

    /// One call of the writer, and what surrounds it. What cannot be decoded leaves the
    /// batch.
    async fn write(
        &self,
        part: &mut Vec<Latest>,
        fates: &mut Vec<(Latest, Fate)>,
    ) -> Result<(), WriteError> {
        let (mut due, mut good) = (Vec::with_capacity(part.len()), Vec::new());
        for latest in part.drain(..) {
            match self.decode(&latest) {
                Ok(one) => {
                    due.push(one);
                    good.push(latest);
                }
                Err(why) => fates.push((latest, Fate::Refused(why))),
            }
        }
        *part = good;
        if part.is_empty() {
            return Ok(());
        }
        let tiers = &self.tiers;
        let attempts = part.iter().map(|latest| {
            let key = Key::new(&latest.key).expect("a queued key is within its limits");
            tiers.quarantine(tiers.attempt(key))
        });
        let quarantines = join_all(attempts.collect::<Vec<_>>()).await;
        let (writer, keys) = (self.writer.clone(), due.len());
        let began = tiers.domain.clock().now();
        let written = tiers.run_writer(async move { writer.write_many(due).await });
        let written = written.await.and_then(|all| match all.len() == keys {
            true => Ok(all),
            false => Err(WriteError::Uncertain(
                format!(
                    "{keys} keys were written, and the writer answered {}",
                    all.len()
                )
                .into(),
            )),
        });
        self.flushed(part, tiers.domain.clock().now().since(began), &written);
        match written {
            Ok(all) => {
                let committed = quarantines.into_iter().zip(all).collect();
                if let Err(error) = tiers.settle(committed).await {
                    let cache = &tiers.policy.name;
                    tracing::error!(%cache, %error, "written, and not everybody was told");
                }
                Ok(())
            }
            Err(error) => {
                match &error {
                    WriteError::Uncertain(_) => tiers.leave_in_doubt(&quarantines).await,
                    WriteError::NotWritten(_) | WriteError::Refused(_) => {
                        join_all(quarantines.iter().map(|one| tiers.lift(one))).await;
                    }
                }
                Err(error)
            }
        }
    }

    fn decode(&self, latest: &Latest) -> Result<Due<V>, Cause> {
        let write = queued::open(&latest.write.body).ok_or("it is damaged")?;
        let codec = &self.tiers.codec;
        if (write.codec, write.fingerprint) != (codec.id(), codec.fingerprint()) {
            return Err("it was queued with another codec, type or schema".into());
        }
        let decode = |bytes: Bytes| codec.decode(&bytes);
        let value = write.value.map(decode).transpose();
        Ok(Due {
            key: latest.key.as_ref().into(),
            value: value.map_err(|error| error.0)?,
            version: latest.write.version,
        })
    }

    pub(super) async fn put_aside(&self, write: &Queued, why: &str) -> Result<(), QueueError> {
        let (cache, version) = (&self.tiers.policy.name, write.version);
        self.queue.put_aside(write, why).await?;
        tracing::error!(%cache, version, why, "a write was put aside: the source has not got it");
        self.observe(QueueEvent::PutAside);
        Ok(())
    }

    fn flushed<T>(&self, part: &[Latest], took: Duration, written: &Result<T, WriteError>) {
        let outcome = match written {
            Ok(_) => FlushOutcome::Written,
            Err(WriteError::Refused(_)) => FlushOutcome::Refused,
            Err(WriteError::NotWritten(_) | WriteError::Uncertain(_)) => FlushOutcome::Failed,
        };
        if let Err(WriteError::NotWritten(cause) | WriteError::Uncertain(cause)) = written {
            let (cache, keys) = (&self.tiers.policy.name, part.len());
            tracing::warn!(%cache, keys, %cause, "a write-behind failed, and is tried again");
        }
        self.observe(QueueEvent::Flushed {
            outcome,
            writes: part.iter().map(|latest| latest.count() as u64).sum(),
            took,
        });
    }

    pub(super) fn observe(&self, what: QueueEvent) {
        self.tiers.observe(Event::Queue {
            cache: self.tiers.id,
            what,
        });
    }
}
