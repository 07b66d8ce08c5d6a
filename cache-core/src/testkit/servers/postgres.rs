//! A PostgreSQL server whose changes can be read by logical decoding.

use std::os::unix::fs::chown;
use std::path::Path;

use tempfile::TempDir;
use tokio::process::Command;

use super::port::Port;
use super::process::Process;
use super::{ServerError, binary, with_retry};

/// A fresh database cluster, reachable on loopback without a password.
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
        with_retry(|| async {
            let folder =
                TempDir::new().map_err(ServerError::io("making a folder for PostgreSQL"))?;
            let user = unprivileged_user().await?;
            if let Some((user, group)) = user {
                chown(folder.path(), Some(user), Some(group))
                    .map_err(ServerError::io("giving PostgreSQL its folder"))?;
            }
            let data = folder.path().join("data");
            init(&data, user).await?;

            let port = Port::reserve()?;
            let process = process(folder.path(), &data, user, port.number())?;
            port.free();
            process.spawn()?;
            process.ready(|| async { is_ready(&data) }).await?;
            Ok(Self {
                _process: process,
                port,
                _folder: folder,
            })
        })
        .await
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

fn process(
    folder: &Path,
    data: &Path,
    user: Option<(u32, u32)>,
    port: u16,
) -> Result<Process, ServerError> {
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
        "synchronous_commit=off",
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

async fn init(data: &Path, user: Option<(u32, u32)>) -> Result<(), ServerError> {
    let mut command = Command::new(binary("initdb")?);
    command
        .args(["-U", "postgres", "-A", "trust", "-E", "UTF8"])
        .args(["--locale=C", "--no-sync", "-D"])
        .arg(data);
    if let Some((user, group)) = user {
        command.uid(user).gid(group);
    }
    let done = command
        .output()
        .await
        .map_err(ServerError::io("running initdb"))?;
    if done.status.success() {
        return Ok(());
    }
    Err(ServerError::NotUp {
        server: "initdb".to_owned(),
        why: format!("it ended with {}", done.status),
        log: String::from_utf8_lossy(&done.stderr).into_owned(),
    })
}

/// The ids of `postgres` and its group if this process is root.
async fn unprivileged_user() -> Result<Option<(u32, u32)>, ServerError> {
    if id(&["-u"]).await? != 0 {
        return Ok(None);
    }
    let user = id(&["-u", "postgres"]).await?;
    let group = id(&["-g", "postgres"]).await?;
    Ok(Some((user, group)))
}

async fn id(args: &[&str]) -> Result<u32, ServerError> {
    let doing = format!("running id {}", args.join(" "));
    let done = Command::new("id")
        .args(args)
        .output()
        .await
        .map_err(ServerError::io(&*doing))?;
    let number = String::from_utf8_lossy(&done.stdout).trim().parse();
    number.map_err(|_| ServerError::NoSuch {
        doing: "run PostgreSQL as (`id` does not know the user)",
        subject: args.join(" "),
    })
}
