//! An L2 that tells how long each of its steps took.

use super::{
    Applied, Beat, Beaten, Filled, Invalidate, Leased, Offer, Reading, Record, Remote, RemoteError,
    Seen, Token, Touch, Write, Written,
};
use crate::clock::{Clock, Tick};
use crate::event::{Event, Observer};
use crate::model::key::{Address, Bucket};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// Any L2, observed.
#[derive(Debug)]
pub struct Observed {
    remote: Arc<dyn Remote>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
}

impl Observed {
    /// Observes `remote`.
    pub fn new(
        remote: Arc<dyn Remote>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        Self {
            remote,
            clock,
            observer,
        }
    }

    async fn one<T>(
        &self,
        step: &'static str,
        answer: impl Future<Output = Result<T, RemoteError>>,
    ) -> Result<T, RemoteError> {
        self.with(step, 0, |_| 0, answer).await
    }

    /// The same where values go with it: `sent` bytes of them, and so many `got`.
    async fn with<T>(
        &self,
        step: &'static str,
        sent: usize,
        got: impl Fn(&T) -> usize,
        answer: impl Future<Output = Result<T, RemoteError>>,
    ) -> Result<T, RemoteError> {
        let began = self.clock.now();
        let answer = answer.await;
        let bytes = sent + answer.as_ref().map_or(0, got);
        self.tell(step, answer.is_ok(), began, bytes);
        answer
    }

    fn tell(&self, step: &'static str, ok: bool, began: Tick, bytes: usize) {
        let took = self.clock.now().since(began);
        self.observer.observe(&Event::Remote {
            step,
            ok,
            took,
            bytes,
        });
    }
}

#[async_trait]
impl Remote for Observed {
    async fn read(&self, address: &Address) -> Result<Reading, RemoteError> {
        let got = |reading: &Reading| match &reading.record {
            Some(Record::Value { body, .. }) => body.len(),
            Some(Record::Mark { .. }) | None => 0,
        };
        self.with("read", 0, got, self.remote.read(address)).await
    }

    async fn lease(
        &self,
        address: &Address,
        token: Token,
        span: Duration,
        seen: Seen,
    ) -> Result<Leased, RemoteError> {
        let lease = self.remote.lease(address, token, span, seen);
        self.one("lease", lease).await
    }

    async fn fill(&self, address: &Address, offer: Offer) -> Result<Filled, RemoteError> {
        let sent = offer.body.len();
        let filled = self.remote.fill(address, offer);
        self.with("fill", sent, |_| 0, filled).await
    }

    async fn touch(&self, address: &Address, touch: Touch) -> Result<bool, RemoteError> {
        self.one("touch", self.remote.touch(address, touch)).await
    }

    async fn release(&self, address: &Address, token: Token) -> Result<(), RemoteError> {
        self.one("release", self.remote.release(address, token))
            .await
    }

    async fn quarantine(
        &self,
        address: &Address,
        token: Token,
        span: Duration,
    ) -> Result<bool, RemoteError> {
        let quarantine = self.remote.quarantine(address, token, span);
        self.one("quarantine", quarantine).await
    }

    async fn write(&self, address: &Address, write: Write) -> Result<Written, RemoteError> {
        let sent = write.body.len();
        let written = self.remote.write(address, write);
        self.with("write", sent, |_| 0, written).await
    }

    async fn apply(&self, batch: Vec<Invalidate>) -> Vec<Result<Applied, RemoteError>> {
        let began = self.clock.now();
        let answers = self.remote.apply(batch).await;
        self.tell("apply", answers.iter().all(Result::is_ok), began, 0);
        answers
    }

    async fn agree(&self, terms: &[u8]) -> Result<Bytes, RemoteError> {
        self.one("agree", self.remote.agree(terms)).await
    }

    fn moved(&self) -> Vec<Bucket> {
        self.remote.moved()
    }

    async fn beat(&self, batch: Vec<Beat>) -> Vec<Result<Beaten, RemoteError>> {
        let began = self.clock.now();
        let answers = self.remote.beat(batch).await;
        self.tell("beat", answers.iter().all(Result::is_ok), began, 0);
        answers
    }
}
