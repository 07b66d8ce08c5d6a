//! The seam of the bus: how one process's announcements reach all others.

pub mod examine;
pub mod memory;
pub mod nats;
pub mod server;

use async_trait::async_trait;
use bytes::Bytes;
use std::fmt;

/// The largest message, in bytes. A bigger batch is published in parts.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// What a subscription hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A message, in its publisher's order.
    Message(Bytes),
    /// This subscription's own ping came back. Everything the bus had delivered to
    /// it before has been heard by now.
    Echo(u64),
    /// Messages may have been lost: a reconnect, a full buffer. The reason is for
    /// people.
    Lost(&'static str),
}

/// Why the bus did not take a message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bus: {0}")]
pub struct BusError(pub String);

/// The bus of one domain.
///
/// Delivery is at most once and in each publisher's order. Whatever may have
/// lost a message says so by [`Heard::Lost`]; what it cannot know, sequences and
/// heartbeats in the messages reveal.
#[async_trait]
pub trait Bus: Send + Sync + fmt::Debug + 'static {
    /// Hands a message over for delivery to every subscription.
    async fn publish(&self, message: Bytes) -> Result<(), BusError>;

    /// Waits until what was published has left this process. Whoever ends next must: a
    /// message may wait for company on its way out.
    async fn flush(&self) -> Result<(), BusError> {
        Ok(())
    }

    /// Whether a message would be taken at this moment, as far as is known here.
    fn is_up(&self) -> bool {
        true
    }

    /// Subscribes. Only when a [`Subscription::ping`] has come back is it sure that
    /// every later message is heard: a server may take its time to listen.
    async fn subscribe(&self) -> Result<Box<dyn Subscription>, BusError>;
}

/// One process's ear.
#[async_trait]
pub trait Subscription: Send + fmt::Debug {
    /// The next thing heard; `None` when the bus is closed for good. Dropping the
    /// future loses nothing.
    async fn next(&mut self) -> Option<Heard>;

    /// Sends `nonce` on a round trip over the subscription's own connection; it is
    /// heard as [`Heard::Echo`].
    async fn ping(&mut self, nonce: u64) -> Result<(), BusError>;
}
