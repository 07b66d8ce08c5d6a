//! A stream in memory that can be looked into, and told to deliver again.

use crate::world::Log;
use async_trait::async_trait;
use bytes::Bytes;
use cache_core::Error;
use invalidator::delivery::{AnswerLost, Deliveries, Delivery, Receipt};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// A stream in memory, shared by all who consume it.
#[derive(Clone, Debug)]
pub(crate) struct Stream(Arc<StreamState>);

#[derive(Debug, Default)]
struct StreamState {
    events: Mutex<BTreeMap<u64, Bytes>>,
    due: Mutex<VecDeque<u64>>,
    attempts: Mutex<BTreeMap<u64, u64>>,
    unanswered: Mutex<BTreeSet<u64>>,
    arrived: Notify,
    log: Log,
}

impl Stream {
    /// An empty stream that writes down how it is answered.
    pub(crate) fn new(log: Log) -> Self {
        Self(Arc::new(StreamState {
            log,
            ..StreamState::default()
        }))
    }

    /// Publishes an event and returns its place.
    pub(crate) fn publish(&self, event: impl Into<String>) -> u64 {
        let sequence = self.0.events.lock().len() as u64 + 1;
        self.0
            .events
            .lock()
            .insert(sequence, Bytes::from(event.into()));
        self.deliver(sequence);
        sequence
    }

    /// Stores an event without delivering it.
    pub(crate) fn store(&self, event: impl Into<String>) -> u64 {
        let sequence = self.publish(event);
        self.0.due.lock().retain(|due| *due != sequence);
        sequence
    }

    /// Delivers an event, for the first time or again.
    pub(crate) fn deliver(&self, sequence: u64) {
        self.0.unanswered.lock().insert(sequence);
        self.0.due.lock().push_back(sequence);
        self.0.arrived.notify_one();
    }

    /// The events without an ack.
    pub(crate) fn unanswered(&self) -> Vec<u64> {
        self.0.unanswered.lock().iter().copied().collect()
    }

    /// The events that wait for somebody to take them.
    pub(crate) fn due(&self) -> Vec<u64> {
        self.0.due.lock().iter().copied().collect()
    }

    /// How often an event was delivered.
    pub(crate) fn attempts(&self, sequence: u64) -> u64 {
        self.0.attempts.lock().get(&sequence).copied().unwrap_or(0)
    }
}

#[async_trait]
impl Deliveries for Stream {
    async fn next(&mut self, most: usize) -> Result<Vec<Delivery>, Error> {
        loop {
            let due: Vec<_> = {
                let mut due = self.0.due.lock();
                let count = most.min(due.len());
                due.drain(..count).collect()
            };
            if !due.is_empty() {
                return Ok(due
                    .into_iter()
                    .map(|sequence| self.take(sequence))
                    .collect());
            }
            self.0.arrived.notified().await;
        }
    }

    async fn close(&mut self) {}
}

impl Stream {
    fn take(&self, sequence: u64) -> Delivery {
        let mut attempts = self.0.attempts.lock();
        let attempt = attempts.entry(sequence).or_default();
        *attempt += 1;
        Delivery {
            subject: "cdc.public.users".to_owned(),
            payload: self.0.events.lock()[&sequence].clone(),
            headers: vec![("trace".to_owned(), "t1".to_owned())],
            sequence,
            attempt: *attempt,
            stored_ms: 0,
            receipt: Box::new(StreamReceipt {
                stream: self.clone(),
                sequence,
            }),
        }
    }
}

#[derive(Debug)]
struct StreamReceipt {
    stream: Stream,
    sequence: u64,
}

#[async_trait]
impl Receipt for StreamReceipt {
    async fn ack(&self) -> Result<(), AnswerLost> {
        self.stream
            .0
            .log
            .lock()
            .push(format!("ack {}", self.sequence));
        self.stream.0.unanswered.lock().remove(&self.sequence);
        Ok(())
    }

    async fn progress(&self) -> Result<(), AnswerLost> {
        self.stream
            .0
            .log
            .lock()
            .push(format!("progress {}", self.sequence));
        Ok(())
    }

    async fn give_back(&self, _: Duration) -> Result<(), AnswerLost> {
        self.stream
            .0
            .log
            .lock()
            .push(format!("back {}", self.sequence));
        self.stream.deliver(self.sequence);
        Ok(())
    }
}
