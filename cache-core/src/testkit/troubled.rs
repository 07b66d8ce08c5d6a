//! An L2 in memory with troubles that strike one request at the worst moment.

use crate::clock::Clock;
use crate::model::key::Address;
use crate::tier::memory::{Image, MemoryRemote};
use crate::tier::{
    Applied, Beat, Beaten, Filled, Invalidate, Leased, Offer, Reading, Remote, RemoteError, Seen,
    Token, Touch, Write, Written,
};
use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// L2 in memory, sound until told otherwise.
#[derive(Debug)]
pub struct TroubledRemote {
    /// What it is beneath its troubles.
    pub inner: MemoryRemote,
    /// What it goes back to just before it grants the next lease.
    pub before_lease: Mutex<Option<Image>>,
    /// How long each read, lease and fill takes.
    pub latency: Mutex<Duration>,
    /// Whether it answers no reads.
    pub down: AtomicBool,
    /// The answer of the next read is held up.
    pub holds: Mutex<Option<Arc<Held>>>,
    /// Whether a quarantine gets no answer, and arrives only when it is delivered.
    pub delays_quarantine: AtomicBool,
    late: Mutex<Option<(Address, Token, Duration)>>,
}

/// One answer on its way.
#[derive(Debug, Default)]
pub struct Held {
    /// It has left L2.
    pub is_on_its_way: Notify,
    /// It may arrive.
    pub may_arrive: Notify,
}

impl TroubledRemote {
    /// Without any trouble yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            inner: MemoryRemote::new(clock),
            before_lease: Mutex::default(),
            latency: Mutex::default(),
            down: AtomicBool::new(false),
            holds: Mutex::default(),
            delays_quarantine: AtomicBool::new(false),
            late: Mutex::default(),
        }
    }

    async fn take_time(&self) {
        let latency = *self.latency.lock();
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
    }

    /// The quarantine that was delayed arrives; whether there was one.
    pub async fn deliver(&self) -> bool {
        let late = self.late.lock().take();
        let Some((address, token, span)) = late else {
            return false;
        };
        self.inner.quarantine(&address, token, span).await == Ok(true)
    }
}

#[async_trait]
impl Remote for TroubledRemote {
    async fn read(&self, address: &Address) -> Result<Reading, RemoteError> {
        if self.down.load(Ordering::Relaxed) {
            return Err(RemoteError::Timeout);
        }
        self.take_time().await;
        let answer = self.inner.read(address).await;
        let held = self.holds.lock().take();
        if let Some(held) = held {
            held.is_on_its_way.notify_one();
            held.may_arrive.notified().await;
        }
        answer
    }

    async fn lease(
        &self,
        address: &Address,
        token: Token,
        span: Duration,
        seen: Seen,
    ) -> Result<Leased, RemoteError> {
        self.take_time().await;
        if let Some(image) = self.before_lease.lock().take() {
            self.inner.go_back_to(&image);
        }
        self.inner.lease(address, token, span, seen).await
    }

    async fn fill(&self, address: &Address, offer: Offer) -> Result<Filled, RemoteError> {
        self.take_time().await;
        self.inner.fill(address, offer).await
    }

    async fn touch(&self, address: &Address, touch: Touch) -> Result<bool, RemoteError> {
        self.take_time().await;
        self.inner.touch(address, touch).await
    }

    async fn release(&self, address: &Address, token: Token) -> Result<(), RemoteError> {
        self.inner.release(address, token).await
    }

    async fn quarantine(
        &self,
        address: &Address,
        token: Token,
        span: Duration,
    ) -> Result<bool, RemoteError> {
        if self.delays_quarantine.load(Ordering::Relaxed) {
            *self.late.lock() = Some((address.clone(), token, span));
            return Err(RemoteError::Timeout);
        }
        self.inner.quarantine(address, token, span).await
    }

    async fn write(&self, address: &Address, write: Write) -> Result<Written, RemoteError> {
        self.inner.write(address, write).await
    }

    async fn apply(&self, batch: Vec<Invalidate>) -> Vec<Result<Applied, RemoteError>> {
        self.inner.apply(batch).await
    }

    async fn agree(&self, terms: &[u8]) -> Result<Bytes, RemoteError> {
        self.inner.agree(terms).await
    }

    async fn beat(&self, batch: Vec<Beat>) -> Vec<Result<Beaten, RemoteError>> {
        self.inner.beat(batch).await
    }
}
