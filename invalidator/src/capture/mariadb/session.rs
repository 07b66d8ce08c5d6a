//! Connections to the server: one that answers questions, one that sends its log.

use crate::at::{At, Mode};
use crate::capture::mariadb::reader::{at, number};
use crate::capture::mariadb::settings::Server;
use crate::capture::mariadb::value::Charsets;
use cache_core::{Error, Kind, access};
use mysql_async::prelude::Queryable;
use mysql_async::{BinlogStream, BinlogStreamRequest, ClientIdentity};
use mysql_async::{Conn, Opts, OptsBuilder, Row, SslOpts};
use std::fmt;
use std::time::Duration;
use tokio::time::timeout;

/// How long an answer may take, and how long a session may take to begin.
const PATIENCE: Duration = Duration::from_secs(10);
const CONNECTING: &str = "connecting to the database";
const ASKING: &str = "asking the database about its binary log";

/// What the server must be set to: variable, value, and the statement that sets it.
const NEEDED: [(&str, &str, &str); 5] = [
    ("log_bin", "1", "start the server with --log-bin"),
    ("binlog_format", "ROW", "SET GLOBAL binlog_format = 'ROW'"),
    (
        "binlog_row_image",
        "FULL",
        "SET GLOBAL binlog_row_image = 'FULL'",
    ),
    (
        "binlog_row_metadata",
        "FULL",
        "SET GLOBAL binlog_row_metadata = 'FULL'",
    ),
    ("log_bin_compress", "0", "SET GLOBAL log_bin_compress = OFF"),
];

/// A session that answers questions.
pub struct Session {
    conn: Conn,
    subject: String,
}

/// The log, as the server has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The files, oldest first, with their sizes.
    pub files: Vec<(String, u64)>,
    /// Its end.
    pub end: u64,
}

impl Session {
    /// Connects, and sees to it that the server is set up for a capture.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the server does not let it in; [`Kind::Mismatch`] with
    /// the statement that mends it, when it is not set up.
    pub async fn connect(server: &Server) -> Result<Self, Error> {
        let conn = connect(server).await?;
        let mut session = Self {
            conn,
            subject: server.at.subject(),
        };
        session.check(server).await?;
        Ok(session)
    }

    async fn check(&mut self, server: &Server) -> Result<(), Error> {
        let version = self.ask("SELECT @@version").await?;
        let is_mariadb = text(version.first(), 0).contains("MariaDB");
        if !is_mariadb && server.barrier {
            let hint = "this is no MariaDB: only with `barrier = false`, and events may be early";
            return Err(self.unfit(hint.to_owned()));
        }
        for (variable, wanted, mend) in NEEDED {
            let like = format!("SHOW GLOBAL VARIABLES LIKE '{variable}'");
            let rows = self.ask(&like).await?;
            let is = text(rows.first(), 1).replace("ON", "1").replace("OFF", "0");
            // Older servers and others lack some of them.
            let is_absent = rows.is_empty() && variable == "log_bin_compress";
            if !is_absent && !is.eq_ignore_ascii_case(wanted) {
                return Err(self.unfit(format!("`{variable}` must be {wanted}: {mend}")));
            }
        }
        Ok(())
    }

    /// The files of the log, and its end.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the server does not answer; [`Kind::Mismatch`] when it
    /// keeps no log.
    pub async fn log(&mut self) -> Result<Log, Error> {
        let end = self.ask("SHOW MASTER STATUS").await?;
        let place = |file: &str, position: &str| {
            let position = position.parse().ok()?;
            Some(at(number(file)?, position))
        };
        let end = place(&text(end.first(), 0), &text(end.first(), 1));
        let end = end.ok_or_else(|| self.unfit("it keeps no binary log".to_owned()))?;
        let files = self.ask("SHOW BINARY LOGS").await?;
        let files = files.iter().map(|row| {
            let size = text(Some(row), 1).parse().unwrap_or(0);
            (text(Some(row), 0), size)
        });
        Ok(Log {
            files: files.collect(),
            end,
        })
    }

    /// The character set of each collation.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the server does not answer.
    pub async fn charsets(&mut self) -> Result<Charsets, Error> {
        let sql = "SELECT id, character_set_name FROM information_schema.collations \
            WHERE id IS NOT NULL AND character_set_name IS NOT NULL";
        let mut rows = self.ask(sql).await?;
        // Where one collation serves several character sets, it has a number in each.
        let sql = "SELECT id, character_set_name FROM \
            information_schema.collation_character_set_applicability";
        if let Ok(more) = self.ask(sql).await {
            rows.extend(more);
        }
        let known = rows.iter().filter_map(|row| {
            let id = text(Some(row), 0).parse().ok()?;
            Some((id, text(Some(row), 1)))
        });
        Ok(Charsets(known.collect()))
    }

