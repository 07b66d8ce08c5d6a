//! Where a database is:
//!
//! ```toml
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
use std::path::PathBuf;
use url::Url;

/// What addresses of one kind of database look like.
#[derive(Clone, Copy, Debug)]
pub struct Scheme {
    names: [&'static str; 2],
    port: u16,
    example: &'static str,
    /// Whether it names a database.
    has_name: bool,
}

/// Those of PostgreSQL.
pub const POSTGRES: Scheme = Scheme {
    names: ["postgres", "postgresql"],
    port: 5432,
    example: "postgres://capture@host:5432/shop",
    has_name: true,
};

/// Those of MariaDB, of which a log has the changes of all databases.
pub const MARIADB: Scheme = Scheme {
    names: ["mariadb", "mysql"],
    port: 3306,
    example: "mariadb://capture@host:3306",
    has_name: false,
};

/// Where a database is.
#[derive(Clone, Debug, PartialEq)]
pub struct At {
    /// The host.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The role.
    pub user: String,
    /// Its password.
    pub password: Password,
    /// The database; empty for all of them.
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
    pub fn parse(section: &mut Section<'_>, scheme: &Scheme) -> Option<Self> {
        let address = section.parsed("url", |text| address(text, scheme));
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
}

const TLS: [(&str, SslMode); 4] = [
    ("off", SslMode::Disable),
    ("require", SslMode::Require),
    ("verify-ca", SslMode::VerifyCa),
    ("verify-full", SslMode::VerifyFull),
];

/// Reads an address.
///
/// # Errors
/// What is wrong with it.
pub fn address(text: &str, scheme: &Scheme) -> Result<At, String> {
    let wrong = |what: &str| format!("{what}; write one like {}", scheme.example);
    let url = Url::parse(text).map_err(|error| wrong(&format!("no address: {error}")))?;
    if !scheme.names.contains(&url.scheme()) {
        let name = scheme.names[0];
        return Err(wrong(&format!("it does not begin with {name}://")));
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
    if user.is_empty() || name.is_empty() == scheme.has_name {
        let lacks = match scheme.has_name {
            true => "it lacks the user or the database",
            false => "it lacks the user, or names a database",
        };
        return Err(wrong(lacks));
    }
    let password = url.password().map(plain).transpose()?;
    let mode = match is_loopback(&host) {
        true => SslMode::Disable,
        false => SslMode::VerifyFull,
    };
    Ok(At {
        host,
        port: url.port().unwrap_or(scheme.port),
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
