//! An invalidator as operators run it: a process of its own, two files, and an admin
//! listener that says when it is ready.

use crate::reader::Places;
use cache_core::testkit::until::until;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

const PATIENCE: Duration = Duration::from_secs(30);

/// An invalidator's process.
pub(crate) struct Service {
    child: Child,
}

impl Service {
    /// Writes its files into `folder` and starts it, with `more` of a configuration than
    /// the places; ready on return.
    pub(crate) async fn start(
        folder: &Path,
        number: usize,
        places: &Places,
        rules: &str,
        more: &str,
    ) -> Self {
        let admin = free_address().await;
        let urls: Vec<_> = places.redis.iter().map(|url| format!("{url:?}")).collect();
        let config = format!(
            "[l2]\nkind = \"cluster\"\nurls = [{}]\n[bus]\nurl = \"{}\"\n[admin]\naddress = \"{admin}\"\n{more}",
            urls.join(", "),
            places.nats,
        );
        let config = write(folder.join(format!("invalidator-{number}.toml")), &config).await;
        let rules = write(folder.join(format!("rules-{number}.toml")), rules).await;
        let mut command = Command::new(env!("CARGO_BIN_EXE_invalidator"));
        command
            .arg("serve")
            .args(["--config".as_ref(), config.as_os_str()])
            .args(["--rules".as_ref(), rules.as_os_str()]);
        Self::spawn(command, admin).await
    }

    /// Starts a capture with this file; ready on return, be it to stand by.
    pub(crate) async fn capture(folder: &Path, number: usize, text: &str) -> Self {
        let admin = free_address().await;
        let config = format!("{text}[admin]\naddress = \"{admin}\"\n");
        let config = write(folder.join(format!("capture-{number}.toml")), &config).await;
        let mut command = Command::new(env!("CARGO_BIN_EXE_invalidator"));
        command
            .args(["capture", "postgres"])
            .args(["--config".as_ref(), config.as_os_str()]);
        Self::spawn(command, admin).await
    }

    async fn spawn(mut command: Command, admin: SocketAddr) -> Self {
        let child = command
            .env("RUST_LOG", "error")
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        let is_ready = until(PATIENCE, "it is ready", || ready(admin)).await;
        is_ready.expect("it is");
        Self { child }
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    /// Halts it: NATS goes on giving it events.
    pub(crate) async fn halt(&self) {
        signal(&self.child, "STOP").await;
    }

    /// Lets it go on.
    pub(crate) async fn go_on(&self) {
        signal(&self.child, "CONT").await;
    }

    /// Ends it without a word.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("it was running");
    }
}

/// Sends a signal to a process that runs.
pub(crate) async fn signal(child: &Child, signal: &str) {
    let id = child.id().expect("it runs").to_string();
    let mut kill = Command::new("sh");
    kill.args(["-c", r#"kill -"$1" "$2""#, "sh", signal, &id]);
    let sent = kill.status().await;
    assert!(sent.is_ok_and(|status| status.success()), "it runs");
}

async fn write(path: PathBuf, text: &str) -> PathBuf {
    let written = tokio::fs::write(&path, text).await;
    written.expect("the folder is there");
    path
}

/// An address on loopback that nobody used a moment ago.
async fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    listener.local_addr().expect("it is bound")
}

/// Whether `/ready` answers 200.
async fn ready(admin: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(admin).await else {
        return false;
    };
    let request = format!("GET /ready HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).await.is_ok()
        && stream.read_to_string(&mut answer).await.is_ok()
        && answer.starts_with("HTTP/1.1 200")
}
