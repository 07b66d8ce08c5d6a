//! The only place that draws random numbers.

use std::fmt;

/// Random numbers, handed in so that tests can replay them.
pub trait Random: Send + Sync + fmt::Debug + 'static {
    /// A uniform number.
    fn next(&self) -> u64;
}

impl dyn Random {
    /// A uniform share in 0 to 1.
    pub fn share(&self) -> f64 {
        // The upper 53 bits are what a double holds exactly.
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// The machine's randomness: fit for tokens and identities.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn next(&self) -> u64 {
        rand::random()
    }
}
