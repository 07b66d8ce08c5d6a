//! One Redis server.

use redis::FromRedisValue;
use tempfile::TempDir;

use super::node::{Node, ask, url};
use super::port::Port;
use super::{ServerError, with_retry};
use crate::testkit::certificates::Guard;

/// A single Redis that keeps nothing on disk by itself and evicts by `volatile-lfu`.
#[derive(Debug)]
pub struct RedisServer {
    node: Node,
    _folder: TempDir,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// When redis-server is missing or does not come up.
    pub async fn start() -> Result<Self, ServerError> {
        Self::start_with(&[]).await
    }

    /// As [`start`](Self::start), with more settings: `("maxmemory", "2mb")`.
    ///
    /// # Errors
    /// When redis-server is missing, refuses a setting or does not come up.
    pub async fn start_with(settings: &[(&str, &str)]) -> Result<Self, ServerError> {
        Self::launch(settings, None).await
    }

    /// As [`start`](Self::start), at [`tls_url`](Self::tls_url) with TLS.
    ///
    /// # Errors
    /// When redis-server is missing or does not come up.
    pub async fn start_tls(guard: &Guard) -> Result<Self, ServerError> {
        Self::launch(&[], Some(guard)).await
    }

    async fn launch(settings: &[(&str, &str)], guard: Option<&Guard>) -> Result<Self, ServerError> {
        with_retry(|| async {
            let folder =
                TempDir::new().map_err(ServerError::io("making a folder for a Redis server"))?;
            let node = Node::new(folder.path(), "redis-server", Port::reserve()?)?
                .holds_data(folder.path())
                .with(settings)
                .guarded(guard)?;
            node.spawn()?;
            node.ready().await?;
            Ok(Self {
                node,
                _folder: folder,
            })
        })
        .await
    }

    /// Where clients connect: `redis://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        url(self.port())
    }

    /// Where clients connect with TLS: `rediss://127.0.0.1:<port>`.
    pub fn tls_url(&self) -> String {
        format!("rediss://127.0.0.1:{}", self.node.tls_number())
    }

    /// Sends one command, on a connection of its own.
    ///
    /// # Errors
    /// When it is down, or refuses.
    pub async fn command<T: FromRedisValue>(&self, words: &[&str]) -> Result<T, ServerError> {
        ask(self.port(), words).await
    }

    /// The port on loopback.
    pub fn port(&self) -> u16 {
        self.node.number()
    }

    /// Kills the server with SIGKILL; it is gone when this returns.
    pub fn kill9(&self) {
        self.node.process.kill9();
    }

    /// Stops the process with SIGSTOP: connections stay, answers do not come.
    ///
    /// # Errors
    /// When the server is down.
    pub async fn pause(&self) -> Result<(), ServerError> {
        self.node.process.pause().await
    }

    /// Undoes [`pause`](Self::pause).
    ///
    /// # Errors
    /// When the server is down.
    pub async fn resume(&self) -> Result<(), ServerError> {
        self.node.process.resume().await
    }

    /// Writes everything to disk. What comes after it is lost in a crash.
    ///
    /// # Errors
    /// When the server is down, or cannot write.
    pub async fn save(&self) -> Result<(), ServerError> {
        ask::<String>(self.port(), &["SAVE"]).await.map(drop)
    }

    /// Kills the server if it runs and starts it on the same port: with what was
    /// saved last, else empty.
    ///
    /// # Errors
    /// When it does not come up again.
    pub async fn restart(&self) -> Result<(), ServerError> {
        self.node.spawn()?;
        self.node.ready().await
    }
}