    /// Up to where every reader sees what the log has.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the server does not answer.
    pub async fn visible(&mut self) -> Result<u64, Error> {
        self.ask("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            .await?;
        let rows = self.ask("SHOW STATUS LIKE 'binlog_snapshot_%'").await;
        self.ask("ROLLBACK").await?;
        let rows = rows?;
        let value = |name: &str| {
            let row = rows
                .iter()
                .find(|row| text(Some(row), 0).eq_ignore_ascii_case(name));
            text(row, 1)
        };
        let file = number(&value("binlog_snapshot_file"));
        let position = value("binlog_snapshot_position").parse().ok();
        match (file, position) {
            (Some(file), Some(position)) => Ok(at(file, position)),
            _ => Err(self.unfit("it does not say what a snapshot sees".to_owned())),
        }
    }

    async fn ask(&mut self, sql: &str) -> Result<Vec<Row>, Error> {
        let failed = || Error::new(Kind::Unavailable, ASKING, self.subject.as_str());
        match timeout(PATIENCE, self.conn.query(sql)).await {
            Ok(Ok(rows)) => Ok(rows),
            Ok(Err(error)) => Err(failed().because(error)),
            Err(_) => Err(failed().hint("it did not answer in time")),
        }
    }

    fn unfit(&self, hint: String) -> Error {
        Error::new(Kind::Mismatch, ASKING, self.subject.as_str()).hint(hint)
    }
}

impl Log {
    /// The name of the file that holds a place, if the server still has it.
    pub fn file_of(&self, place: u64) -> Option<&str> {
        let (file, position) = (place >> 32, place & u64::from(u32::MAX));
        let holds = |(name, size): &&(String, u64)| number(name) == Some(file) && *size >= position;
        self.files.iter().find(holds).map(|(name, _)| name.as_str())
    }
}

/// Begins to read the log at a place in this file.
///
/// # Errors
/// [`Kind::Unavailable`] when the server does not send it.
pub async fn changes(server: &Server, file: &str, place: u64) -> Result<BinlogStream, Error> {
    let conn = connect(server).await?;
    let request = BinlogStreamRequest::new(server.server_id)
        .with_filename(file.as_bytes())
        .with_pos(place & u64::from(u32::MAX));
    let begun = timeout(PATIENCE, conn.get_binlog_stream(request)).await;
    let doing = "beginning to read the binary log";
    let failed = || Error::new(Kind::Unavailable, doing, server.at.subject());
    match begun {
        Ok(begun) => begun.map_err(|error| failed().because(error)),
        Err(_) => Err(failed().hint("the database did not answer in time")),
    }
}

async fn connect(server: &Server) -> Result<Conn, Error> {
    let at = &server.at;
    let failed = || Error::new(Kind::Unavailable, CONNECTING, at.subject());
    let options: Opts = OptsBuilder::default()
        .ip_or_hostname(at.host.clone())
        .tcp_port(at.port)
        .user(Some(at.user.clone()))
        .pass(at.password()?)
        .prefer_socket(false)
        .tcp_keepalive(Some(PATIENCE))
        .ssl_opts(tls(at))
        .into();
    match timeout(PATIENCE, Conn::new(options)).await {
        Ok(Ok(conn)) => Ok(conn),
        Ok(Err(error)) => {
            let hint = access::hint(&error.to_string());
            Err(failed().because(error).maybe_hint(hint))
        }
        Err(_) => Err(failed().hint("it did not answer in time")),
    }
}

fn tls(at: &At) -> Option<SslOpts> {
    access::choose_ring();
    let options = SslOpts::default().with_danger_tls_hostname_override(at.tls.name.clone());
    let options = match &at.tls.ca {
        None => options,
        Some(file) => options
            .with_root_certs(vec![file.clone().into()])
            .with_disable_built_in_roots(true),
    };
    let identity = at.tls.identity.clone();
    let identity = identity.map(|own| ClientIdentity::new(own.cert.into(), own.key.into()));
    let options = options.with_client_identity(identity);
    match at.mode {
        Mode::Off => None,
        Mode::Require => Some(options.with_danger_accept_invalid_certs(true)),
        // The first of the two is refused where settings are read; it would be the other.
        Mode::VerifyCa | Mode::VerifyFull => Some(options),
    }
}

/// A cell as text; empty if there is none.
fn text(row: Option<&Row>, index: usize) -> String {
    let cell = row.and_then(|row| row.get_opt::<String, _>(index));
    cell.and_then(Result::ok).unwrap_or_default()
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({})", self.subject)
    }
}
