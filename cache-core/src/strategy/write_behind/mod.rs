//! Write-behind: the write is in a queue when the caller goes on, and in the source a
//! moment later, together with others.
//!
//! Readers are answered with what the source holds: nothing enters the tiers before its
//! commit, and then it does as in write-through. Of all processes that share a queue, one
//! at a time leads and writes: all waiting writes of different keys in one call, the last
//! of each key only, in the order in which they came. It forgets what the source has, and
//! nothing else: a write may reach the source twice, never not at all.

pub mod backoff;
pub mod flush;
pub mod flusher;
pub mod handle;
pub mod window;

use crate::error::{Error, Kind};
use std::time::Duration;

/// The most keys in one call of the writer.
pub const BATCH_MAX: usize = 4_096;
/// The most keys that may be held in memory.
pub const KEYS_MAX: usize = 1_000_000;
const _: () = assert!(BATCH_MAX <= crate::coherence::announce::ANNOUNCE_MAX);

/// How writes are gathered on their way to the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    /// How many keys one call of the writer has at most: 500.
    pub batch: usize,
    /// How long a write waits for others at most: 200 ms. Zero for none.
    pub age: Duration,
    /// How many keys are held in memory, waiting or failing: 20,000. A key whose writes fail
    /// holds up no other until so many do.
    pub keys_max: usize,
    /// The pause after a call that failed, doubled with each one that follows: 100 ms.
    pub backoff: Duration,
    /// The longest pause: 10 s.
    pub backoff_max: Duration,
    /// How long leaving the domain waits for the queue to be empty: 10 s. What a durable
    /// queue holds then, the next leader writes.
    pub drain: Duration,
}

impl Default for Behind {
    fn default() -> Self {
        Self {
            batch: 500,
            age: Duration::from_millis(200),
            keys_max: 20_000,
            backoff: Duration::from_millis(100),
            backoff_max: Duration::from_secs(10),
            drain: Duration::from_secs(10),
        }
    }
}

impl Behind {
    /// Checks what the fields cannot say by their types.
    ///
    /// # Errors
    /// [`Kind::Invalid`] with every contradiction.
    pub fn check(&self) -> Result<(), Error> {
        let minute = Duration::from_secs(60);
        let rules = [
            (
                (1..=BATCH_MAX).contains(&self.batch),
                "a batch has 1 to 4096 keys",
            ),
            (
                (self.batch..=KEYS_MAX).contains(&self.keys_max),
                "as many keys as a batch has, and at most a million, are held in memory",
            ),
            (
                self.age <= minute,
                "a write waits for others for a minute at most",
            ),
            (
                self.backoff >= Duration::from_millis(1)
                    && self.backoff <= self.backoff_max
                    && self.backoff_max <= 10 * minute,
                "the pause after a failure is at least 1 ms, and grows to at most 10 min",
            ),
            (
                self.drain <= 10 * minute,
                "leaving waits for 10 min at most",
            ),
        ];
        let broken: Vec<_> = rules.iter().filter(|(holds, _)| !holds).collect();
        if broken.is_empty() {
            return Ok(());
        }
        let broken: Vec<_> = broken.iter().map(|(_, rule)| *rule).collect();
        let error = Error::new(Kind::Invalid, "reading settings", "write-behind");
        Err(error.hint(broken.join("; ")))
    }
}
