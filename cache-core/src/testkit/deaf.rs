//! A bus whose ears may miss what announcements are about, and still hear their
//! numbers: a loss that no gap shows.

use crate::bus::{Bus, BusError, Heard, Subscription};
use crate::wire::invalidation::{Content, Message};
use async_trait::async_trait;
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A bus that lets every message through, and empties the announcements in it while
/// its ears are deaf.
#[derive(Debug)]
pub struct Deaf {
    /// The bus itself.
    pub inner: Arc<dyn Bus>,
    /// Whether its ears are deaf.
    pub deaf: Arc<AtomicBool>,
}

#[derive(Debug)]
struct DeafEar {
    inner: Box<dyn Subscription>,
    deaf: Arc<AtomicBool>,
}

#[async_trait]
impl Bus for Deaf {
    async fn publish(&self, message: Bytes) -> Result<(), BusError> {
        self.inner.publish(message).await
    }

    async fn subscribe(&self) -> Result<Box<dyn Subscription>, BusError> {
        Ok(Box::new(DeafEar {
            inner: self.inner.subscribe().await?,
            deaf: self.deaf.clone(),
        }))
    }
}

#[async_trait]
impl Subscription for DeafEar {
    async fn next(&mut self) -> Option<Heard> {
        let heard = self.inner.next().await?;
        let Heard::Message(bytes) = &heard else {
            return Some(heard);
        };
        let mut message = Message::decode(bytes).expect("a message");
        if let Content::Invalidate(all) = &mut message.content
            && self.deaf.load(Ordering::SeqCst)
        {
            all.clear();
        }
        Some(Heard::Message(message.encode().expect("it was small")))
    }

    async fn ping(&mut self, nonce: u64) -> Result<(), BusError> {
        self.inner.ping(nonce).await
    }
}
