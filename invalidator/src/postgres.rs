//! Connections to a PostgreSQL, for questions in SQL.

use crate::at::{At, Mode};
use crate::tls::client_config;
use cache_core::{Error, Kind, access};
use std::error::Error as _;
use std::time::Duration;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

const CONNECTING: &str = "connecting to the database";
/// How long a connection may take to begin.
const PATIENCE: Duration = Duration::from_secs(10);

/// The name of a table, for SQL.
pub fn quoted(schema: &str, table: &str) -> String {
    let part = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    format!("{}.{}", part(schema), part(table))
}

/// Connects, for questions in SQL.
///
/// # Errors
/// [`Kind::Unavailable`] when the database does not let it in, [`Kind::Invalid`] for
/// files of TLS that cannot be used.
pub async fn connect(at: &At) -> Result<Client, Error> {
    let mut config = Config::new();
    config
        .host(&at.host)
        .port(at.port)
        .user(&at.user)
        .dbname(&at.name)
        .application_name("cacheaside")
        .connect_timeout(PATIENCE);
    if let Some(password) = at.password()? {
        config.password(password);
    }
    let connected = match at.mode {
        Mode::Off => {
            let connected = config.connect(NoTls).await;
            connected.map(|(client, connection)| (client, tokio::spawn(connection)))
        }
        Mode::Require | Mode::VerifyCa | Mode::VerifyFull => {
            let tls = client_config(at)?;
            config.ssl_mode(SslMode::Require);
            let connected = config.connect(MakeRustlsConnect::new(tls)).await;
            connected.map(|(client, connection)| (client, tokio::spawn(connection)))
        }
    };
    let (client, _) = connected.map_err(|error| {
        let hint = hint(&error);
        let failed = Error::new(Kind::Unavailable, CONNECTING, at.subject());
        failed.because(error).maybe_hint(hint)
    })?;
    Ok(client)
}

/// What to do about it, from the whole chain of its causes.
fn hint(error: &tokio_postgres::Error) -> Option<&'static str> {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        said += &format!(": {inner}");
        cause = inner.source();
    }
    access::hint(&said)
}
