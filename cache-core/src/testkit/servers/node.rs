//! One `redis-server` process, whatever its part: alone, in a cluster, as a
//! sentinel.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use redis::{AsyncConnectionConfig, Client, FromRedisValue};

use super::port::Port;
use super::process::Process;
use super::{ServerError, binary};
use crate::testkit::certificates::Guard;

/// How long one question to a node may take.
const ASK: Duration = Duration::from_secs(2);

/// A node with its own folder; the folder is the owner's to remove.
#[derive(Debug)]
pub(super) struct Node {
    // First, so that the process is gone before its port is given back.
    pub(super) process: Process,
    pub(super) port: Port,
    /// Where it speaks TLS, beside the other.
    pub(super) tls: Option<Port>,
}

impl Node {
    /// Prepares a node in `root`/<port>; nothing runs yet.
    pub(super) fn new(root: &Path, part: &str, port: Port) -> Result<Self, ServerError> {
        let number = port.number().to_string();
        let folder = root.join(&number);
        fs::create_dir_all(&folder)
            .map_err(ServerError::io(format!("creating {}", folder.display())))?;
        let process = Process::new(
            format!("{part} on port {number}"),
            binary("redis-server")?,
            folder.join("log"),
        );
        Ok(Self {
            process,
            port,
            tls: None,
        })
    }

    /// Settings that every data node of these tests shares.
    pub(super) fn holds_data(mut self, root: &Path) -> Self {
        let number = self.port.number().to_string();
        let folder = root.join(&number);
        self.process = self.process.args(["--port", &number]);
        self.process = self.process.args(["--dir".as_ref(), folder.as_os_str()]);
        self.process = self.process.args([
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--appendonly",
            "no",
            "--maxmemory-policy",
            "volatile-lfu",
            // Without it a fresh replica syncs after 5 s, and one that is not
            // in sync is refused promotion.
            "--repl-diskless-sync-delay",
            "0",
        ]);
        self
    }

    pub(super) fn with(mut self, settings: &[(&str, &str)]) -> Self {
        for (name, value) in settings {
            self.process = self.process.args([&format!("--{name}"), *value]);
        }
        self
    }

    /// Also speaks TLS, at a port of its own; the plain one stays for the tests themselves.
    pub(super) fn guarded(mut self, guard: Option<&Guard>) -> Result<Self, ServerError> {
        let Some(guard) = guard else { return Ok(self) };
        let port = Port::reserve()?;
        let settings = tls_settings(guard, port.number());
        let settings: Vec<_> = settings
            .iter()
            .map(|(name, value)| (*name, &**value))
            .collect();
        self.tls = Some(port);
        Ok(self.with(&settings))
    }

    /// Where it speaks TLS, or else the plain port.
    pub(super) fn tls_number(&self) -> u16 {
        self.tls.as_ref().unwrap_or(&self.port).number()
    }

    pub(super) fn number(&self) -> u16 {
        self.port.number()
    }

    /// Starts the node, on the same port each time.
    pub(super) fn spawn(&self) -> Result<(), ServerError> {
        self.port.free();
        if let Some(tls) = &self.tls {
            tls.free();
        }
        self.process.spawn()
    }

    /// Waits until the node answers.
    pub(super) async fn ready(&self) -> Result<(), ServerError> {
        let port = self.number();
        self.process
            .ready(|| async { ask::<String>(port, &["PING"]).await.is_ok() })
            .await
    }
}

/// What makes a node speak TLS, with clients, replicas and the other nodes of a cluster.
pub(super) fn tls_settings(guard: &Guard, port: u16) -> Vec<(&'static str, String)> {
    let file = |path: &Path| path.display().to_string();
    let asks = match guard.asks {
        true => "yes",
        false => "no",
    };
    vec![
        ("tls-port", port.to_string()),
        ("tls-ca-cert-file", file(&guard.ca)),
        ("tls-cert-file", file(&guard.own.cert)),
        ("tls-key-file", file(&guard.own.key)),
        ("tls-auth-clients", asks.to_owned()),
        ("tls-replication", "yes".to_owned()),
    ]
}

/// Sends one command on a connection of its own.
pub(super) async fn ask<T: FromRedisValue>(port: u16, words: &[&str]) -> Result<T, ServerError> {
    let refused = |source| ServerError::Refused {
        port,
        asked: words.join(" "),
        source,
    };
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(ASK))
        .set_response_timeout(Some(ASK));
    let client = Client::open(url(port)).map_err(refused)?;
    let mut connection = client
        .get_multiplexed_async_connection_with_config(&config)
        .await
        .map_err(refused)?;
    let mut command = redis::Cmd::new();
    for word in words {
        command.arg(word);
    }
    command.query_async(&mut connection).await.map_err(refused)
}

/// Whether a node's replication section holds `line`.
pub(super) async fn replication_says(port: u16, line: &str) -> bool {
    let info = ask::<String>(port, &["INFO", "replication"]).await;
    info.is_ok_and(|info| info.lines().any(|found| found == line))
}

pub(super) fn url(port: u16) -> String {
    format!("redis://{}:{port}", Ipv4Addr::LOCALHOST)
}
