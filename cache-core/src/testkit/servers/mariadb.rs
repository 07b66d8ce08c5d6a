//! A MariaDB whose changes can be read out of its binary log.

use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;

use super::account::{Account, give, guarded, run, unprivileged};
use super::port::Port;
use super::process::Process;
use super::{ServerError, binary, with_retry};
use crate::testkit::certificates::Guard;

/// A MariaDB, reachable on loopback as root without a password.
#[derive(Debug)]
pub struct MariadbServer {
    _process: Process,
    port: Port,
    _folder: TempDir,
}

impl MariadbServer {
    /// Makes a data folder, starts the server on it and waits until it takes connections.
    ///
    /// Under root it runs as the user `mysql`, since MariaDB refuses root.
    ///
    /// # Errors
    /// When MariaDB is missing or does not come up.
    pub async fn start() -> Result<Self, ServerError> {
        Self::launch(None).await
    }

    /// As [`start`](Self::start), with TLS for those who ask for it.
    ///
    /// # Errors
    /// When MariaDB is missing or does not come up.
    pub async fn start_tls(guard: &Guard) -> Result<Self, ServerError> {
        Self::launch(Some(guard)).await
    }

    async fn launch(guard: Option<&Guard>) -> Result<Self, ServerError> {
        with_retry(|| async {
            let folder = TempDir::new().map_err(ServerError::io("making a folder for MariaDB"))?;
            let account = unprivileged("mysql").await?;
            give(folder.path(), account)?;
            let data = folder.path().join("data");
            init(folder.path(), &data, account).await?;
            let port = Port::reserve()?;
            let mut process = process(folder.path(), &data, account, port.number())?;
            if let Some(guard) = guard {
                let guard = guarded(guard, folder.path(), account)?;
                process = process.args([
                    format!("--ssl-ca={}", guard.ca.display()),
                    format!("--ssl-cert={}", guard.own.cert.display()),
                    format!("--ssl-key={}", guard.own.key.display()),
                ]);
            }
            port.free();
            process.spawn()?;
            process.ready(|| answers(port.number())).await?;
            Ok(Self {
                _process: process,
                port,
                _folder: folder,
            })
        })
        .await
    }

    /// Where clients connect: `mariadb://root@127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("mariadb://root@127.0.0.1:{}", self.port())
    }

    /// The port on loopback.
    pub fn port(&self) -> u16 {
        self.port.number()
    }
}

/// A folder of its own for temporary tables: a MariaDB that starts removes whatever looks
/// like one from a folder that it shares.
fn temporary(folder: &Path) -> String {
    format!("--tmpdir={}", folder.display())
}

async fn init(folder: &Path, data: &Path, account: Account) -> Result<(), ServerError> {
    let mut command = Command::new(binary("mariadb-install-db")?);
    command
        .args(["--no-defaults", "--auth-root-authentication-method=normal"])
        .args(["--skip-test-db", "--skip-name-resolve"])
        .arg(format!("--datadir={}", data.display()))
        .arg(temporary(folder));
    run(command, account).await
}

fn process(
    folder: &Path,
    data: &Path,
    account: Account,
    port: u16,
) -> Result<Process, ServerError> {
    let name = format!("mariadbd on port {port}");
    let mut process = Process::new(name, binary("mariadbd")?, folder.join("log"))
        .args(["--no-defaults".to_owned(), format!("--port={port}")])
        .args([format!("--datadir={}", data.display())])
        .args([format!("--socket={}", folder.join("socket").display())])
        .args([temporary(folder)]);
    let settings = [
        "--bind-address=127.0.0.1",
        "--log-bin=binlog",
        "--server-id=1",
        "--binlog-format=ROW",
        "--binlog-row-image=FULL",
        "--binlog-row-metadata=FULL",
        "--innodb-buffer-pool-size=16M",
        // The data need not outlive the test.
        "--innodb-flush-log-at-trx-commit=0",
        "--sync-binlog=0",
    ];
    for setting in settings {
        process = process.args([setting]);
    }
    process.user = account;
    Ok(process)
}

/// Whether it greets whoever connects.
async fn answers(port: u16) -> bool {
    let greeted = async {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.ok()?;
        stream.readable().await.ok()?;
        let mut first = [0_u8; 1];
        (stream.try_read(&mut first).ok()? == 1).then_some(())
    };
    let greeted = tokio::time::timeout(Duration::from_secs(1), greeted).await;
    matches!(greeted, Ok(Some(())))
}
