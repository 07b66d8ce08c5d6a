//! How much runs at once: calls, and streams. What is too much is turned away, not queued.

use crate::failure::Failure;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many turns. Clones share them.
#[derive(Clone, Debug)]
pub struct Turns(Arc<Counts>);

#[derive(Debug)]
struct Counts {
    taken: AtomicUsize,
    most: AtomicUsize,
}

/// A turn; given back when dropped.
#[derive(Debug)]
pub struct Turn(Arc<Counts>);

impl Turns {
    /// So many, all of them free.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Counts {
            taken: AtomicUsize::new(0),
            most: AtomicUsize::new(most),
        }))
    }

    /// Takes one.
    ///
    /// # Errors
    /// [`crate::failure::Reason::Overloaded`] if none is free.
    pub fn take(&self) -> Result<Turn, Failure> {
        // They guard a number and no memory: nothing is ordered by them.
        let most = self.0.most.load(Ordering::Relaxed);
        let more = |taken: usize| (taken < most).then_some(taken + 1);
        let taken = &self.0.taken;
        match taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more) {
            Ok(_) => Ok(Turn(self.0.clone())),
            Err(_) => Err(Failure::overloaded(most)),
        }
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// There are so many from here on. Where more are taken, none is free until enough of
    /// them came back.
    pub fn set_most(&self, most: usize) {
        self.0.most.store(most, Ordering::Relaxed);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_turns_take_none_away_and_grant_none_until_enough_came_back() {
        let turns = Turns::new(2);
        let (first, second) = (turns.take().expect("free"), turns.take().expect("free"));
        assert!(turns.take().is_err());
        turns.set_most(1);
        drop(first);
        assert!(turns.take().is_err(), "one of one is taken");
        drop(second);
        let third = turns.take();
        assert!(third.is_ok() && turns.taken() == 1);
        turns.set_most(2);
        assert!(turns.take().is_ok());
    }
}
