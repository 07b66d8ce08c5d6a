//! Write-through: the source first, and then the value into L2, so that the next reader
//! finds it there.

use super::commit::{Quarantine, Receipt};
use crate::error::{Error, Kind};
use crate::event::{Event, WriteOutcome};
use crate::fill::{Attempt, Tiers};
use crate::model::key::Key;
use crate::source::{Loaded, WriteError, Writer};
use std::fmt;
use std::sync::Arc;

/// A cache that knows how to write.
pub struct WriteThrough<V> {
    tiers: Arc<Tiers<V>>,
    writer: Arc<dyn Writer<V>>,
}

impl<V: Send + Sync + 'static> WriteThrough<V> {
    pub(crate) fn new(tiers: Arc<Tiers<V>>, writer: Arc<dyn Writer<V>>) -> Self {
        Self { tiers, writer }
    }

    /// Writes a value. The write runs to its end even if this caller goes away.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a key outside its limits, [`Kind::WriteFailed`] when the
    /// writer says that nothing was written, [`Kind::WriteUncertain`] when nobody knows,
    /// [`Kind::Overloaded`] when it was written, L2 is away, and too many invalidations
    /// wait for it already.
    pub async fn put(&self, key: impl AsRef<[u8]>, value: V) -> Result<Receipt, Error> {
        self.write(key.as_ref(), Some(value)).await
    }

    /// Deletes a key from the source, and keeps that it is absent.
    ///
    /// # Errors
    /// As [`WriteThrough::put`].
    pub async fn delete(&self, key: impl AsRef<[u8]>) -> Result<Receipt, Error> {
        self.write(key.as_ref(), None).await
    }

    async fn write(&self, key: &[u8], value: Option<V>) -> Result<Receipt, Error> {
        let attempt = self.tiers.attempt(Key::new(key)?);
        let (tiers, writer) = (self.tiers.clone(), self.writer.clone());
        let writing = async move { tiers.write_through(attempt, value, writer).await };
        self.tiers.domain.see_through(writing).await
    }
}

impl<V: Send + Sync + 'static> Tiers<V> {
    async fn write_through(
        self: Arc<Self>,
        attempt: Attempt,
        value: Option<V>,
        writer: Arc<dyn Writer<V>>,
    ) -> Result<Receipt, Error> {
        let quarantine = self.quarantine(attempt).await;
        let written = self.run_one(&quarantine.attempt, value, writer).await;
        let receipt = match written {
            Ok(loaded) => {
                let settled = self.settle(vec![(quarantine, Some(loaded))]).await;
                settled.map(|mut receipts| receipts.remove(0))
            }
            Err(error) => {
                if error.kind() == Kind::WriteFailed {
                    self.lift(&quarantine).await;
                } else {
                    self.leave_in_doubt(std::slice::from_ref(&quarantine)).await;
                    self.invalidate_later(quarantine);
                }
                Err(error)
            }
        };
        let outcome = match &receipt {
            Ok(receipt) if receipt.stored => WriteOutcome::Stored,
            Err(error) if error.kind() == Kind::WriteFailed => WriteOutcome::Failed,
            Err(error) if error.kind() == Kind::WriteUncertain => WriteOutcome::Uncertain,
            Ok(_) | Err(_) => WriteOutcome::Invalidated,
        };
        self.observe(Event::Write {
            cache: self.id,
            outcome,
        });
        receipt
    }

    async fn run_one(
        &self,
        attempt: &Attempt,
        value: Option<V>,
        writer: Arc<dyn Writer<V>>,
    ) -> Result<Loaded<V>, Error> {
        let key = attempt.key.clone();
        let written = self.run_writer(async move { writer.write(key, value).await });
        written.await.map_err(|error| {
            let (kind, cause) = match error {
                WriteError::NotWritten(cause) | WriteError::Refused(cause) => {
                    (Kind::WriteFailed, cause)
                }
                WriteError::Uncertain(cause) => (Kind::WriteUncertain, cause),
            };
            let name = self.policy.name.as_str();
            Error::new(kind, "writing through the cache", name).because(cause)
        })
    }

    /// Invalidates a key whose write is in doubt when its quarantine has ended.
    fn invalidate_later(self: &Arc<Self>, quarantine: Quarantine) {
        let (tiers, change) = (self.clone(), self.change(&quarantine.attempt));
        self.domain.run(async move {
            tokio::time::sleep(tiers.policy.quarantine()).await;
            let whole = std::slice::from_ref(&change);
            let _ = tiers.domain.announce_whole(whole).await;
        });
    }
}

impl<V> Clone for WriteThrough<V> {
    fn clone(&self) -> Self {
        Self {
            tiers: self.tiers.clone(),
            writer: self.writer.clone(),
        }
    }
}

impl<V> fmt::Debug for WriteThrough<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteThrough")
            .field("tiers", &self.tiers)
            .finish_non_exhaustive()
    }
}
