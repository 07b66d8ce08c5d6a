//! What ties a simulated process to the world: cut, it crashes between two steps;
//! held, it stands still as under SIGSTOP.

use crate::time::pause;
use std::future::pending;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How often a process that stands still looks whether it may go on.
const LOOK: Duration = Duration::from_millis(7);

/// One incarnation of one process.
#[derive(Debug)]
pub(crate) struct Lifeline {
    /// Which process it is.
    pub(crate) process: usize,
    dead: AtomicBool,
    held: AtomicBool,
}

impl Lifeline {
    pub(crate) fn new(process: usize) -> Self {
        Self {
            process,
            dead: AtomicBool::new(false),
            held: AtomicBool::new(false),
        }
    }

    /// Passed before and after every step outside the process. A dead process
    /// never comes back from it.
    pub(crate) async fn gate(&self) {
        while self.held.load(Ordering::Relaxed) && !self.is_dead() {
            pause(LOOK).await;
        }
        if self.is_dead() {
            pending::<()>().await;
        }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    pub(crate) fn crash(&self) {
        self.dead.store(true, Ordering::Relaxed);
    }

    pub(crate) fn hold(&self, held: bool) {
        self.held.store(held, Ordering::Relaxed);
    }
}
