//! One Redis node: a multiplexed connection that is made when needed, and a state
//! that lets callers fail fast while the node is down.

use super::place::Place;
use parking_lot::Mutex;
use redis::aio::MultiplexedConnection;
use redis::{ErrorKind, Pipeline, RedisError, RedisResult, Value};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;
use tokio::sync::Mutex as AsyncMutex;

/// Timeouts in a row after which a node counts as hung. One may be a hiccup of the
/// network; three at once are what a stopped process looks like.
const TIMEOUTS_MAX: u32 = 3;

/// One node of the deployment.
pub(super) struct Node {
    address: String,
    place: Place,
    timeout: Duration,
    connection: Mutex<Option<MultiplexedConnection>>,
    /// Held while connecting, so that a burst of callers makes one connection.
    connecting: AsyncMutex<()>,
    timeouts: AtomicU32,
    down: AtomicBool,
}

impl Node {
    /// A node that nobody has talked to yet.
    pub(super) fn new(address: String, place: Place, timeout: Duration) -> Self {
        Self {
            address,
            place,
            timeout,
            connection: Mutex::new(None),
            connecting: AsyncMutex::new(()),
            timeouts: AtomicU32::new(0),
            down: AtomicBool::new(false),
        }
    }

    /// `host:port`.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// Whether callers should not even try.
    pub(super) fn is_down(&self) -> bool {
        self.down.load(Ordering::Acquire)
    }

    /// Sends a pipeline and returns an answer for each of its commands.
    ///
    /// # Errors
    /// The connection's; the node then reconnects at the next call.
    pub(super) async fn send(&self, pipe: &Pipeline) -> RedisResult<Vec<RedisResult<Value>>> {
        let result = self.send_once(pipe).await;
        match &result {
            Ok(_) => self.timeouts.store(0, Ordering::Release),
            Err(error) => self.record_failure(error),
        }
        result
    }

    async fn send_once(&self, pipe: &Pipeline) -> RedisResult<Vec<RedisResult<Value>>> {
        let mut connection = self.connection().await?;
        pipe.query_async(&mut connection).await
    }

    async fn connection(&self) -> RedisResult<MultiplexedConnection> {
        if let Some(connection) = &*self.connection.lock() {
            return Ok(connection.clone());
        }
        let _one_at_a_time = self.connecting.lock().await;
        if let Some(connection) = &*self.connection.lock() {
            return Ok(connection.clone());
        }
        let connection = self.place.connect(self.timeout).await?;
        *self.connection.lock() = Some(connection.clone());
        Ok(connection)
    }

    fn record_failure(&self, error: &RedisError) {
        if error.is_timeout() {
            let in_a_row = self.timeouts.fetch_add(1, Ordering::AcqRel) + 1;
            if in_a_row >= TIMEOUTS_MAX {
                self.set_down();
            }
        } else if error.is_io_error() || error.is_connection_dropped() || lets_nobody_in(error) {
            self.set_down();
        }
    }

    fn set_down(&self) {
        // A hung node never closes its connection; it must not be used again.
        *self.connection.lock() = None;
        self.down.store(true, Ordering::Release);
    }

    /// Whether it answers, on the connection that it has or a fresh one.
    ///
    /// # Errors
    /// Why not.
    pub(super) async fn ping(&self) -> RedisResult<()> {
        let mut pipe = redis::pipe();
        pipe.cmd("PING").ignore_errors();
        let answer = self.send_once(&pipe).await?.pop();
        answer.unwrap_or(Ok(Value::Nil)).map(drop)
    }

    /// Tries a node that is down with a fresh connection; up again if it answers,
    /// which is returned.
    pub(super) async fn revive(&self) -> bool {
        if self.ping().await.is_ok() {
            self.timeouts.store(0, Ordering::Release);
            self.down.store(false, Ordering::Release);
            true
        } else {
            *self.connection.lock() = None;
            false
        }
    }
}

/// Whether the next attempt would fare the same, as with a wrong password: each caller
/// would pay for one.
fn lets_nobody_in(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::AuthenticationFailed | ErrorKind::InvalidClientConfig
    )
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("address", &self.address)
            .field("down", &self.is_down())
            .finish_non_exhaustive()
    }
}
