//! The program over servers of its own, killed and started again where it was.

use crate::process::{agent, http, try_http};
use crate::world::Client;
use cache_core::testkit::servers::nats::NatsServer;
use cache_core::testkit::servers::redis::RedisServer;
use cache_core::testkit::until::until;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Child;

/// How long anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Ports that no outgoing connection and no other server of the tests is given: nobody takes
/// one of them while the agent is down.
const PORTS: std::ops::Range<u16> = 28_000..29_000;

static NEXT_PORT: AtomicU16 = AtomicU16::new(0);

/// An agent's process with its Redis and its NATS.
pub(crate) struct Serving {
    pub(crate) admin: SocketAddr,
    pub(crate) resp: SocketAddr,
    pub(crate) folder: TempDir,
    file: PathBuf,
    child: Option<Child>,
    _servers: (RedisServer, NatsServer),
}

impl Serving {
    /// Everybody may call it.
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// With more settings at the end of its file.
    pub(crate) async fn start_with(more: &str) -> Self {
        let (redis, nats) = tokio::join!(RedisServer::start(), NatsServer::start());
        let (redis, nats) = (redis.expect("a Redis"), nats.expect("a NATS"));
        let folder = TempDir::new().expect("a folder");
        let (admin, resp) = (free(), free());
        let text = format!(
            "[domain]\ntrust_by = 'echo'\n[listen]\nunix = '{}'\nresp = '{resp}'\n\
             [admin]\naddress = '{admin}'\n[drain]\ndelay = '0ms'\n\
             [l2]\nkind = 'single'\nurls = ['{}']\n[bus]\nurl = '{}'\n\
             [[cache]]\nname = 'users'\n[[cache]]\nname = 'notes'\nunleased_set = 'stores'\n{more}",
            socket(folder.path()),
            redis.url(),
            nats.url(),
        );
        let file = folder.path().join("agent.toml");
        std::fs::write(&file, text).expect("a file");
        let mut serving = Self {
            admin,
            resp,
            folder,
            file,
            child: None,
            _servers: (redis, nats),
        };
        serving.begin();
        serving.ready().await;
        serving
    }

    /// Starts the program, which may not answer yet.
    pub(crate) fn begin(&mut self) {
        let file = self.file.to_str().expect("a plain path");
        let mut command = agent(&["serve", "--config", file]);
        let log = File::options().create(true).append(true).open(self.log());
        let child = command.stderr(log.expect("a file")).spawn();
        self.child = Some(child.expect("the program runs"));
    }

    /// What it writes on standard error.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.path().join("agent.log")
    }

    /// Of its process.
    pub(crate) fn id(&self) -> u32 {
        let child = self.child.as_ref();
        child.and_then(Child::id).expect("it runs")
    }

    /// Kills it; it is gone when this returns.
    pub(crate) async fn kill9(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().await.expect("it can be killed");
    }

    pub(crate) async fn ready(&self) {
        let ready = async || {
            let answer = try_http(self.admin, "/ready").await;
            answer.is_some_and(|(code, _)| code == 200)
        };
        let ready = until(PATIENCE, "the agent is ready", ready);
        if let Err(late) = ready.await {
            let log = std::fs::read_to_string(self.log());
            panic!("{late}; it said: {}", log.unwrap_or_default());
        }
    }

    /// Its Unix socket, as gRPC writes it.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", socket(self.folder.path()))
    }

    pub(crate) async fn client(&self) -> Client {
        Client::connect(&self.address()).await
    }

    /// The sum of a counter's series that begin so.
    pub(crate) async fn counted(&self, series: &str) -> u64 {
        let (_, metrics) = http(self.admin, "/metrics").await;
        let lines = metrics.lines().filter(|line| line.starts_with(series));
        let numbers = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        numbers.sum()
    }
}

fn socket(folder: &Path) -> String {
    folder.join("agent.sock").display().to_string()
}

/// An address that stays free while nobody of the tests listens there.
pub(crate) fn free() -> SocketAddr {
    let count = PORTS.end - PORTS.start;
    let begin = (std::process::id() % u32::from(count)) as u16;
    for _ in 0..count {
        let step = NEXT_PORT.fetch_add(1, Ordering::Relaxed);
        let number = PORTS.start + (begin.wrapping_add(step.wrapping_mul(7))) % count;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, number));
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
    panic!("no port is free in {PORTS:?}");
}
