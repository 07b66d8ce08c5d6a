//! L2 in memory, each step preceded by a turn that the checker gives: others go before
//! it or after it, never in between, as with a script in Redis.

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::Position;
use cache_core::clock::Clock;
use cache_core::model::key::{Address, Bucket};
use cache_core::tier::memory::MemoryRemote;
use cache_core::tier::{
    Applied, Beat, Beaten, Filled, Invalidate, Known, Leased, Offer, Reading, Remote, RemoteError,
    Seen, Token, Touch, Write, Written,
};
use futures_util::FutureExt;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct Steps {
    inner: MemoryRemote,
    step: loom::sync::Mutex<()>,
}

/// The answer of a step. It is there at once: what could wait here blocks its thread.
pub(crate) fn answer<T>(step: impl Future<Output = T>) -> T {
    step.now_or_never().expect("a step in memory does not wait")
}

impl Steps {
    /// An L2 whose one bucket has its watermark.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        let steps = Self {
            inner: MemoryRemote::new(clock),
            step: loom::sync::Mutex::new(()),
        };
        answer(steps.beat(vec![Beat {
            bucket: Bucket(0),
            seen: Position::ZERO,
            known: Known::NOTHING,
            doubted: false,
        }]));
        steps
    }

    fn turn(&self) -> loom::sync::MutexGuard<'_, ()> {
        self.step.lock().expect("no life goes on after a panic")
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Steps")
    }
}

#[async_trait]
impl Remote for Steps {
    async fn read(&self, address: &Address) -> Result<Reading, RemoteError> {
        drop(self.turn());
        self.inner.read(address).await
    }

    async fn lease(
        &self,
        address: &Address,
        token: Token,
        span: Duration,
        seen: Seen,
    ) -> Result<Leased, RemoteError> {
        drop(self.turn());
        self.inner.lease(address, token, span, seen).await
    }

    async fn fill(&self, address: &Address, offer: Offer) -> Result<Filled, RemoteError> {
        drop(self.turn());
        self.inner.fill(address, offer).await
    }

    async fn touch(&self, address: &Address, touch: Touch) -> Result<bool, RemoteError> {
        drop(self.turn());
        self.inner.touch(address, touch).await
    }

    async fn release(&self, address: &Address, token: Token) -> Result<(), RemoteError> {
        drop(self.turn());
        self.inner.release(address, token).await
    }

    async fn quarantine(
        &self,
        address: &Address,
        token: Token,
        span: Duration,
    ) -> Result<bool, RemoteError> {
        drop(self.turn());
        self.inner.quarantine(address, token, span).await
    }

    async fn write(&self, address: &Address, write: Write) -> Result<Written, RemoteError> {
        drop(self.turn());
        self.inner.write(address, write).await
    }

    async fn apply(&self, batch: Vec<Invalidate>) -> Vec<Result<Applied, RemoteError>> {
        drop(self.turn());
        self.inner.apply(batch).await
    }

    async fn agree(&self, terms: &[u8]) -> Result<Bytes, RemoteError> {
        drop(self.turn());
        self.inner.agree(terms).await
    }

    async fn beat(&self, batch: Vec<Beat>) -> Vec<Result<Beaten, RemoteError>> {
        drop(self.turn());
        self.inner.beat(batch).await
    }
}
