//! What lets a connection in, and whom it trusts: user, password, TLS.
//!
//! Secrets and certificates are read from their files at each new connection, so that
//! whoever rotates them restarts nothing.

use crate::error::{Error, Kind};
use percent_encoding::percent_decode_str;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The largest file that is read, in bytes: a bundle of all authorities has a quarter.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// What nobody may read in a log.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

/// A password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Password {
    /// None is asked for, or the address has it.
    #[default]
    None,
    /// As the settings say.
    Given(Secret),
    /// In this file, without the end of its last line.
    File(PathBuf),
}

/// A user and its password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Login {
    /// The user; the server's default user if there is none.
    pub user: Option<String>,
    /// Its password.
    pub password: Password,
}

/// How a connection is encrypted, and to whom it speaks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The authorities that may sign a server's certificate, in PEM; by default those that
    /// browsers trust: they are the same on every machine, and an image needs no files.
    pub ca: Option<PathBuf>,
    /// What the server is shown.
    pub identity: Option<Identity>,
    /// The name in the server's certificate, if it is not the host of the address.
    pub name: Option<String>,
}

/// The certificate of this process, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, and those between it and the authority, in PEM.
    pub cert: PathBuf,
    /// Its private key, in PEM.
    pub key: PathBuf,
}

impl Password {
    /// What it is at this moment: a file may have changed since.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] when the file cannot be read.
    pub fn read(&self) -> Result<Option<Secret>, Error> {
        match self {
            Self::None => Ok(None),
            Self::Given(secret) => Ok(Some(secret.clone())),
            Self::File(file) => {
                let text = secret_in(file, "reading the password file")?;
                let end = text.0.trim_end_matches(['\r', '\n']).len();
                Ok(Some(Secret(text.0[..end].to_owned())))
            }
        }
    }
}

impl Tls {
    /// Who may sign a server's certificate.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a file that cannot be read, or holds something else.
    pub fn authorities(&self) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        match &self.ca {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(file) => {
                for certificate in certificates(file)? {
                    let added = roots.add(certificate);
                    added.map_err(|error| unfit(file, &error))?;
                }
            }
        }
        Ok(roots)
    }

    /// How rustls speaks to a server so configured.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a file that cannot be read, or holds something else.
    pub fn client_config(&self) -> Result<ClientConfig, Error> {
        let roots = self.authorities()?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider);
        let builder = builder.with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| unfit(Path::new("rustls"), &error))?;
        let builder = builder.with_root_certificates(roots);
        let Some(identity) = &self.identity else {
            return Ok(builder.with_no_client_auth());
        };
        let (chain, private) = identity.read()?;
        let config = builder.with_client_auth_cert(chain, private);
        config.map_err(|error| unfit(&identity.key, &error))
    }
}

impl Identity {
    /// The certificates and the key, as their files are at this moment.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for a file that cannot be read, or holds something else.
    pub fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
        let private = PrivateKeyDer::from_pem_slice(&bytes(&self.key)?);
        // The cause could quote what the file holds.
        let private = private.map_err(|_| unfit(&self.key, &"it holds no private key in PEM"))?;
        Ok((certificates(&self.cert)?, private))
    }
}

/// The text of a file that holds a secret.
///
/// # Errors
/// [`Kind::Unavailable`] when it cannot be read.
pub fn secret_in(file: &Path, doing: &'static str) -> Result<Secret, Error> {
    let failed = || Error::new(Kind::Unavailable, doing, file.display().to_string());
    let text = String::from_utf8(bytes(file).map_err(|error| failed().because(error))?);
    let text = text.map_err(|_| failed().hint("it is no text"))?;
    Ok(Secret(text))
}

/// All of a file of certificates or secrets.
///
/// # Errors
/// [`Kind::Invalid`] when it cannot be read, or is larger than 1 MiB.
pub fn bytes(file: &Path) -> Result<Vec<u8>, Error> {
    let size = std::fs::metadata(file).map_err(|error| unfit(file, &error))?;
    if size.len() > FILE_BYTES_MAX {
        return Err(unfit(file, &"it is larger than 1 MiB"));
    }
    std::fs::read(file).map_err(|error| unfit(file, &error))
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = bytes(file)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let all = all.map_err(|_| unfit(file, &"a certificate in it is damaged"))?;
    match all.is_empty() {
        true => Err(unfit(file, &"it holds no certificate in PEM")),
        false => Ok(all),
    }
}

fn unfit(file: &Path, cause: &dyn Display) -> Error {
    let subject = file.display().to_string();
    Error::new(Kind::Invalid, "reading the files of TLS", subject).because(cause.to_string())
}

/// Makes ring the cryptography of this process, unless it has chosen another: the clients
/// of Redis, NATS and MariaDB take what the process has, and panic where two are linked
/// and none is chosen.
pub fn choose_ring() {
    // Somebody else's choice serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Addresses without their users and passwords, for people; `urls` are separated by commas.
pub fn hosts(urls: &str) -> String {
    let plain = |url: &str| {
        let address = url.trim().split_once("://").map_or(url, |(_, rest)| rest);
        let host = address.rsplit_once('@').map_or(address, |(_, host)| host);
        host.to_owned()
    };
    urls.split(',').map(plain).collect::<Vec<_>>().join(", ")
}

/// The user and the password in an address.
pub fn login_in(url: &str) -> Login {
    let address = url.split_once("://").map_or(url, |(_, rest)| rest);
    let Some((login, _)) = address.rsplit_once('@') else {
        return Login::default();
    };
    let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    Login {
        user: (!user.is_empty()).then(|| plain(user)),
        password: match password.is_empty() {
            true => Password::None,
            false => Password::Given(Secret(plain(password))),
        },
    }
}

/// What to do about a connection that failed with this text; nothing if it does not say.
pub fn hint(failure: &str) -> Option<&'static str> {
    let known = [
        (
            &["UnknownIssuer", "unknown issuer"][..],
            "no authority that is trusted here signed the server's certificate; name its \
             authority in `tls_ca`",
        ),
        (
            &[
                "NotValidForName",
                "not valid for name",
                "not valid for any names",
            ],
            "the server's certificate is for another name than the address has; write that \
             name in the address",
        ),
        (
            &["CertificateRequired", "certificate required"],
            "the server asks for a certificate; give it `tls_cert` and `tls_key`",
        ),
        (
            &[
                "CertificateUnknown",
                "UnknownCA",
                "BadCertificate",
                "DecryptError",
            ],
            "the server does not trust the certificate in `tls_cert`",
        ),
        (
            &["Expired", "expired"],
            "the server's certificate has expired, or a clock is wrong",
        ),
        (
            &["InvalidContentType", "corrupt message"],
            "the server speaks no TLS at this port",
        ),
        (
            &["timed out"],
            "it does not answer: is it running, and does it speak TLS there if it is asked to?",
        ),
        (
            &[
                "WRONGPASS",
                "NOAUTH",
                "AUTH",
                "uthorization",
                "uthentication",
            ],
            "are the user and the password right?",
        ),
        (
            &["NOPERM", "ermissions"],
            "the user lacks a right; cache-core/docs/security.md lists those it needs",
        ),
        (
            &[
                "ConnectionReset",
                "onnection reset",
                "roken pipe",
                "unexpected end",
                "eof",
            ],
            "it hung up; does it ask for TLS, or for a certificate (`tls_cert`)?",
        ),
    ];
    let fits = |words: &&[&str]| words.iter().any(|word| failure.contains(word));
    let found = known.iter().find(|(words, _)| fits(words));
    found.map(|(_, hint)| *hint)
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}
