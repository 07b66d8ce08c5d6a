//! What surrounds a commit of the source, so that no reader keeps what it replaced: a
//! quarantine before it, and the value over the own quarantine after it.
//!
//! 1. the key is put under quarantine: readers go to the source, and store nothing
//! 2. the writer commits
//! 3. the value goes into L2 over the own quarantine, and every L1 hears of it
//!
//! Whoever finds its quarantine gone in step 3 invalidates instead: of two writers that
//! race, neither leaves the older value. Nothing enters the cache before the commit.

use crate::coherence::announce::{Change, Told};
use crate::error::Error;
use crate::fill::{Attempt, Tiers};
use crate::model::as_of::AsOf;
use crate::model::key::Key;
use crate::model::position::Position;
use crate::source::{Loaded, WriteError};
use crate::tier::{Token, Write, Written};
use futures_util::future::join_all;
use tokio_util::task::AbortOnDropHandle;

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

/// A key for which a quarantine was asked.
#[derive(Debug)]
pub(super) struct Quarantine {
    pub(super) attempt: Attempt,
    /// The token that it has if L2 took it.
    sent: Token,
    /// The token by which step 3 knows it, the same if L2 confirmed it.
    token: Token,
}

impl Quarantine {
    pub(super) fn is_confirmed(&self) -> bool {
        self.sent == self.token
    }
}

