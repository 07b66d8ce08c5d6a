//! Connections to a PostgreSQL, for questions in SQL.

use crate::at::At;
use cache_core::{Error, Kind};
use pgwire_replication::SslMode;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
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
/// [`Kind::Unavailable`] when the database does not let it in, [`Kind::Invalid`] when
/// `tls` or `ca` is nothing that can be done.
pub async fn connect(at: &At) -> Result<Client, Error> {
    let failed = |kind| Error::new(kind, CONNECTING, at.subject());
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
    let unreachable = |error| failed(Kind::Unavailable).because(error);
    match at.tls.mode {
        SslMode::Disable => {
            let connected = config.connect(NoTls).await;
            let (client, connection) = connected.map_err(unreachable)?;
            tokio::spawn(connection);
            Ok(client)
        }
        SslMode::VerifyFull => {
            let tls = rustls(at).map_err(|cause| failed(Kind::Invalid).hint(cause))?;
            config.ssl_mode(tokio_postgres::config::SslMode::Require);
            let connected = config.connect(MakeRustlsConnect::new(tls)).await;
            let (client, connection) = connected.map_err(unreachable)?;
            tokio::spawn(connection);
            Ok(client)
        }
        _ => Err(failed(Kind::Invalid).hint(
            "here `tls` is `off` or `verify-full`: an encryption with whoever answers \
                 keeps nobody out",
        )),
    }
}

fn rustls(at: &At) -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    match &at.tls.ca_pem_path {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(file) => add_authorities(&mut roots, file)?,
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn add_authorities(roots: &mut rustls::RootCertStore, file: &Path) -> Result<(), String> {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;
    let name = file.display();
    let wrong = |error: &dyn fmt::Display| format!("`ca`: {name}: {error}");
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| wrong(&error))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| wrong(&error))?;
        roots.add(certificate).map_err(|error| wrong(&error))?;
    }
    match roots.is_empty() {
        false => Ok(()),
        true => Err(format!("`ca`: {name} holds no certificate")),
    }
}
