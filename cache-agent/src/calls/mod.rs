//! What the calls of the API do, free of gRPC's own words.

pub mod batch;
pub mod get;
pub mod invalidate;
pub mod store;

use crate::caches::Caches;
use crate::deadline::Deadline;
use crate::failure::{Failure, Reason};
use crate::leases::{LEASES_MAX, Leases};
use bytes::Bytes;
use cache_core::FillTicket;
use cache_core::clock::Clock;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::TaskTracker;

/// How often leases that ran out are given back.
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// What all calls work with. Clones share it.
#[derive(Clone, Debug)]
pub struct Agent {
    /// The configured caches.
    pub caches: Arc<Caches>,
    /// What callers hold between a miss and its fill.
    pub leases: Arc<Leases<Box<FillTicket<Bytes>>>>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The deadline of a call that names none.
    pub deadline: Duration,
    /// Work that goes on when its caller goes away.
    pub tasks: TaskTracker,
}

impl Agent {
    /// An agent over `caches`, whose calls have `deadline` unless they say otherwise.
    pub fn new(caches: Arc<Caches>, clock: Arc<dyn Clock>, deadline: Duration) -> Self {
        Self {
            caches,
            leases: Arc::new(Leases::new(clock.clone(), LEASES_MAX)),
            clock,
            deadline,
            tasks: TaskTracker::new(),
        }
    }

    /// Gives back leases that ran out, for ever.
    pub async fn sweep(self) {
        let mut tick = tokio::time::interval(SWEEP_EVERY);
        loop {
            tick.tick().await;
            self.leases.sweep();
        }
    }

    /// Runs work that must not stop half-way, and waits for it up to the deadline.
    ///
    /// An invalidation that L2 has applied must reach the bus as well, whether or
    /// not its caller is still there. gRPC drops the call of a caller that leaves.
    async fn finish<T: Send + 'static>(
        &self,
        deadline: Deadline,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let task = self.tasks.spawn(work);
        match tokio::time::timeout_at(deadline.answer_by(), task).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(broken()),
            Err(_) => Err(Failure::deadline()),
        }
    }
}

/// A task of a call panicked.
fn broken() -> Failure {
    Failure::new(
        Reason::Internal,
        "the call met a defect of the agent; its log says more",
    )
}
