//! The floors of the keys and tags that this process was told of last: whatever L2
//! answers, nobody here goes back behind them.
//!
//! The watermark of the bucket cannot say so, if L2 lost one change and kept a later one:
//!
//! 1. change 27 of key B overtakes change 25 of key A, in the same bucket; L2 has 27
//! 2. L2 applies 25, and everybody is told
//! 3. L2 fails over to a replica that had 27 and not yet 25
//! 4. the watermark is at 27; A's old value looks sound until a heartbeat doubts the
//!    bucket, because another node serves it
//!
//! What is remembered is bounded, not timed: a floor once told stays true.

use crate::model::key::KeyHash;
use crate::model::position::Position;
// Not the shim's lock: each step below is one leaf, in which no other step waits, and a
// model checker would only multiply its schedules by it.
use parking_lot::RwLock;
use std::collections::HashMap;
use std::fmt;

/// The parts, each under a lock of its own; a power of two, by the hash's low bits.
const PARTS: usize = 64;
/// The floors of one generation in one part. Some 16,000 to 32,000 are remembered in all:
/// at 1,000 changes a second for 16 s or more, which is longer than a failover goes
/// unnoticed. Full, it takes 1 MB.
const GENERATION: usize = 256;
const _: () = assert!(PARTS.is_power_of_two());

/// The last floors, in two generations: a full one becomes the old one.
pub struct Recent([RwLock<Part>; PARTS]);

#[derive(Default)]
struct Part {
    young: HashMap<KeyHash, Position>,
    old: HashMap<KeyHash, Position>,
}

impl Recent {
    /// Nothing was told yet.
    pub fn new() -> Self {
        Self(std::array::from_fn(|_| RwLock::default()))
    }

    /// A change of this key or tag was told.
    pub fn raise(&self, hash: KeyHash, position: Position) {
        let mut part = self.part(hash).write();
        let floor = part.floor(hash).max(position);
        if part.young.len() >= GENERATION && !part.young.contains_key(&hash) {
            part.old = std::mem::take(&mut part.young);
        }
        part.young.insert(hash, floor);
    }

    /// The highest position told of this key or tag, if it is remembered.
    pub fn floor(&self, hash: KeyHash) -> Position {
        self.part(hash).read().floor(hash)
    }

    fn part(&self, hash: KeyHash) -> &RwLock<Part> {
        &self.0[hash.0 as usize & (PARTS - 1)]
    }
}

impl Part {
    fn floor(&self, hash: KeyHash) -> Position {
        let known = self.young.get(&hash).or_else(|| self.old.get(&hash));
        known.copied().unwrap_or(Position::ZERO)
    }
}

impl Default for Recent {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").finish_non_exhaustive()
    }
}
