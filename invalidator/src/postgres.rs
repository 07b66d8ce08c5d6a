//! Where a PostgreSQL is, and how it is reached:
//!
//! ```toml
//! [postgres]
//! url = "postgres://capture@db.example:5432/shop"
//! password_file = "/run/secrets/capture"   # read at each connection; or in the url
//! tls = "verify-full"                      # off | require | verify-ca | verify-full
//! ca = "/etc/ssl/db-ca.pem"                # default: the authorities that browsers trust
//! ```
//!
//! `tls` is `off` on loopback and `verify-full` elsewhere, unless it is given: what goes
//! over a network is encrypted, to whom it was meant for, until somebody says otherwise.

use cache_core::config::reader::Section;
use cache_core::{Error, Kind};
use percent_encoding::percent_decode_str;
use pgwire_replication::{SslMode, TlsConfig};
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;
use url::Url;

const CONNECTING: &str = "connecting to the database";
/// How long a connection may take to begin.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a database is.
#[derive(Clone, Debug, PartialEq)]
pub struct At {
    /// The host.
    pub host: String,
    /// Its port: 5432 by default.
    pub port: u16,
    /// The role.
    pub user: String,
    /// Its password.
    pub password: Password,
    /// The database.
    pub name: String,
    /// How the connection is encrypted.
    pub tls: TlsConfig,
}

/// The password of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// None is asked for.
    None,
    /// As the address says.
    Given(Secret),
    /// In this file.
    File(PathBuf),
}

/// What nobody may read in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl At {
    /// Reads the keys above.
    pub fn parse(section: &mut Section<'_>) -> Option<Self> {
        let address = section.parsed("url", address);
        let file = section.opt_string("password_file").map(PathBuf::from);
        let ca = section.opt_string("ca").map(PathBuf::from);
        let tls = section.has("tls");
        let mode = section.word_or("tls", &TLS, SslMode::VerifyFull);
        let at = address?;
        if file.is_some() && at.password != Password::None {
            let wrong = "there is a password in `url` too; keep it in one place";
            section.complain("password_file", wrong.to_owned());
        }
        let mode = if tls { mode } else { at.tls.mode };
        Some(Self {
            password: file.map_or(at.password, Password::File),
            tls: TlsConfig {
                mode,
                ca_pem_path: ca,
                ..TlsConfig::disabled()
            },
            ..at
        })
    }

    /// How people know it.
    pub fn subject(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.name)
    }

    /// The password as it is at this moment: a file may have changed since.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the file cannot be read.
    pub fn password(&self) -> Result<Option<String>, Error> {
        match &self.password {
            Password::None => Ok(None),
            Password::Given(secret) => Ok(Some(secret.0.clone())),
            Password::File(file) => {
                let text = std::fs::read_to_string(file).map_err(|error| {
                    let doing = "reading the password file";
                    Error::new(Kind::Unavailable, doing, file.display().to_string()).because(error)
                })?;
                Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
            }
        }
    }

    /// Connects, for questions in SQL.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the database does not let it in, [`Kind::Invalid`] when
    /// `tls` or `ca` is nothing that can be done.
    pub async fn connect(&self) -> Result<Client, Error> {
        let failed = |kind| Error::new(kind, CONNECTING, self.subject());
        let mut config = Config::new();
        config
            .host(&self.host)
            .port(self.port)
            .user(&self.user)
            .dbname(&self.name)
            .application_name("cacheaside")
            .connect_timeout(PATIENCE);
        if let Some(password) = self.password()? {
            config.password(password);
        }
        let unreachable = |error| failed(Kind::Unavailable).because(error);
        match self.tls.mode {
            SslMode::Disable => {
                let connected = config.connect(NoTls).await;
                let (client, connection) = connected.map_err(unreachable)?;
                tokio::spawn(connection);
                Ok(client)
            }
            SslMode::VerifyFull => {
                let tls = self
                    .rustls()
                    .map_err(|cause| failed(Kind::Invalid).hint(cause))?;
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

    fn rustls(&self) -> Result<rustls::ClientConfig, String> {
        let mut roots = rustls::RootCertStore::empty();
        match &self.tls.ca_pem_path {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(file) => add_authorities(&mut roots, file)?,
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| error.to_string())?;
        Ok(builder.with_root_certificates(roots).with_no_client_auth())
    }
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

const TLS: [(&str, SslMode); 4] = [
    ("off", SslMode::Disable),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];

/// Reads an address, as `postgres://capture@host:5432/shop`.
///
/// # Errors
/// What is wrong with it.
pub fn address(text: &str) -> Result<At, String> {
    let wrong = |what: &str| format!("{what}; write one like postgres://capture@host:5432/shop");
    let url = Url::parse(text).map_err(|error| wrong(&format!("no address: {error}")))?;
    if !["postgres", "postgresql"].contains(&url.scheme()) {
        return Err(wrong("it does not begin with postgres://"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong(
            "it has settings behind a `?`, which have keys of their own",
        ));
    }
    let plain = |text: &str| match percent_decode_str(text).decode_utf8() {
        Ok(text) => Ok(text.into_owned()),
        Err(_) => Err(wrong("a part of it is no UTF-8")),
    };
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| wrong("it has no host"))?;
    let host = host.trim_matches(['[', ']']).to_owned();
    let (user, name) = (
        plain(url.username())?,
        plain(url.path().trim_start_matches('/'))?,
    );
    if user.is_empty() || name.is_empty() {
        return Err(wrong("it lacks the user or the database"));
    }
    let password = url.password().map(plain).transpose()?;
    let mode = match is_loopback(&host) {
        true => SslMode::Disable,
        false => SslMode::VerifyFull,
    };
    Ok(At {
        host,
        port: url.port().unwrap_or(5432),
        user,
        password: password.map_or(Password::None, |text| Password::Given(Secret(text))),
        name,
        tls: TlsConfig {
            mode,
            ..TlsConfig::disabled()
        },
    })
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
