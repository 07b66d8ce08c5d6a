//! What the calls of the API do, free of gRPC's own words.

pub mod batch;
pub mod exchange;
pub mod get;
pub mod invalidate;
pub mod remove;
pub mod set;
pub mod store;
pub mod stream_batch;
pub mod watch;
mod written;

use crate::caches::Caches;
use crate::config::Limits;
use crate::deadline::Deadline;
use crate::exchanged::Exchanged;
use crate::failure::{Failure, Reason};
use crate::hot::HotKeys;
use crate::leases::{LEASES_MAX, Leases};
use crate::observe::Watcher;
use crate::turns::Turns;
use arc_swap::ArcSwap;
use bytes::Bytes;
use cache_core::clock::Clock;
use cache_core::{Error, FillTicket};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
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
    /// What is heard of the caches.
    pub watcher: Arc<Watcher>,
    /// The keys that are asked for most.
    pub hot: Arc<HotKeys>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// The limits of the API, as they are at this moment.
    pub limits: Arc<ArcSwap<Limits>>,
    /// The turns of calls.
    pub turns: Turns,
    /// The calls of exchanges, counted.
    pub exchanged: Exchanged,
    /// The turns of streams.
    pub streams: Turns,
    /// Cancelled when streams are to end.
    pub closing: CancellationToken,
    /// Work that goes on when its caller goes away.
    pub tasks: TaskTracker,
}

impl Agent {
    /// An agent over `caches`.
    pub fn new(
        caches: Arc<Caches>,
        watcher: Arc<Watcher>,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> Self {
        Self {
            caches,
            leases: Arc::new(Leases::new(clock.clone(), LEASES_MAX)),
            watcher,
            hot: Arc::new(HotKeys::new(clock.clone())),
            clock,
            limits: Arc::new(ArcSwap::from_pointee(limits)),
            turns: Turns::new(limits.requests_max),
            exchanged: Exchanged::new(),
            streams: Turns::new(limits.streams_max),
            closing: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }
    }

    /// Has these limits from here on, for whatever begins.
    pub fn set_limits(&self, limits: Limits) {
        self.turns.set_most(limits.requests_max);
        self.streams.set_most(limits.streams_max);
        self.limits.store(Arc::new(limits));
    }

    /// Gives back leases that ran out, for ever.
    pub async fn sweep(self) {
        let mut tick = tokio::time::interval(SWEEP_EVERY);
        loop {
            tick.tick().await;
            // Not under the lock of the leases: it wakes other callers.
            for ticket in self.leases.sweep() {
                ticket.ran_out();
            }
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

    /// Looks for something within the deadline; `None` when it was not enough.
    ///
    /// What cannot be answered at once runs on a task of its own, to its end: a
    /// lease that L2 grants after the caller went away comes back here and is
    /// given back, where a dropped future would leave it to run out.
    async fn look<T: Send + 'static>(
        &self,
        deadline: Deadline,
        looking: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<Option<T>, Failure> {
        let mut looking = Box::pin(looking);
        if let Poll::Ready(found) = futures_util::poll!(&mut looking) {
            return Ok(Some(found?));
        }
        let task = self.tasks.spawn(looking);
        match tokio::time::timeout_at(deadline.answer_by(), task).await {
            Ok(Ok(found)) => Ok(Some(found?)),
            Ok(Err(_)) => Err(broken()),
            Err(_) => Ok(None),
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
