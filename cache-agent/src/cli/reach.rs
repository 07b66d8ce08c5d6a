//! How the commands reach an agent that runs.

use crate::cli::say::Trouble;
use cache_core::access::{Identity, Tls, secret_in};
use cache_core::config::units::parse_duration;
use cache_core::ops::exit::Exit;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;
use tower::service_fn;

/// More than any value that an agent takes.
pub const MESSAGE_MAX: usize = 32 << 20;

/// Where the agent's API is.
#[derive(Clone, Debug, clap::Args)]
pub struct Api {
    /// The agent: unix:///path, http://host:port or https://host:port
    #[arg(long, env = "CACHE_AGENT_ADDR", value_name = "ADDRESS")]
    #[arg(default_value = "http://127.0.0.1:7390", value_parser = address)]
    agent: String,
    #[command(flatten)]
    access: Access,
}

/// Where the agent's admin listener is.
#[derive(Clone, Debug, clap::Args)]
pub struct Admin {
    /// The agent's admin listener
    #[arg(long, env = "CACHE_AGENT_ADMIN", value_name = "ADDRESS")]
    #[arg(default_value = "http://127.0.0.1:9464", value_parser = address)]
    admin: String,
    #[command(flatten)]
    access: Access,
}

/// What lets a command in, and how long it waits.
#[derive(Clone, Debug, clap::Args)]
pub struct Access {
    /// A file with the token of an [[identity]]
    #[arg(long, env = "CACHE_AGENT_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The authority that signed the agent's certificate, in PEM
    #[arg(long, env = "CACHE_AGENT_TLS_CA", value_name = "FILE")]
    tls_ca: Option<PathBuf>,
    /// The certificate to show to an agent that asks for one, in PEM
    #[arg(
        long,
        env = "CACHE_AGENT_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    tls_cert: Option<PathBuf>,
    /// Its key
    #[arg(
        long,
        env = "CACHE_AGENT_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    tls_key: Option<PathBuf>,
    /// How long to wait for an answer
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = parse_duration)]
    timeout: Duration,
}

/// A connection to an agent.
#[derive(Clone, Debug)]
pub struct Reached {
    /// What calls go over.
    pub channel: Channel,
    /// Where it leads to.
    pub address: String,
    hint: &'static str,
    token: Option<AsciiMetadataValue>,
    timeout: Duration,
}

impl Api {
    /// Connects.
    ///
    /// # Errors
    /// [`Exit::Unreachable`] where nobody answers, [`Exit::Usage`] for files that cannot be
    /// used.
    pub async fn connect(&self) -> Result<Reached, Trouble> {
        let hint = "is it running? name it with --agent or CACHE_AGENT_ADDR";
        self.access.connect(&self.agent, hint).await
    }
}

impl Admin {
    /// One at an address.
    pub fn at(address: &str, access: Access) -> Self {
        Self {
            admin: address.to_owned(),
            access,
        }
    }

    /// Connects.
    ///
    /// # Errors
    /// As [`Api::connect`].
    pub async fn connect(&self) -> Result<Reached, Trouble> {
        let hint = "is it running? name its admin listener with --admin or CACHE_AGENT_ADMIN";
        self.access.connect(&self.admin, hint).await
    }
}

impl Access {
    async fn connect(&self, address: &str, hint: &'static str) -> Result<Reached, Trouble> {
        let unfit = |error: cache_core::Error| Trouble::usage(error.to_string());
        let token = self.token_file.as_deref().map(|file| {
            let token = secret_in(file, "reading the token").map_err(unfit)?;
            // A file has the old token and the new while they rotate: the last is the new.
            let last = token
                .0
                .lines()
                .map(str::trim)
                .rfind(|line| !line.is_empty());
            let value = last.and_then(|last| format!("Bearer {last}").parse().ok());
            let refused = || Trouble::usage(format!("{}: there is no token", file.display()));
            value.ok_or_else(refused)
        });
        let token = token.transpose()?;
        let endpoint = Endpoint::from_shared(address.to_owned())
            .map_err(|error| Trouble::usage(format!("{address}: {error}")))?
            .connect_timeout(self.timeout);
        let connected = match address.starts_with("https://") {
            true => {
                let config = Arc::new(self.tls().client_config().map_err(unfit)?);
                let connect = service_fn(move |uri| encrypted(uri, config.clone()));
                endpoint.connect_with_connector(connect).await
            }
            false => endpoint.connect().await,
        };
        let channel = connected.map_err(|error| unreachable(address, hint, &error))?;
        Ok(Reached {
            channel,
            address: address.to_owned(),
            hint,
            token,
            timeout: self.timeout,
        })
    }

    fn tls(&self) -> Tls {
        let pair = self.tls_cert.clone().zip(self.tls_key.clone());
        Tls {
            ca: self.tls_ca.clone(),
            identity: pair.map(|(cert, key)| Identity { cert, key }),
            name: None,
        }
    }
}

impl Reached {
    /// A call with a deadline.
    pub fn ask<T>(&self, message: T) -> Request<T> {
        let mut request = self.ask_on(message);
        request.set_timeout(self.timeout);
        request
    }

    /// A call that goes on.
    pub fn ask_on<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if let Some(token) = &self.token {
            let token = token.clone();
            request.metadata_mut().insert("authorization", token);
        }
        request
    }

    /// Why a call failed.
    pub fn why(&self, status: &Status) -> Trouble {
        let reason = status.get_details_error_info().map(|info| info.reason);
        let text = match &reason {
            Some(reason) => format!("{reason}: {}", status.message()),
            None => status.message().to_owned(),
        };
        let trouble = match status.code() {
            Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
                Trouble::usage(text)
            }
            // The agent says a reason; without one, it was not the agent.
            Code::Unavailable if reason.is_none() => unreachable(&self.address, self.hint, status),
            // The second is how the transport calls it.
            Code::DeadlineExceeded | Code::Cancelled if reason.is_none() => {
                let text = format!("{} gave no answer within {:?}", self.address, self.timeout);
                Trouble::with(Exit::Unreachable, text)
            }
            Code::Unavailable => Trouble::with(Exit::Unreachable, text),
            _ => Trouble::failed(text),
        };
        Trouble { reason, ..trouble }
    }
}

fn address(text: &str) -> Result<String, String> {
    let known = ["unix:///", "http://", "https://"];
    match known.iter().any(|scheme| text.starts_with(scheme)) {
        true => Ok(text.to_owned()),
        false => Err("an address looks like unix:///run/cache-agent/agent.sock, \
             http://127.0.0.1:7390 or https://host:7390"
            .to_owned()),
    }
}

/// What lies at the bottom of an error.
pub fn cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

fn unreachable(address: &str, hint: &str, error: &dyn std::error::Error) -> Trouble {
    let cause = cause(error);
    let mut text = format!("cannot reach the agent at {address}: {cause}; {hint}");
    if let Some(more) = cache_core::access::hint(&cause) {
        text.push_str("; ");
        text.push_str(more);
    }
    Trouble::with(Exit::Unreachable, text)
}

async fn encrypted(
    uri: Uri,
    config: Arc<ClientConfig>,
) -> io::Result<TokioIo<tokio_rustls::client::TlsStream<TcpStream>>> {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(443))).await?;
    stream.set_nodelay(true)?;
    let mut config = (*config).clone();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    Ok(TokioIo::new(stream))
}
