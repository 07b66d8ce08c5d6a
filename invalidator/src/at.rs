//! Where a database is:
//!
//! ```toml
//! url = "postgres://capture@db.example:5432/shop"
//! password_file = "/run/secrets/capture"   # read at each connection; or in the url
//! tls = "verify-full"                      # off | require | verify-ca | verify-full
//! tls_ca = "/etc/tls/db-ca.pem"            # and more, see [`cache_core::config::access`]
//! ```
//!
//! `tls` is `off` on loopback and `verify-full` elsewhere, unless it is given, or any key
//! that begins with `tls_`: what goes over a network is encrypted, to whom it was meant for,
//! until somebody says otherwise. As PostgreSQL has it, `verify-ca` takes any name in a
//! certificate, which captures refuse, and `require` any certificate at all.

use cache_core::Error;
use cache_core::access::{Password, Secret, Tls};
use cache_core::config::access::{file, has_tls, tls};
use cache_core::config::reader::Section;
use percent_encoding::percent_decode_str;
use std::net::IpAddr;
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
    /// How much of TLS.
    pub mode: Mode,
    /// Its files.
    pub tls: Tls,
}

/// How much a connection takes of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// None.
    Off,
    /// It is encrypted, with whoever answers.
    Require,
    /// With a server that the authorities signed.
    VerifyCa,
    /// With the server of this name.
    VerifyFull,
}

impl At {
    /// Reads the keys above.
    pub fn parse(section: &mut Section<'_>, scheme: &Scheme) -> Option<Self> {
        let address = section.parsed("url", |text| address(text, scheme));
        let password = file(section, "password_file");
        let encrypted = has_tls(section);
        let tls = tls(section, true);
        let given = section.has("tls");
        let mode = section.word_or("tls", &MODES, Mode::VerifyFull);
        if given && mode == Mode::Off && encrypted {
            let wrong = "it is off, and there are `tls_…` keys; write verify-full";
            section.complain("tls", wrong.to_owned());
        }
        let at = address?;
        if password.is_some() && at.password != Password::None {
            let wrong = "there is a password in `url` too; keep it in one place";
            section.complain("password_file", wrong.to_owned());
        }
        // `word_or` has the mode of who names files, and no mode.
        let mode = if given || encrypted { mode } else { at.mode };
        Some(Self {
            password: password.map_or(at.password, Password::File),
            mode,
            tls,
            ..at
        })
    }

    /// As [`parse`](Self::parse), for sessions that do not know `verify-ca`: their libraries
    /// look at the name whatever they are told.
    pub fn parse_by_name(section: &mut Section<'_>, scheme: &Scheme) -> Option<Self> {
        let at = Self::parse(section, scheme)?;
        if at.mode == Mode::VerifyCa {
            let wrong = "a capture cannot leave the name out; write `verify-full` and `tls_name`";
            section.complain("tls", wrong.to_owned());
        }
        Some(at)
    }

    /// How people know it.
    pub fn subject(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.name)
    }

    /// The password as it is at this moment: a file may have changed since.
    ///
    /// # Errors
    /// [`cache_core::Kind::Unavailable`] when the file cannot be read.
    pub fn password(&self) -> Result<Option<String>, Error> {
        Ok(self.password.read()?.map(|secret| secret.0))
    }
}

const MODES: [(&str, Mode); 4] = [
    ("off", Mode::Off),
    ("require", Mode::Require),
    ("verify-ca", Mode::VerifyCa),
    ("verify-full", Mode::VerifyFull),
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
        true => Mode::Off,
        false => Mode::VerifyFull,
    };
    Ok(At {
        host,
        port: url.port().unwrap_or(scheme.port),
        user,
        password: password.map_or(Password::None, |text| Password::Given(Secret(text))),
        name,
        mode,
        tls: Tls::default(),
    })
}

fn is_loopback(host: &str) -> bool {
    let address = host.parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}
