//! Real servers for tests: on free loopback ports, in a folder that goes away,
//! ready when `start` returns and gone when dropped.
//!
//! | module | server | Debian package |
//! | --- | --- | --- |
//! | [`redis`] | one Redis | redis-server |
//! | [`cluster`] | a Redis Cluster of 3 primaries and 3 replicas | redis-server |
//! | [`topology`] | - how the nodes of a cluster see each other | - |
//! | [`sentinel`] | a master, a replica and three sentinels | redis-server |
//! | [`nats`] | NATS with JetStream | nats-server |
//! | [`postgres`] | PostgreSQL with logical decoding | postgresql |
//! | [`mariadb`] | MariaDB with a binary log | mariadb-server |
//!
//! Tests in many processes may start servers at once: a port is reserved
//! across processes for as long as its server lives, so a killed server finds
//! its port free when it is restarted.

use std::env;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::testkit::until::TimedOut;

mod account;
pub mod cluster;
pub mod mariadb;
pub mod nats;
mod node;
mod port;
pub mod postgres;
mod process;
pub mod redis;
pub mod sentinel;
pub mod topology;

/// How long a server may take to come up, on a machine that is busy.
const READY: Duration = Duration::from_secs(30);

/// How often a start is tried when another program takes the port first.
const ATTEMPTS: usize = 3;

/// Why a server did not do what a test asked of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The server's program is not on this machine.
    #[error(
        "`{binary}` is not installed: it comes with the Debian package `{package}`, \
         which `deploy/test` installs"
    )]
    Missing {
        /// The program.
        binary: String,
        /// The package that has it.
        package: &'static str,
    },
    /// The server ended, or was not ready in time.
    #[error("{server} did not come up: {why}\n--- the end of its log ---\n{log}")]
    NotUp {
        /// Which server.
        server: String,
        /// What was seen instead.
        why: String,
        /// The last lines it wrote.
        log: String,
    },
    /// Something else listens on the server's port.
    #[error("{server} found its port in use\n--- the end of its log ---\n{log}")]
    PortTaken {
        /// Which server.
        server: String,
        /// The last lines it wrote.
        log: String,
    },
    /// No port could be reserved.
    #[error("no free loopback port found after {tried} tries")]
    NoPort {
        /// How many ports were tried.
        tried: u32,
    },
    /// The test asked for a server that is not there or is down.
    #[error("no such server to {doing}: {subject}")]
    NoSuch {
        /// What was to be done to it.
        doing: &'static str,
        /// How the test named it.
        subject: String,
    },
    /// The servers run, but never reached the state that was waited for.
    #[error(transparent)]
    TimedOut(#[from] TimedOut),
    /// A server answered with an error.
    #[error("asking the server on port {port} for `{asked}`")]
    Refused {
        /// The port asked.
        port: u16,
        /// The command.
        asked: String,
        /// What came back.
        #[source]
        source: ::redis::RedisError,
    },
    /// The operating system refused something.
    #[error("{doing}")]
    Io {
        /// What was being done.
        doing: String,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

impl ServerError {
    /// For `map_err`: an operating system error while `doing` something.
    fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

/// Where the program `name` lies: in `PATH`, in the folders Debian keeps
/// servers in, or in the newest `/usr/lib/postgresql/*/bin`.
///
/// # Errors
/// [`ServerError::Missing`] names the package to install.
pub fn binary(name: &str) -> Result<PathBuf, ServerError> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    folders.extend(["/usr/bin", "/usr/sbin", "/usr/local/bin"].map(PathBuf::from));
    folders.extend(postgres_folders());
    folders
        .into_iter()
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| ServerError::Missing {
            binary: name.to_owned(),
            package: package(name),
        })
}

/// Tries `start` again, with other ports, when another program was faster.
async fn with_retry<S, F, T>(mut start: S) -> Result<T, ServerError>
where
    S: FnMut() -> F,
    F: Future<Output = Result<T, ServerError>>,
{
    for _ in 1..ATTEMPTS {
        match start().await {
            Err(ServerError::PortTaken { .. }) => {}
            done => return done,
        }
    }
    start().await
}

fn postgres_folders() -> Vec<PathBuf> {
    let Ok(versions) = fs::read_dir("/usr/lib/postgresql") else {
        return Vec::new();
    };
    let mut found: Vec<(u32, PathBuf)> = versions
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, folder)| folder).collect()
}

fn package(binary: &str) -> &'static str {
    match binary {
        "nats-server" => "nats-server",
        "redis-cli" => "redis-tools",
        "initdb" | "postgres" => "postgresql",
        "mariadbd" | "mariadb-install-db" => "mariadb-server",
        _ => "redis-server",
    }
}
