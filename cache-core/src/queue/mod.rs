//! The seam of the queue in which writes wait on their way to the source.
//!
//! Any process may push; one at a time leads, and takes the writes out in their order.
//! A write is forgotten only when the source has it, so a leader that dies leaves
//! everything to the next one, which may give the source some of it once more.

mod lead;
pub mod memory;
pub mod nats;

use async_trait::async_trait;
use bytes::Bytes;
use std::fmt;
use std::time::Duration;

/// The largest write, in bytes: what NATS takes unless it was told otherwise, and the
/// headers.
pub const QUEUED_BYTES_MAX: usize = 1_000_000;

/// One write in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Queued {
    /// Grows with each write to the queue, also from one that was lost to the one made in
    /// its place.
    pub version: u64,
    /// When it was pushed, in milliseconds since the Unix epoch, by the queue's clock.
    pub pushed_ms: u64,
    /// The write.
    pub body: Bytes,
}

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// How many writes.
    pub waiting: u64,
    /// The version up to which the source has all.
    pub done: u64,
    /// When the oldest of them was pushed, as [`Queued::pushed_ms`].
    pub oldest_ms: Option<u64>,
}

/// Why the queue did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueueError {
    /// Nothing was queued: as much as allowed waits already.
    #[error("the queue is full")]
    Full,
    /// Nothing was queued: the queue cannot be reached, or has been closed.
    #[error("the queue cannot be reached: {0}")]
    Unavailable(String),
    /// It was sent, and the answer is lost.
    #[error("the queue did not answer: {0}")]
    Uncertain(String),
    /// Another process leads.
    #[error("another process leads")]
    Deposed,
}

/// The queue of one cache.
#[async_trait]
pub trait Queue: Send + Sync + fmt::Debug + 'static {
    /// Takes a write; returns its version. From then on it is not lost, as far as the
    /// queue [outlives](Queue::is_durable) this process.
    async fn push(&self, body: Bytes) -> Result<u64, QueueError>;

    /// Waits until this process leads, for so long at first; it must
    /// [hold](Lead::hold) the lead again and again.
    async fn lead(&self, span: Duration) -> Result<Box<dyn Lead>, QueueError>;

    /// How much waits.
    async fn backlog(&self) -> Result<Backlog, QueueError>;

    /// Keeps a write that the source will never take where people find it.
    async fn put_aside(&self, write: &Queued, why: &str) -> Result<(), QueueError>;

    /// Whether what it holds outlives this process.
    fn is_durable(&self) -> bool;
}

/// The right to take writes out. Dropped, the next leader has to wait for its span.
#[async_trait]
pub trait Lead: Send + fmt::Debug {
    /// The next writes, in their order and without a hole; waits for the first, and not
    /// longer than `patience`.
    async fn next(&mut self, most: usize, patience: Duration) -> Result<Vec<Queued>, QueueError>;

    /// A write that was taken out and is not forgotten; nothing if somebody removed it.
    async fn read_again(&mut self, version: u64) -> Result<Option<Queued>, QueueError>;

    /// The source has all writes up to this version.
    async fn forget(&mut self, version: u64) -> Result<(), QueueError>;

    /// Goes on leading, if that is due to be said.
    async fn hold(&mut self) -> Result<(), QueueError>;

    /// How long it surely leads from now on.
    fn leads_for(&self) -> Duration;

    /// Lets another process lead at once.
    async fn resign(self: Box<Self>);
}