impl<V: Send + Sync + 'static> Tiers<V> {
    /// Step 1.
    ///
    /// If L2 did not confirm it, step 3 gets a new token, which it will not find. The
    /// request may still be on its way:
    ///
    /// 1. the quarantine is sent, and L2 does not answer in time
    /// 2. this writer commits, and somebody else commits a newer value
    /// 3. the newer change is applied; then the quarantine arrives, as of that change
    /// 4. step 3 would store the older value over it
    pub(super) async fn quarantine(&self, attempt: Attempt) -> Quarantine {
        let draw = || Token(self.domain.random().next());
        let sent = draw();
        let span = self.policy.quarantine();
        let remote = self.domain.remote();
        let token = match remote.quarantine(&attempt.address, sent, span).await {
            Ok(true) => sent,
            Ok(false) | Err(_) => draw(),
        };
        Quarantine {
            attempt,
            sent,
            token,
        }
    }

    /// Step 2: runs a writer for as long as the policy allows.
    pub(super) async fn run_writer<T: Send + 'static>(
        &self,
        write: impl Future<Output = Result<T, WriteError>> + Send + 'static,
    ) -> Result<T, WriteError> {
        // On a task of its own, so that a panic stays there.
        let writing = AbortOnDropHandle::new(tokio::spawn(write));
        match tokio::time::timeout(self.policy.write_timeout, writing).await {
            Ok(Ok(written)) => written,
            Ok(Err(panic)) => Err(panic.into()),
            Err(elapsed) => Err(elapsed.into()),
        }
    }

    /// Instead of step 3: nothing was written.
    pub(super) async fn lift(&self, quarantine: &Quarantine) {
        let Quarantine { attempt, sent, .. } = quarantine;
        // Without an answer the quarantine ends by itself.
        let _ = self.domain.remote().release(&attempt.address, *sent).await;
    }

    /// Step 3, after the commit; a key without a value is only invalidated. The receipts
    /// come in the order of the keys.
    ///
    /// # Errors
    /// As [`crate::Domain::announce`].
    pub(super) async fn settle(
        &self,
        committed: Vec<(Quarantine, Option<Loaded<V>>)>,
    ) -> Result<Vec<Receipt>, Error> {
        let each = committed
            .into_iter()
            .map(|(quarantine, loaded)| self.settle_one(quarantine, loaded));
        let (mut told, mut receipts) = (Vec::new(), Vec::new());
        let mut whole = Vec::new();
        for (at, settled) in join_all(each.collect::<Vec<_>>())
            .await
            .into_iter()
            .enumerate()
        {
            match settled.word {
                Some(word) => told.push(word),
                None => whole.push((at, settled.change)),
            }
            receipts.push(settled.receipt);
        }
        let (places, changes): (Vec<_>, Vec<_>) = whole.into_iter().unzip();
        let announced = self.domain.announce_whole(&changes).await;
        self.domain.tell_written(&told).await?;
        for (at, position) in places.into_iter().zip(announced?) {
            receipts[at].position = position;
        }
        Ok(receipts)
    }

    async fn settle_one(&self, quarantine: Quarantine, loaded: Option<Loaded<V>>) -> Settled {
        let change = self.change(&quarantine.attempt);
        let own = match loaded.as_ref().map(|loaded| loaded.as_of) {
            Some(AsOf::Position(position)) => Some(position),
            Some(AsOf::Leased | AsOf::Unknown) | None => None,
        };
        let (written, refused) = match self.store(&quarantine, loaded).await {
            Ok(written) => (written, None),
            Err(error) => (None, Some(error)),
        };
        let mut receipt = Receipt {
            stored: false,
            position: None,
            refused,
        };
        let word = match written {
            Some(Written::Stored { position, raised }) => {
                (receipt.stored, receipt.position) = (true, Some(position));
                Some(Told {
                    change: change.clone(),
                    // The event of a commit with a place of its own is still to come: L1s
                    // drop the key, and nobody expects L2 to have come so far.
                    position: own.map_or(position, |_| Position::ZERO),
                    raised,
                })
            }
            Some(Written::Invalidated { position, raised }) => {
                receipt.position = Some(position);
                Some(Told {
                    change: change.clone(),
                    position,
                    raised,
                })
            }
            Some(Written::NoWatermark | Written::TicksExhausted) | None => None,
        };
        Settled {
            change,
            word,
            receipt,
        }
    }

    /// Nothing if L2 is away, or may not keep such a value.
    async fn store(
        &self,
        quarantine: &Quarantine,
        loaded: Option<Loaded<V>>,
    ) -> Result<Option<Written>, Error> {
        let may_keep = |loaded: &Loaded<V>| loaded.keep && self.switches.l2();
        let Some(loaded) = loaded.filter(may_keep) else {
            return Ok(None);
        };
        let as_of = match loaded.as_of {
            AsOf::Position(position) => Some(position),
            AsOf::Leased => None,
            AsOf::Unknown => return Ok(None),
        };
        let attempt = &quarantine.attempt;
        let (body, ttl) = self.seal(attempt, loaded, None)?;
        if ttl.is_zero() {
            return Ok(None);
        }
        let write = Write {
            token: quarantine.token,
            as_of,
            known: self.domain.horizon().known(attempt.address.bucket),
            body,
            ttl,
        };
        let written = self.domain.remote().write(&attempt.address, write).await;
        Ok(written.ok())
    }

    /// The source may or may not have been written, or may be yet. L1s drop the keys at
    /// once. L2 is under quarantine; where it did not confirm that, nothing hides what it
    /// holds, and the key is invalidated.
    pub(super) async fn leave_in_doubt(&self, quarantines: &[Quarantine]) {
        let (mut told, mut whole) = (Vec::new(), Vec::new());
        for quarantine in quarantines {
            let change = self.change(&quarantine.attempt);
            if quarantine.is_confirmed() {
                told.push(Told {
                    change,
                    position: Position::ZERO,
                    raised: None,
                });
            } else {
                whole.push(change);
            }
        }
        let _ = self.domain.tell_written(&told).await;
        let _ = self.domain.announce_whole(&whole).await;
    }

    pub(super) fn change(&self, attempt: &Attempt) -> Change {
        let key = Key::new(&attempt.key).expect("an attempt is made of a checked key");
        Change::key(&self.policy.name, key, None)
    }
}

/// What became of one key, and what is to be said of it: nothing if L2 has not answered, and
/// the whole change must go out.
struct Settled {
    change: Change,
    word: Option<Told>,
    receipt: Receipt,
}
