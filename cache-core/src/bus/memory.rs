//! A bus within this process: the embedded default.

use super::{Bus, BusError, Heard, Subscription};
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::VecDeque;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// How many messages a slow subscription may fall behind before it loses some.
const BACKLOG_MAX: usize = 4_096;

/// A bus within this process.
#[derive(Debug)]
pub struct MemoryBus {
    sender: broadcast::Sender<Bytes>,
}

impl MemoryBus {
    /// A bus nobody listens to yet.
    pub fn new() -> Self {
        Self {
            sender: broadcast::channel(BACKLOG_MAX).0,
        }
    }
}

impl Default for MemoryBus {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Bus for MemoryBus {
    async fn publish(&self, message: Bytes) -> Result<(), BusError> {
        // An error means that nobody listens, which is no loss.
        let _ = self.sender.send(message);
        Ok(())
    }

    async fn subscribe(&self) -> Result<Box<dyn Subscription>, BusError> {
        Ok(Box::new(MemorySubscription {
            receiver: self.sender.subscribe(),
            pings: VecDeque::new(),
        }))
    }
}

#[derive(Debug)]
struct MemorySubscription {
    receiver: broadcast::Receiver<Bytes>,
    pings: VecDeque<u64>,
}

#[async_trait]
impl Subscription for MemorySubscription {
    async fn next(&mut self) -> Option<Heard> {
        // Waiting messages first: an echo says that they have been heard.
        if self.receiver.is_empty()
            && let Some(nonce) = self.pings.pop_front()
        {
            return Some(Heard::Echo(nonce));
        }
        match self.receiver.recv().await {
            Ok(message) => Some(Heard::Message(message)),
            Err(RecvError::Lagged(_)) => Some(Heard::Lost("the subscription was too slow")),
            Err(RecvError::Closed) => None,
        }
    }

    async fn ping(&mut self, nonce: u64) -> Result<(), BusError> {
        self.pings.push_back(nonce);
        Ok(())
    }
}
