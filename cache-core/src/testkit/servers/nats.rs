//! A NATS server with JetStream.

use std::env;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::port::Port;
use super::process::Process;
use super::{ServerError, binary, with_retry};
use crate::testkit::certificates::Guard;

/// Names the program to start, in place of the one that is installed: servers of other
/// versions behave differently.
const PROGRAM: &str = "NATS_SERVER";

/// A NATS server whose streams live in a temporary folder.
#[derive(Debug)]
pub struct NatsServer {
    process: Process,
    port: Port,
    folder: TempDir,
}

impl NatsServer {
    /// Starts a server and waits until it offers JetStream: the program that the
    /// environment variable `NATS_SERVER` names, else the one that is installed.
    ///
    /// # Errors
    /// When nats-server is missing or does not come up.
    pub async fn start() -> Result<Self, ServerError> {
        Self::start_with("").await
    }

    /// As [`start`](Self::start), with this in its configuration file.
    ///
    /// # Errors
    /// When nats-server is missing, refuses the file or does not come up.
    pub async fn start_with(configuration: &str) -> Result<Self, ServerError> {
        with_retry(|| async {
            let folder =
                TempDir::new().map_err(ServerError::io("making a folder for a NATS server"))?;
            let port = Port::reserve()?;
            let number = port.number().to_string();
            let file = folder.path().join("nats.conf");
            std::fs::write(&file, configuration)
                .map_err(ServerError::io("writing the file of a NATS server"))?;
            let process = Process::new(
                format!("nats-server on port {number}"),
                program()?,
                folder.path().join("log"),
            )
            .args(["-a", "127.0.0.1", "-p", &number, "-js", "-sd"])
            .args([folder.path().join("store")])
            .args(["-c".as_ref(), file.as_os_str()]);
            let server = Self {
                process,
                port,
                folder,
            };
            server.restart().await?;
            Ok(server)
        })
        .await
    }

    /// Where clients connect: `nats://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("nats://{}:{}", Ipv4Addr::LOCALHOST, self.port())
    }

    /// Writes its configuration file anew; [`restart`](Self::restart) reads it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn configure(&self, configuration: &str) -> Result<(), ServerError> {
        std::fs::write(self.folder.path().join("nats.conf"), configuration)
            .map_err(ServerError::io("writing the file of a NATS server"))
    }

    /// The port on loopback.
    pub fn port(&self) -> u16 {
        self.port.number()
    }

    /// Kills the server with SIGKILL; it is gone when this returns.
    pub fn kill9(&self) {
        self.process.kill9();
    }

    /// Stops the process with SIGSTOP: connections stay, nothing is delivered.
    ///
    /// # Errors
    /// When the server is down.
    pub async fn pause(&self) -> Result<(), ServerError> {
        self.process.pause().await
    }

    /// Undoes [`pause`](Self::pause).
    ///
    /// # Errors
    /// When the server is down.
    pub async fn resume(&self) -> Result<(), ServerError> {
        self.process.resume().await
    }

    /// Kills the server if it runs and starts it on the same port, with the
    /// streams it had.
    ///
    /// # Errors
    /// When it does not come up again.
    pub async fn restart(&self) -> Result<(), ServerError> {
        self.port.free();
        self.process.spawn()?;
        let port = self.port();
        self.process.ready(|| offers_jetstream(port)).await
    }
}

/// What makes a server speak TLS, for its configuration file.
pub fn tls(guard: &Guard) -> String {
    let Guard { ca, own, asks } = guard;
    format!(
        "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, verify: {asks}, timeout: 5 }}\n",
        own.cert, own.key, ca
    )
}

fn program() -> Result<PathBuf, ServerError> {
    let Some(named) = env::var_os(PROGRAM).filter(|named| !named.is_empty()) else {
        return binary("nats-server");
    };
    let file = PathBuf::from(named);
    match file.is_file() {
        true => Ok(file),
        // The installed one in its stead would pass for it.
        false => Err(ServerError::NoSuch {
            doing: "start (`NATS_SERVER` names no file)",
            subject: file.display().to_string(),
        }),
    }
}

/// The first line a server sends says what it offers.
async fn offers_jetstream(port: u16) -> bool {
    let first_line = async {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await.ok()?;
        Some(line)
    };
    let line = timeout(Duration::from_secs(2), first_line).await;
    line.ok()
        .flatten()
        .is_some_and(|line| line.starts_with("INFO") && line.contains(r#""jetstream":true"#))
}
