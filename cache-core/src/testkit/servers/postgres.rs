//! A PostgreSQL server whose changes can be read by logical decoding, and a hot
//! standby that follows it.

use std::path::Path;

use tempfile::TempDir;
use tokio::process::Command;

use super::account::{Account, give, guarded, run, unprivileged};
use super::port::Port;
use super::process::Process;
use super::{ServerError, binary, with_retry};
use crate::testkit::certificates::Guard;

/// The name by which a primary knows its standby.
pub const STANDBY: &str = "standby";

/// A database cluster, reachable on loopback without a password.
#[derive(Debug)]
pub struct PostgresServer {
    _process: Process,
    port: Port,
    _folder: TempDir,
}

impl PostgresServer {
    /// Creates a database cluster, starts it and waits until it takes
    /// connections.
    ///
    /// Under root it runs as the user `postgres`, since PostgreSQL refuses root.
    ///
    /// # Errors
    /// When PostgreSQL is missing or does not come up.
    pub async fn start() -> Result<Self, ServerError> {
        Self::launch(None).await
    }

    /// As [`start`](Self::start), with TLS: the role `secured`, which a test makes, is let
    /// in with TLS only, and if the guard asks for it with a certificate only.
    ///
    /// # Errors
    /// When PostgreSQL is missing or does not come up.
    pub async fn start_tls(guard: &Guard) -> Result<Self, ServerError> {
        Self::launch(Some(guard)).await
    }

    async fn launch(guard: Option<&Guard>) -> Result<Self, ServerError> {
        with_retry(|| async {
            let folder =
                TempDir::new().map_err(ServerError::io("making a folder for PostgreSQL"))?;
            let user = unprivileged("postgres").await?;
            give(folder.path(), user)?;
            let data = folder.path().join("data");
            init(&data, user).await?;
            let guard = guard.map(|guard| guarded(guard, folder.path(), user));
            let guard = guard.transpose()?;
            if let Some(guard) = &guard {
                let_in(&data, guard.asks)?;
            }
            Self::run(folder, &data, user, guard.as_ref()).await
        })
        .await
    }

    /// Copies this server and starts the copy as its hot standby, which replays
    /// every change and can be read. In `synchronous_standby_names` it is called
    /// [`STANDBY`].
    ///
    /// # Errors
    /// When the copy cannot be made or does not come up.
    pub async fn start_standby(&self) -> Result<Self, ServerError> {
        with_retry(|| async {
            let folder =
                TempDir::new().map_err(ServerError::io("making a folder for a standby"))?;
            let user = unprivileged("postgres").await?;
            give(folder.path(), user)?;
            let data = folder.path().join("data");
            let from = format!("{} application_name={STANDBY}", self.connect_string());
            let mut copy = Command::new(binary("pg_basebackup")?);
            copy.args(["--wal-method=stream", "--checkpoint=fast", "--no-sync"])
                .args(["--write-recovery-conf", "--dbname", &from, "--pgdata"])
                .arg(&data);
            run(copy, user).await?;
            Self::run(folder, &data, user, None).await
        })
        .await
    }

    async fn run(
        folder: TempDir,
        data: &Path,
        user: Account,
        guard: Option<&Guard>,
    ) -> Result<Self, ServerError> {
        let port = Port::reserve()?;
        let mut process = process(folder.path(), data, user, port.number())?;
        for setting in guard.map(settings).unwrap_or_default() {
            process = process.args(["-c".to_owned(), setting]);
        }
        port.free();
        process.spawn()?;
        process.ready(|| async { is_ready(data) }).await?;
        Ok(Self {
            _process: process,
            port,
            _folder: folder,
        })
    }

    /// What a client needs to connect, as key-value pairs.
    pub fn connect_string(&self) -> String {
        let port = self.port();
        format!("host=127.0.0.1 port={port} user=postgres dbname=postgres")
    }

    /// The port on loopback.
    pub fn port(&self) -> u16 {
        self.port.number()
    }
}

fn process(folder: &Path, data: &Path, user: Account, port: u16) -> Result<Process, ServerError> {
    let name = format!("postgres on port {port}");
    let mut process = Process::new(name, binary("postgres")?, folder.join("log"))
        .args(["-D".as_ref(), data.as_os_str()])
        .args(["-p".to_owned(), port.to_string()]);
    let settings = [
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "wal_level=logical",
        "max_wal_senders=10",
        "max_replication_slots=10",
        "shared_buffers=16MB",
        // The data need not outlive the test.
        "fsync=off",
        "full_page_writes=off",
    ];
    for setting in settings {
        process = process.args(["-c", setting]);
    }
    process.user = user;
    // After SIGKILL its shared memory would stay on the machine.
    process.ends_by = Some("QUIT");
    Ok(process)
}

fn settings(guard: &Guard) -> Vec<String> {
    vec![
        "ssl=on".to_owned(),
        format!("ssl_ca_file={}", guard.ca.display()),
        format!("ssl_cert_file={}", guard.own.cert.display()),
        format!("ssl_key_file={}", guard.own.key.display()),
    ]
}

/// Puts the rules for `secured` before all others.
fn let_in(data: &Path, asks: bool) -> Result<(), ServerError> {
    let file = data.join("pg_hba.conf");
    let failed = || ServerError::io("writing pg_hba.conf");
    let rest = std::fs::read_to_string(&file).map_err(failed())?;
    let asked = match asks {
        true => " clientcert=verify-ca",
        false => "",
    };
    let rules = format!(
        "hostnossl all secured 127.0.0.1/32 reject\n\
         hostssl all secured 127.0.0.1/32 trust{asked}\n{rest}"
    );
    std::fs::write(&file, rules).map_err(failed())
}

/// Whether the server says so itself, in the file `pg_ctl` looks at too.
fn is_ready(data: &Path) -> bool {
    let status = std::fs::read_to_string(data.join("postmaster.pid"));
    status.is_ok_and(|status| {
        status
            .lines()
            .nth(7)
            .is_some_and(|line| line.trim() == "ready")
    })
}

async fn init(data: &Path, user: Account) -> Result<(), ServerError> {
    let mut command = Command::new(binary("initdb")?);
    command
        .args(["-U", "postgres", "-A", "trust", "-E", "UTF8"])
        .args(["--locale=C", "--no-sync", "-D"])
        .arg(data);
    run(command, user).await
}
