//! How much runs at once: calls, and streams. What is too much is turned away, not queued.

use crate::failure::Failure;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many turns. Clones share them.
#[derive(Clone, Debug)]
pub struct Turns {
    free: Arc<Semaphore>,
    most: usize,
}

/// A turn; given back when dropped.
#[derive(Debug)]
pub struct Turn {
    _permit: OwnedSemaphorePermit,
}

impl Turns {
    /// So many, all of them free.
    pub fn new(most: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(most)),
            most,
        }
    }

    /// Takes one.
    ///
    /// # Errors
    /// [`crate::failure::Reason::Overloaded`] if none is free.
    pub fn take(&self) -> Result<Turn, Failure> {
        let permit = self.free.clone().try_acquire_owned();
        let turn = permit.map(|_permit| Turn { _permit });
        turn.map_err(|_| Failure::overloaded(self.most))
    }

    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.most - self.free.available_permits()
    }
}
