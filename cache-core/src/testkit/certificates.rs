//! Certificates of a test: an authority, a server's, a client's, and those of strangers.

use crate::testkit::servers::ServerError;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The only name in [`Certificates::named`].
pub const NAME: &str = "cache.example";

/// Files in PEM, in a folder that goes away.
#[derive(Debug)]
pub struct Certificates {
    folder: TempDir,
}

/// A certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub cert: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// How a server is encrypted.
#[derive(Clone, Debug)]
pub struct Guard {
    /// Who signed the certificates of clients.
    pub ca: PathBuf,
    /// What the server shows.
    pub own: Pair,
    /// Whether it asks each client for a certificate.
    pub asks: bool,
}

impl Certificates {
    /// Makes them.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn make() -> Result<Self, ServerError> {
        let folder = TempDir::new().map_err(failed)?;
        let made = Self { folder };
        let ours = Authority::make("ours")?;
        ours.write(&made.ca())?;
        ours.sign(&made.server(), &["127.0.0.1", "localhost"])?;
        ours.sign(&made.named(), &[NAME])?;
        ours.sign(&made.client(), &["client"])?;
        let strangers = Authority::make("strangers")?;
        strangers.write(&made.strangers_ca())?;
        strangers.sign(&made.stranger(), &["client"])?;
        Ok(made)
    }

    /// The authority's.
    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Of a server at `127.0.0.1` and `localhost`.
    pub fn server(&self) -> Pair {
        self.pair("server")
    }

    /// Of a server at [`NAME`] only.
    pub fn named(&self) -> Pair {
        self.pair("named")
    }

    /// Of a client.
    pub fn client(&self) -> Pair {
        self.pair("client")
    }

    /// Of an authority that signed none of the others.
    pub fn strangers_ca(&self) -> PathBuf {
        self.folder.path().join("strangers.pem")
    }

    /// Of a client that another authority vouches for.
    pub fn stranger(&self) -> Pair {
        self.pair("stranger")
    }

    /// A server that anybody may speak to.
    pub fn guard(&self) -> Guard {
        Guard {
            ca: self.ca(),
            own: self.server(),
            asks: false,
        }
    }

    /// A server that only [`Certificates::client`] may speak to.
    pub fn asking(&self) -> Guard {
        Guard {
            asks: true,
            ..self.guard()
        }
    }

    fn pair(&self, name: &str) -> Pair {
        let file = |end: &str| self.folder.path().join(format!("{name}.{end}"));
        Pair {
            cert: file("pem"),
            key: file("key"),
        }
    }
}

impl Guard {
    /// The same files in another folder, for servers that run as somebody else.
    pub(crate) fn copied_to(&self, folder: &Path) -> Result<Self, ServerError> {
        use std::os::unix::fs::PermissionsExt;
        let copy = |file: &Path, name: &str| {
            let to = folder.join(name);
            fs::copy(file, &to).map_err(failed)?;
            fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).map_err(failed)?;
            Ok::<_, ServerError>(to)
        };
        Ok(Self {
            ca: copy(&self.ca, "ca.pem")?,
            own: Pair {
                cert: copy(&self.own.cert, "server.pem")?,
                key: copy(&self.own.key, "server.key")?,
            },
            asks: self.asks,
        })
    }
}

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn make(name: &str) -> Result<Self, ServerError> {
        let key = KeyPair::generate().map_err(io::Error::other);
        let key = key.map_err(failed)?;
        let mut params = params(name, &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let own = params.self_signed(&key).map_err(io::Error::other);
        Ok(Self {
            pem: own.map_err(failed)?.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    fn write(&self, file: &Path) -> Result<(), ServerError> {
        fs::write(file, &self.pem).map_err(failed)
    }

    fn sign(&self, to: &Pair, names: &[&str]) -> Result<(), ServerError> {
        let key = KeyPair::generate().map_err(io::Error::other);
        let key = key.map_err(failed)?;
        let mut params = params(names[0], names)?;
        // Nodes of a cluster are each other's clients.
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let signed = params.signed_by(&key, &self.issuer);
        let signed = signed.map_err(io::Error::other).map_err(failed)?;
        fs::write(&to.cert, signed.pem()).map_err(failed)?;
        fs::write(&to.key, key.serialize_pem()).map_err(failed)
    }
}

fn params(name: &str, names: &[&str]) -> Result<CertificateParams, ServerError> {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let params = CertificateParams::new(names).map_err(io::Error::other);
    let mut params = params.map_err(failed)?;
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}

fn failed(source: io::Error) -> ServerError {
    ServerError::Io {
        doing: "making certificates".to_owned(),
        source,
    }
}
