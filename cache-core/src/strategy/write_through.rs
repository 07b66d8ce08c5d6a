//! Write-through: the source first, and then the value into L2, so that the next reader
//! finds it there.
//!
//! 1. the key is put under quarantine: readers go to the source, and store nothing
//! 2. the writer commits
//! 3. the value goes into L2 over the own quarantine, and every L1 hears of it
//!
//! Whoever finds its quarantine gone in step 3 invalidates instead: of two writers that
//! race, neither leaves the older value. Nothing enters the cache before the commit.

use crate::coherence::announce::Change;
use crate::error::{Error, Kind};
use crate::event::{Event, WriteOutcome};
use crate::fill::{Attempt, Tiers};
use crate::model::as_of::AsOf;
use crate::model::key::Key;
use crate::model::position::Position;
use crate::source::{Cause, Loaded, WriteError, Writer};
use crate::tier::{Token, Write, Written};
use std::fmt;
use std::sync::Arc;
use tokio_util::task::AbortOnDropHandle;

/// A cache that knows how to write.
pub struct WriteThrough<V> {
    tiers: Arc<Tiers<V>>,
    writer: Arc<dyn Writer<V>>,
}

/// What became of a write: the source has it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Receipt {
    /// Whether L2 holds the value. Otherwise the next reader loads it.
    pub stored: bool,
    /// A read that asks for at least this gets what was written, or something newer. A
    /// loader cannot prove it by a replica's position if it has a tick. `None` if L2 is
    /// away.
    pub position: Option<Position>,
    /// Why the value cannot be stored at all: its size, its tags, its codec.
    pub refused: Option<Error>,
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

/// A quarantine that was asked for.
struct Quarantine {
    /// The token that it has if L2 took it.
    sent: Token,
    /// The token by which step 3 knows it, the same if L2 confirmed it.
    token: Token,
}

impl<V: Send + Sync + 'static> Tiers<V> {
    async fn write_through(
        self: Arc<Self>,
        attempt: Attempt,
        value: Option<V>,
        writer: Arc<dyn Writer<V>>,
    ) -> Result<Receipt, Error> {
        let remote = self.domain.remote();
        let Quarantine { sent, token } = self.quarantine(&attempt).await;
        let written = self.run_writer(&attempt, value, writer).await;
        let receipt = match written {
            Ok(loaded) => self.settle(&attempt, token, loaded).await,
            Err(error) => {
                if error.kind() == Kind::WriteFailed {
                    // Without an answer the quarantine ends by itself.
                    let _ = remote.release(&attempt.address, sent).await;
                } else {
                    self.leave_in_doubt(&attempt, sent == token).await;
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

    /// Puts the key under quarantine.
    ///
    /// If L2 did not confirm it, step 3 gets a new token, which it will not find. The
    /// request may still be on its way:
    ///
    /// 1. the quarantine is sent, and L2 does not answer in time
    /// 2. this writer commits, and somebody else commits a newer value
    /// 3. the newer change is applied; then the quarantine arrives, as of that change
    /// 4. step 3 would store the older value over it
    async fn quarantine(&self, attempt: &Attempt) -> Quarantine {
        let draw = || Token(self.domain.random().next());
        let sent = draw();
        let span = self.policy.quarantine();
        let remote = self.domain.remote();
        let token = match remote.quarantine(&attempt.address, sent, span).await {
            Ok(true) => sent,
            Ok(false) | Err(_) => draw(),
        };
        Quarantine { sent, token }
    }

    async fn run_writer(
        &self,
        attempt: &Attempt,
        value: Option<V>,
        writer: Arc<dyn Writer<V>>,
    ) -> Result<Loaded<V>, Error> {
        let key = attempt.key.clone();
        // On a task of its own, so that a panic stays there.
        let writing = tokio::spawn(async move { writer.write(key, value).await });
        let writing = AbortOnDropHandle::new(writing);
        let (kind, cause): (_, Cause) =
            match tokio::time::timeout(self.policy.write_timeout, writing).await {
                Ok(Ok(Ok(loaded))) => return Ok(loaded),
                Ok(Ok(Err(WriteError::NotWritten(cause)))) => (Kind::WriteFailed, cause),
                Ok(Ok(Err(WriteError::Uncertain(cause)))) => (Kind::WriteUncertain, cause),
                Ok(Err(panic)) => (Kind::WriteUncertain, panic.into()),
                Err(elapsed) => (Kind::WriteUncertain, elapsed.into()),
            };
        let name = self.policy.name.as_str();
        Err(Error::new(kind, "writing through the cache", name).because(cause))
    }

    /// Step 3, after the commit.
    async fn settle(
        &self,
        attempt: &Attempt,
        token: Token,
        loaded: Loaded<V>,
    ) -> Result<Receipt, Error> {
        let own = match loaded.as_of {
            AsOf::Position(position) => Some(position),
            AsOf::Leased | AsOf::Unknown => None,
        };
        let (written, refused) = match self.store(attempt, token, loaded).await {
            Ok(written) => (written, None),
            Err(error) => (None, Some(error)),
        };
        let change = self.change(attempt);
        let (stored, position) = match written {
            Some(Written::Stored { position, raised }) => {
                // The event of a commit with a place of its own is still to come: L1s
                // drop the key, and nobody expects L2 to have come so far.
                let heard = own.map_or(position, |_| Position::ZERO);
                self.domain.tell_written(&change, heard, raised).await?;
                (true, Some(position))
            }
            Some(Written::Invalidated { position, raised }) => {
                self.domain.tell_written(&change, position, raised).await?;
                (false, Some(position))
            }
            Some(Written::NoWatermark | Written::TicksExhausted) | None => {
                (false, self.domain.announce_whole(&change).await?)
            }
        };
        Ok(Receipt {
            stored,
            position,
            refused,
        })
    }

    /// Nothing if L2 is away, or may not keep such a value.
    async fn store(
        &self,
        attempt: &Attempt,
        token: Token,
        loaded: Loaded<V>,
    ) -> Result<Option<Written>, Error> {
        let as_of = match loaded.as_of {
            AsOf::Position(position) => Some(position),
            AsOf::Leased => None,
            AsOf::Unknown => return Ok(None),
        };
        let (body, ttl) = self.seal(attempt, loaded, None)?;
        if ttl.is_zero() {
            return Ok(None);
        }
        let write = Write {
            token,
            as_of,
            known: self.domain.horizon().known(attempt.address.bucket),
            body,
            ttl,
        };
        let written = self.domain.remote().write(&attempt.address, write).await;
        Ok(written.ok())
    }

    /// The source may or may not have been written, or may be yet. L1s drop the key at
    /// once; L2 is under quarantine, and when that ends, the key is invalidated.
    async fn leave_in_doubt(self: &Arc<Self>, attempt: &Attempt, is_confirmed: bool) {
        let change = self.change(attempt);
        if is_confirmed {
            let told = self.domain.tell_written(&change, Position::ZERO, None);
            let _ = told.await;
        } else {
            // Nothing hides what L2 holds.
            let _ = self.domain.announce_whole(&change).await;
        }
        let tiers = self.clone();
        self.domain.run(async move {
            tokio::time::sleep(tiers.policy.quarantine()).await;
            let _ = tiers.domain.announce_whole(&change).await;
        });
    }

    fn change(&self, attempt: &Attempt) -> Change {
        let key = Key::new(&attempt.key).expect("an attempt is made of a checked key");
        Change::key(&self.policy.name, key, None)
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
