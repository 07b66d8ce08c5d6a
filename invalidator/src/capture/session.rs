//! Connections to the database: one that answers questions, one that sends the changes.
//!
//! Both are replication sessions of the same role, so that one account with one right is
//! enough.

use crate::at::{At, Mode};
use crate::capture::place::{Lsn as Place, Origin};
use crate::capture::settings::Database;
use crate::capture::snapshot::Snapshot;
use cache_core::{Error, Kind, access};
use futures_util::FutureExt;
use pgwire_replication::{
    Lsn, PgWireError, ReplicationClient, ReplicationConfig, ReplicationEvent, SslMode, TlsConfig,
};
use std::fmt;
use std::time::Duration;
use tokio::time::timeout;

/// How long an answer may take, and how long a session may take to begin.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most events that are taken at once.
const EVENTS_MAX: usize = 1_024;
/// The largest message that is read, in bytes: PostgreSQL's largest row is 1 GiB, and
/// nobody who has such rows wants them here.
const MESSAGE_BYTES_MAX: usize = 256 << 20;
/// How values are written, whatever the database's own settings are: keys are made of
/// them.
const OPTIONS: &str = "-c datestyle=ISO -c intervalstyle=iso_8601 -c timezone=UTC \
    -c extra_float_digits=1 -c bytea_output=hex -c statement_timeout=0 \
    -c idle_session_timeout=0";

/// A row of an answer.
pub type Row = Vec<Option<String>>;

/// A session that answers questions.
pub struct Session {
    client: ReplicationClient,
    subject: String,
}

/// A session that sends the changes.
pub struct Changes {
    client: ReplicationClient,
    subject: String,
}

impl Session {
    /// Connects.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the database does not let it in.
    pub async fn connect(database: &Database) -> Result<Self, Error> {
        let config = config(database)?;
        let client = ReplicationClient::connect_gated(config).await;
        let mut session = Self {
            client: client.map_err(|error| failed(CONNECTING, &database.at.subject(), error))?,
            subject: database.at.subject(),
        };
        // Connecting goes on behind: the first answer says that it is done.
        session.ask(CONNECTING, "SELECT 1").await?;
        Ok(session)
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the database refuses, or does not answer in time.
    pub async fn ask(&mut self, doing: &'static str, sql: &str) -> Result<Vec<Row>, Error> {
        match timeout(PATIENCE, self.ask_for_long(doing, sql)).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::new(Kind::Unavailable, doing, self.subject.as_str())
                .hint("the database did not answer in time")),
        }
    }

    /// Asks what may take as long as it takes.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the database refuses.
    pub async fn ask_for_long(
        &mut self,
        doing: &'static str,
        sql: &str,
    ) -> Result<Vec<Row>, Error> {
        let rows = self.client.simple_query(sql).await;
        let rows = rows.map_err(|error| failed(doing, &self.subject, error))?;
        let text = |cell: bytes::Bytes| String::from_utf8_lossy(&cell).into_owned();
        let rows = rows.into_iter();
        Ok(rows
            .map(|row| row.into_iter().map(|cell| cell.map(text)).collect())
            .collect())
    }

    /// Whose log it is, and where it ends.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn origin(&mut self) -> Result<(Origin, u64), Error> {
        let doing = "asking whose log it is";
        let identity = timeout(PATIENCE, self.client.identify_system()).await;
        let identity = identity.unwrap_or_else(|_| {
            let late = "the database did not answer in time".to_owned();
            Err(PgWireError::Protocol(late))
        });
        let identity = identity.map_err(|error| failed(doing, &self.subject, error))?;
        let origin = Origin {
            system: identity.system_id,
            timeline: identity.timeline,
        };
        Ok((origin, identity.xlogpos.as_u64()))
    }

    /// What every reader of the database sees.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn snapshot(&mut self) -> Result<Snapshot, Error> {
        let doing = "asking what readers see";
        let rows = self
            .ask(doing, "SELECT pg_current_snapshot()::text")
            .await?;
        let text = rows.first().and_then(|row| row.first()?.as_deref());
        text.and_then(Snapshot::parse).ok_or_else(|| {
            let hint = "PostgreSQL answered what is no snapshot";
            Error::new(Kind::Unavailable, doing, self.subject.as_str()).hint(hint)
        })
    }
}

