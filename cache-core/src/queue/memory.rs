//! A queue within this process: the embedded default. What waits in it is lost with the
//! process.

use super::{Backlog, Lead, Queue, QueueError, Queued};
use crate::clock::Clock;
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// A queue within this process.
#[derive(Debug)]
pub struct MemoryQueue {
    shared: Arc<Shared>,
    bytes_max: usize,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    pushed: Notify,
    leads: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct State {
    writes: VecDeque<Queued>,
    bytes: usize,
    last: u64,
    done: u64,
    aside: Vec<(Queued, String)>,
}

/// The most writes that are kept aside; the oldest give way.
const ASIDE_MAX: usize = 1_000;

impl MemoryQueue {
    /// An empty queue for so many bytes.
    pub fn new(clock: Arc<dyn Clock>, bytes_max: usize) -> Self {
        // Above all versions of an earlier process that wrote less than one a microsecond.
        let start = clock.wall_ms().saturating_mul(1_000);
        let state = State {
            writes: VecDeque::new(),
            bytes: 0,
            last: start,
            done: start,
            aside: Vec::new(),
        };
        let shared = Shared {
            state: Mutex::new(state),
            pushed: Notify::new(),
            leads: Arc::new(Semaphore::new(1)),
            clock,
        };
        Self {
            shared: Arc::new(shared),
            bytes_max,
        }
    }

    /// What the source will never take, and why.
    pub fn aside(&self) -> Vec<(Queued, String)> {
        self.shared.state.lock().aside.clone()
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn push(&self, body: Bytes) -> Result<u64, QueueError> {
        let version = {
            let mut state = self.shared.state.lock();
            if state.bytes + body.len() > self.bytes_max {
                return Err(QueueError::Full);
            }
            state.bytes += body.len();
            state.last += 1;
            let version = state.last;
            let pushed_ms = self.shared.clock.wall_ms();
            state.writes.push_back(Queued {
                version,
                pushed_ms,
                body,
            });
            version
        };
        self.shared.pushed.notify_one();
        Ok(version)
    }

    async fn lead(&self, _span: Duration) -> Result<Box<dyn Lead>, QueueError> {
        let leads = self.shared.leads.clone().acquire_owned().await;
        let permit = leads.map_err(|_| QueueError::Unavailable("closed".to_owned()))?;
        let read = self.shared.state.lock().done;
        Ok(Box::new(MemoryLead {
            shared: self.shared.clone(),
            read,
            _permit: permit,
        }))
    }

    async fn backlog(&self) -> Result<Backlog, QueueError> {
        let state = self.shared.state.lock();
        Ok(Backlog {
            waiting: state.writes.len() as u64,
            done: state.done,
            oldest_ms: state.writes.front().map(|write| write.pushed_ms),
        })
    }

    async fn put_aside(&self, write: &Queued, why: &str) -> Result<(), QueueError> {
        let mut state = self.shared.state.lock();
        if state.aside.len() == ASIDE_MAX {
            state.aside.remove(0);
        }
        state.aside.push((write.clone(), why.to_owned()));
        Ok(())
    }

    fn is_durable(&self) -> bool {
        false
    }
}

#[derive(Debug)]
struct MemoryLead {
    shared: Arc<Shared>,
    read: u64,
    _permit: OwnedSemaphorePermit,
}

impl MemoryLead {
    fn take(&mut self, most: usize) -> Vec<Queued> {
        let state = self.shared.state.lock();
        // Versions have no holes, and the first is the one after `done`.
        let known = usize::try_from(self.read - state.done).unwrap_or(usize::MAX);
        let some: Vec<_> = state
            .writes
            .iter()
            .skip(known)
            .take(most)
            .cloned()
            .collect();
        if let Some(last) = some.last() {
            self.read = last.version;
        }
        some
    }
}

#[async_trait]
impl Lead for MemoryLead {
    async fn next(&mut self, most: usize, patience: Duration) -> Result<Vec<Queued>, QueueError> {
        let some = self.take(most);
        if !some.is_empty() {
            return Ok(some);
        }
        let _ = timeout(patience, self.shared.pushed.notified()).await;
        Ok(self.take(most))
    }

    async fn read_again(&mut self, version: u64) -> Result<Option<Queued>, QueueError> {
        let state = self.shared.state.lock();
        let place = state
            .writes
            .binary_search_by_key(&version, |write| write.version);
        Ok(place.ok().map(|place| state.writes[place].clone()))
    }

    async fn forget(&mut self, version: u64) -> Result<(), QueueError> {
        let mut state = self.shared.state.lock();
        while let Some(first) = state.writes.front() {
            if first.version > version {
                break;
            }
            let size = first.body.len();
            state.writes.pop_front();
            state.bytes -= size;
            state.done += 1;
        }
        Ok(())
    }

    async fn hold(&mut self) -> Result<(), QueueError> {
        Ok(())
    }

    fn leads_for(&self) -> Duration {
        Duration::MAX
    }

    async fn resign(self: Box<Self>) {}
}
