//! What this process was told of a key or a tag, and L2 owes: until it has it, its value
//! of that key (or the floor of that tag) is not believed here. Changes that L2 never had
//! are debts; those it had, and may lose, are [`Recent`].
//!
//! The bucket's watermark cannot say so, because it is the highest of many:
//!
//! 1. change 35 of key A is told; its way to L2 is lost, and will be repeated
//! 2. change 36 of key B, in the same bucket, is applied in L2
//! 3. the watermark is at 36, which is all that anybody asks of it
//! 4. L2 still holds A from before 35

use super::recent::Recent;
use crate::clock::Tick;
use crate::model::key::KeyHash;
use crate::model::position::Position;
use crate::shim::{AtomicUsize, Ordering, RwLock};
use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

/// The most keys remembered, about 10 MB of them. Beyond, the watermark alone guards.
const OWED_MAX: usize = 100_000;
/// How long one is remembered: whoever told of it may have died before L2 had it, and
/// the word that it has may be lost. Far longer than a failover, because until then
/// the key is loaded and not kept.
pub const KEEP: Duration = Duration::from_secs(60);

/// What L2 owes, as far as this process has heard.
#[derive(Default)]
pub struct Owed {
    /// Zero nearly always, and then all that a reader looks at.
    count: AtomicUsize,
    debts: RwLock<HashMap<KeyHash, Debt>>,
    recent: Recent,
}

#[derive(Clone, Copy)]
struct Debt {
    /// Below it, L2 is not believed; [`Position::MAX`] for a local change, whose
    /// position only L2 can give.
    floor: Position,
    until: Tick,
}

impl Owed {
    /// Nothing is owed.
    pub fn new() -> Self {
        Self::default()
    }

    /// The bus told of a change at `position` that L2 does not have; zero is a local
    /// one without a position.
    pub fn owe(&self, hash: KeyHash, position: Position, now: Tick) {
        let floor = match position {
            Position::ZERO => Position::MAX,
            known => known,
        };
        let until = now.after(KEEP);
        let mut debts = self.debts.write();
        if debts.len() >= OWED_MAX {
            debts.retain(|_, debt| debt.until > now);
        }
        if debts.len() < OWED_MAX || debts.contains_key(&hash) {
            let debt = debts.entry(hash).or_insert(Debt { floor, until });
            *debt = Debt {
                floor: floor.max(debt.floor),
                until,
            };
        }
        self.count.store(debts.len(), Ordering::Release);
    }

    /// L2 has a change at `position`, and may lose it.
    pub fn pay(&self, hash: KeyHash, position: Position) {
        // Before the debt goes: a reader in between finds one or the other.
        self.recent.raise(hash, position);
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut debts = self.debts.write();
        // What was local has got a tick in L2.
        let paid = |debt: &Debt| match debt.floor {
            Position::MAX => position.tick > 0,
            floor => floor <= position,
        };
        if debts.get(&hash).is_some_and(paid) {
            debts.remove(&hash);
        }
        self.count.store(debts.len(), Ordering::Release);
    }

    /// The position below which L2 is not believed about a key or a tag.
    pub fn floor(&self, hash: KeyHash, now: Tick) -> Position {
        self.debt(hash, now).max(self.recent.floor(hash))
    }

    fn debt(&self, hash: KeyHash, now: Tick) -> Position {
        if self.count.load(Ordering::Acquire) == 0 {
            return Position::ZERO;
        }
        let debts = self.debts.read();
        let debt = debts.get(&hash).filter(|debt| debt.until > now);
        debt.map_or(Position::ZERO, |debt| debt.floor)
    }
}

impl fmt::Debug for Owed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owed")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}