impl Changes {
    /// Begins to read the changes from `start` on; only `confirmed` may be forgotten.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the database does not send them.
    pub async fn start(database: &Database, start: u64, confirmed: u64) -> Result<Self, Error> {
        const DOING: &str = "beginning to read the changes";
        let subject = database.at.subject();
        let config = config(database)?
            .with_start_lsn(Lsn(start))
            .with_ack_lsn(Lsn(confirmed));
        let starting = async {
            let mut client = ReplicationClient::connect(config).await?;
            client.wait_started().await?;
            Ok(client)
        };
        let client = timeout(PATIENCE, starting).await.unwrap_or_else(|_| {
            let late = "the database did not answer in time".to_owned();
            Err(PgWireError::Protocol(late))
        });
        let client = client.map_err(|error| failed(DOING, &subject, error))?;
        Ok(Self { client, subject })
    }

    /// The next events: at least one, and all that have come. Nothing is lost if it is
    /// dropped while it waits.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the session is over.
    pub async fn next(&mut self) -> Result<Vec<ReplicationEvent>, Error> {
        const DOING: &str = "reading the changes";
        let over = |error| failed(DOING, &self.subject, error);
        let ended = || {
            let hint = "the database ended the session";
            Error::new(Kind::Unavailable, DOING, self.subject.as_str()).hint(hint)
        };
        let first = self.client.recv().await.map_err(over)?;
        let mut events = vec![first.ok_or_else(ended)?];
        while events.len() < EVENTS_MAX
            && let Some(next) = self.client.recv().now_or_never()
        {
            events.push(next.map_err(over)?.ok_or_else(ended)?);
        }
        Ok(events)
    }

    /// Lets the database forget its log up to this place.
    pub fn confirm(&self, lsn: u64) {
        self.client.update_applied_lsn(Lsn(lsn));
    }
}

const CONNECTING: &str = "connecting to the database";

fn config(database: &Database) -> Result<ReplicationConfig, Error> {
    let Database { at, .. } = database;
    let config = ReplicationConfig::new(
        at.host.clone(),
        at.user.clone(),
        at.password()?.unwrap_or_default(),
        at.name.clone(),
        database.slot.clone(),
        database.publication.clone(),
    );
    Ok(config
        .with_port(at.port)
        .with_tls(tls(at))
        .with_options(OPTIONS)
        .with_application_name("cacheaside-capture")
        .with_status_interval(Duration::from_secs(1))
        .with_max_message_size(MESSAGE_BYTES_MAX))
}

fn tls(at: &At) -> TlsConfig {
    access::choose_ring();
    let identity = at.tls.identity.clone();
    let (cert, key) = identity.map(|own| (own.cert, own.key)).unzip();
    TlsConfig {
        mode: match at.mode {
            Mode::Off => SslMode::Disable,
            Mode::Require => SslMode::Require,
            Mode::VerifyCa => SslMode::VerifyCa,
            Mode::VerifyFull => SslMode::VerifyFull,
        },
        ca_pem_path: at.tls.ca.clone(),
        // Given even where it is the host: without it, a host that is an address is refused.
        sni_hostname: Some(at.tls.name.clone().unwrap_or_else(|| at.host.clone())),
        client_cert_pem_path: cert,
        client_key_pem_path: key,
    }
}

fn failed(doing: &'static str, subject: &str, error: PgWireError) -> Error {
    let said = error.to_string();
    let hint = match &error {
        PgWireError::Auth(_) => Some("are the user and the password right?"),
        PgWireError::Tls(_) => access::hint(&said).or(Some("see `tls` in the file of the capture")),
        PgWireError::MessageTooLarge { .. } => {
            Some("a row is larger than 256 MiB; leave its column out of the publication")
        }
        _ => None,
    };
    let failed = Error::new(Kind::Unavailable, doing, subject).because(error);
    match hint {
        Some(hint) => failed.hint(hint),
        None => failed,
    }
}

/// The condition that a text of the database says.
pub fn is_true(cell: Option<&Option<String>>) -> bool {
    cell.is_some_and(|cell| cell.as_deref() == Some("t"))
}

/// The place that a text of the database says.
pub fn place(cell: Option<&Option<String>>) -> Option<u64> {
    let Place(lsn) = cell?.as_deref()?.parse().ok()?;
    Some(lsn)
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({})", self.subject)
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Changes({})", self.subject)
    }
}
