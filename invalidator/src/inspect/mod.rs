//! An inspector that never sleeps: every invalidation that was announced is looked at
//! again after 1 s, 10 s and 60 s, in L2 and in every L1.
//!
//! ```text
//! outbox ── offer ──> sampler ──> schedule ──┬──> the bus: every process looks into
//!           never waits                      │    its own L1s, and tells of violations
//!                                            └──> reads of L2 ──> verdict
//!                                                                   │ violated
//!                                                 announce again <──┴──> an error told
//! ```
//!
//! It stands beside the loop and holds it up in nothing: what does not fit is not
//! sampled, and counted. What it finds is a mistake in this product, or something that
//! the product does not promise to survive; so each violation is told with all that is
//! known of it, and mended.

pub mod inspector;
pub mod nines;
pub mod reads;
pub mod sampler;
pub mod schedule;
pub mod verdict;

use cache_core::clock::Tick;
use cache_core::event::Found;
use cache_core::model::position::Position;
use cache_core::model::second_look::SecondLook;
use cache_core::wire::invalidation::Target;
use std::fmt;
use std::time::Duration;

/// The time between two rounds: how much later than due a look may come.
pub const ROUND: Duration = Duration::from_millis(250);
/// The rounds in a second.
pub const ROUNDS_A_SECOND: u32 = 4;
const _: () = assert!(ROUND.as_millis() as u32 * ROUNDS_A_SECOND == 1_000);

/// How many invalidations a second are sampled unless told otherwise: three reads of
/// L2 each, and some 15 MB of memory for a minute of them.
pub const RATE: u32 = 1_000;
/// The most that may be asked for: 150 MB.
pub const RATE_MAX: u32 = 10_000;

/// How long a sample is kept after its last look, for what processes tell of it.
pub const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// How long a sample is kept, from its announcement on, in seconds.
pub const KEPT_SECONDS: u32 = 66;
const _: () = assert!(
    KEPT_SECONDS as u64 > SecondLook::After60s.after().as_secs() + ANSWERED_WITHIN.as_secs(),
    "a schedule that is full before its oldest samples end would drop new ones for ever"
);
const _: () = assert!(RATE <= RATE_MAX && RATE_MAX * KEPT_SECONDS <= 1_000_000);

/// What is inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InspectorSettings {
    /// How many invalidations a second are sampled at most; 0 for no inspector.
    pub rate: u32,
}

impl Default for InspectorSettings {
    fn default() -> Self {
        Self { rate: RATE }
    }
}

impl InspectorSettings {
    /// How many samples one round may take in: the rate's share.
    pub fn round_max(self) -> usize {
        self.rate.div_ceil(ROUNDS_A_SECOND) as usize
    }

    /// How many samples are kept at most.
    pub fn samples_max(self) -> usize {
        self.round_max() * (ROUNDS_A_SECOND * KEPT_SECONDS) as usize
    }
}

/// One announced invalidation, and what looking at it again found so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// What it hit.
    pub target: Target,
    /// The smallest as-of that has been valid since.
    pub position: Position,
    /// When it had been announced.
    pub announced: Tick,
    /// What was found in L2, look by look.
    pub history: History,
}

/// What was found in L2, by the look; nothing where there was none yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History([Option<Found>; SecondLook::ALL.len()]);

impl History {
    /// Adds what a look found.
    pub fn add(&mut self, look: SecondLook, found: Found) {
        self.0[look.index()] = Some(found);
    }

    /// The last look that was taken.
    pub fn last(&self) -> Option<SecondLook> {
        let taken = |look: &&SecondLook| self.0[look.index()].is_some();
        SecondLook::ALL.iter().rev().find(taken).copied()
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let taken = SecondLook::ALL.iter().zip(self.0);
        let taken = taken.filter_map(|(look, found)| found.map(|found| (look, found)));
        for (at, (look, found)) in taken.enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            let found = match found {
                Found::Held => "held",
                Found::Violated => "violated",
                Found::Unknown => "unknown",
            };
            write!(f, "{comma}{} {found}", look.word())?;
        }
        Ok(())
    }
}
