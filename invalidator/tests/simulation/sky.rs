//! The weather overhead, until the run clears it up to see whether all comes to rest.

use crate::dice::Dice;
use crate::weather::Weather;
use std::sync::atomic::{AtomicBool, Ordering};

/// The weather with its dice.
#[derive(Debug)]
pub(crate) struct Sky {
    pub(crate) dice: Dice,
    pub(crate) weather: Weather,
    clear: AtomicBool,
}

impl Sky {
    pub(crate) fn new(dice: Dice, weather: Weather) -> Self {
        Self {
            dice,
            weather,
            clear: AtomicBool::new(false),
        }
    }

    /// From here on nothing is lost and nothing strikes.
    pub(crate) fn clear_up(&self) {
        self.clear.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_clear(&self) -> bool {
        self.clear.load(Ordering::Relaxed)
    }

    /// Whether a mishap with this share happens.
    pub(crate) fn strikes(&self, share: f64) -> bool {
        !self.is_clear() && self.dice.chance(share)
    }
}
