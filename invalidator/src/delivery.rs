//! The seam to the stream of events: what is delivered, how it is answered for, and
//! what was delivered before.

use crate::format::received::Received;
use async_trait::async_trait;
use bytes::Bytes;
use cache_core::Error;
use std::fmt;
use std::time::Duration;

/// One event, as the stream delivered it.
#[derive(Debug)]
pub struct Delivery {
    /// The subject it was published on.
    pub subject: String,
    /// Its bytes.
    pub payload: Bytes,
    /// Its headers.
    pub headers: Vec<(String, String)>,
    /// Its place in the stream, from 1.
    pub sequence: u64,
    /// How often it has been delivered, this time included.
    pub attempt: u64,
    /// When the stream took it, in milliseconds since the epoch.
    pub stored_ms: u64,
    /// Answers for it. Dropped without an answer, the stream delivers it again once
    /// its patience is over.
    pub receipt: Box<dyn Receipt>,
}

/// Answers for one delivery.
///
/// An answer may be lost on its way. The event is then delivered again, and doing
/// everything again changes nothing.
#[async_trait]
pub trait Receipt: Send + Sync + fmt::Debug {
    /// It is done; the stream forgets it.
    async fn ack(&self) -> Result<(), AnswerLost>;

    /// It takes longer; the stream's patience begins anew.
    async fn progress(&self) -> Result<(), AnswerLost>;

    /// It is not done; the stream delivers it again, to any instance, after `pause`.
    async fn give_back(&self, pause: Duration) -> Result<(), AnswerLost>;
}

/// An answer that could not be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the stream could not be answered: {0}")]
pub struct AnswerLost(pub String);

/// Where deliveries come from.
#[async_trait]
pub trait Deliveries: Send + fmt::Debug {
    /// Waits for an event, then takes what else is there, up to `most`. Waiting for
    /// company would only add to the lag: while batches are announced, the next one
    /// gathers by itself. Dropping the future loses nothing.
    ///
    /// # Errors
    /// Only what no patience mends, for example that the stream was deleted.
    async fn next(&mut self, most: usize) -> Result<Vec<Delivery>, Error>;

    /// Gives back what was delivered, but not taken.
    async fn close(&mut self);
}

/// What is done with each event that is recounted: its place, and its bytes.
pub type Each<'a> = dyn FnMut(u64, &Received<'_>) + Send + 'a;

/// What a stream still has of events that were delivered before.
#[async_trait]
pub trait Past: Send + Sync + fmt::Debug {
    /// Hands over the events `after` one place and up to another, in their order,
    /// each with its place. Returns false if the stream no longer has all of them;
    /// what was handed over until then is true.
    ///
    /// # Errors
    /// The stream's, when it does not answer.
    async fn recount(&self, after: u64, upto: u64, each: &mut Each<'_>) -> Result<bool, Error>;
}
