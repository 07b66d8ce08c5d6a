//! Where a NATS is, and what lets a connection to it in.

use crate::access::{self, Login, Password, Secret, Tls};
use crate::error::{Error, Kind};
use async_nats::{Auth, AuthError, ConnectOptions};
use nkeys::KeyPair;
use std::fmt;
use std::path::{Path, PathBuf};

/// What is being done when a file of it cannot be used.
const DOING: &str = "reading what lets this process into NATS";

/// Where a NATS is, and what lets a connection to it in.
#[derive(Clone, PartialEq, Eq)]
pub struct NatsAt {
    /// Comma-separated `nats://[user:password@]host:port`, or `tls://…`, which speaks to no
    /// server without TLS.
    pub urls: String,
    /// Who this process is.
    pub login: NatsLogin,
    /// With it nothing goes over the network in the clear; without, a server may ask for TLS
    /// all the same.
    pub tls: Option<Tls>,
}

/// Who a process is to NATS. Files are read at each connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum NatsLogin {
    /// As the address says.
    #[default]
    InUrl,
    /// A user with a password.
    User(Login),
    /// The holder of the seed in this file, which begins with `SU`.
    Nkey(PathBuf),
    /// As this file of credentials says: a JWT and its seed.
    Credentials(PathBuf),
}

impl NatsAt {
    /// Without anything that is not in the addresses.
    pub fn new(urls: impl Into<String>) -> Self {
        Self {
            urls: urls.into(),
            login: NatsLogin::InUrl,
            tls: None,
        }
    }

    /// Connection options that let this process in.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for files of TLS that cannot be used.
    pub fn options(&self) -> Result<ConnectOptions, Error> {
        // Whichever address a connection is made to: a fleet of servers has one list of users.
        let in_url = self.urls.split(',').map(access::login_in);
        let in_url = in_url.max_by_key(|login| login.user.is_some());
        let (login, in_url) = (self.login.clone(), in_url.unwrap_or_default());
        let options = ConnectOptions::with_auth_callback(move |nonce| {
            let auth = auth(&login, &in_url, &nonce);
            std::future::ready(auth.map_err(AuthError::new))
        });
        // A server may ask for TLS where the address does not.
        access::choose_ring();
        let Some(tls) = &self.tls else {
            let asked_for = Tls::default().client_config()?;
            return Ok(options.tls_client_config(asked_for));
        };
        let options = options.require_tls(true);
        let Some(ca) = &tls.ca else {
            return Ok(options.tls_client_config(tls.client_config()?));
        };
        // By their names, so that they are read at each connection.
        let options = options.add_root_certificates(ca.clone());
        Ok(match &tls.identity {
            Some(own) => options.add_client_certificate(own.cert.clone(), own.key.clone()),
            None => options,
        })
    }
}

fn auth(login: &NatsLogin, in_url: &Login, nonce: &[u8]) -> Result<Auth, Error> {
    let mut auth = Auth::new();
    match login {
        NatsLogin::InUrl => with_user(&mut auth, in_url)?,
        NatsLogin::User(login) => {
            let user = login.user.clone().or_else(|| in_url.user.clone());
            let password = login.password.clone();
            with_user(&mut auth, &Login { user, password })?;
        }
        NatsLogin::Nkey(file) => {
            let text = access::secret_in(file, DOING)?;
            let seed = text.0.lines().map(str::trim);
            let key = key(file, seed.into_iter().find(|line| line.starts_with("SU")))?;
            auth.nkey = Some(key.public_key());
            auth.signature = Some(signed(file, &key, nonce)?);
        }
        NatsLogin::Credentials(file) => {
            let text = access::secret_in(file, DOING)?;
            let key = key(file, block(&text, "USER NKEY SEED"))?;
            let jwt = block(&text, "NATS USER JWT");
            let jwt = jwt.ok_or_else(|| unfit(file, "it holds no `NATS USER JWT`"))?;
            auth.jwt = Some(jwt.to_owned());
            auth.signature = Some(signed(file, &key, nonce)?);
        }
    }
    Ok(auth)
}

fn with_user(auth: &mut Auth, login: &Login) -> Result<(), Error> {
    let password = login.password.read()?.map(|secret| secret.0);
    match (&login.user, password) {
        // As other clients of NATS read `nats://token@host`.
        (Some(token), None) => auth.token = Some(token.clone()),
        (user, password) => (auth.username, auth.password) = (user.clone(), password),
    }
    Ok(())
}

/// The first line after `BEGIN <name>` in a file of credentials.
fn block<'a>(text: &'a Secret, name: &str) -> Option<&'a str> {
    let mut lines = text.0.lines().map(str::trim);
    let begin = format!("BEGIN {name}");
    lines.find(|line| line.starts_with('-') && line.contains(&begin))?;
    lines.find(|line| !line.is_empty())
}

fn key(file: &Path, seed: Option<&str>) -> Result<KeyPair, Error> {
    let seed = seed.ok_or_else(|| unfit(file, "it holds no seed of a user (`SU…`)"))?;
    // Not its cause, which could quote the seed.
    KeyPair::from_seed(seed).map_err(|_| unfit(file, "its seed is damaged"))
}

fn signed(file: &Path, key: &KeyPair, nonce: &[u8]) -> Result<Vec<u8>, Error> {
    let signed = key.sign(nonce);
    signed.map_err(|_| unfit(file, "its seed cannot sign"))
}

fn unfit(file: &Path, hint: &'static str) -> Error {
    Error::new(Kind::Invalid, DOING, file.display().to_string()).hint(hint)
}

impl NatsLogin {
    /// Whether it is a user whose password is elsewhere than in the address.
    pub fn user(login: Login) -> Self {
        match login.user.is_none() && login.password == Password::None {
            true => Self::InUrl,
            false => Self::User(login),
        }
    }
}

impl From<&str> for NatsAt {
    fn from(urls: &str) -> Self {
        Self::new(urls)
    }
}

impl From<String> for NatsAt {
    fn from(urls: String) -> Self {
        Self::new(urls)
    }
}

impl From<&String> for NatsAt {
    fn from(urls: &String) -> Self {
        Self::new(urls.as_str())
    }
}

/// Without passwords.
impl fmt::Debug for NatsAt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsAt")
            .field("hosts", &access::hosts(&self.urls))
            .field("login", &self.login)
            .field("tls", &self.tls)
            .finish()
    }
}
