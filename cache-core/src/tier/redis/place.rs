//! Where a node is, and what lets a connection to it in.

use crate::access::{self, Login, Tls};
use crate::error::Error;
use redis::aio::MultiplexedConnection;
use redis::io::AsyncDNSResolver;
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, ErrorKind,
    IntoConnectionInfo, RedisError, RedisFuture, RedisResult, TlsCertificates,
};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// Where a node is.
#[derive(Clone)]
pub(super) struct Place {
    /// The address, and what else its URL says.
    info: ConnectionInfo,
    /// Comes before what the URL says.
    login: Login,
    tls: Option<Tls>,
}

impl Place {
    /// Reads an address as the settings give it.
    pub(super) fn parse(url: &str, login: &Login, tls: Option<&Tls>) -> RedisResult<Self> {
        let info = url.into_connection_info()?;
        let tls = match (info.addr(), tls) {
            (
                ConnectionAddr::TcpTls {
                    insecure: false, ..
                },
                tls,
            ) => Some(tls.cloned().unwrap_or_default()),
            (ConnectionAddr::TcpTls { .. }, _) => {
                return Err(unfit("without #insecure: it would speak to anybody"));
            }
            (_, Some(_)) => return Err(unfit("TLS begins with rediss://")),
            (_, None) => None,
        };
        let tcp = info.tcp_settings().clone();
        // Small commands must not wait for more to join them.
        let info = info.set_tcp_settings(tcp.set_nodelay(true));
        Ok(Self {
            info,
            login: login.clone(),
            tls,
        })
    }

    /// The same way in, to another address.
    pub(super) fn at(&self, host: &str, port: u16) -> Self {
        let host = host.to_owned();
        let addr = match &self.tls {
            None => ConnectionAddr::Tcp(host, port),
            Some(_) => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: false,
                tls_params: None,
            },
        };
        Self {
            info: self.info.clone().set_addr(addr),
            ..self.clone()
        }
    }

    /// The same address, for somebody else.
    pub(super) fn with_login(&self, login: &Login) -> Self {
        let redis = redis::RedisConnectionInfo::default().set_db(self.info.redis_settings().db());
        Self {
            info: self.info.clone().set_redis_settings(redis),
            login: login.clone(),
            tls: self.tls.clone(),
        }
    }

    /// `host:port`.
    pub(super) fn address(&self) -> String {
        self.info.addr().to_string()
    }

    /// The host, if it has one.
    pub(super) fn host(&self) -> Option<&str> {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => Some(host),
            _ => None,
        }
    }

    /// A new connection, let in by what the files say at this moment.
    pub(super) async fn connect(&self, timeout: Duration) -> RedisResult<MultiplexedConnection> {
        let mut config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(timeout))
            .set_response_timeout(Some(timeout));
        let mut info = self.info.clone().set_redis_settings(self.redis_settings()?);
        let named = self.tls.as_ref().and_then(|tls| tls.name.clone());
        if let (Some(name), ConnectionAddr::TcpTls { host, port, .. }) = (named, self.info.addr()) {
            config = config.set_dns_resolver(Host(host.clone()));
            info = info.set_addr(ConnectionAddr::TcpTls {
                host: name,
                port: *port,
                insecure: false,
                tls_params: None,
            });
        }
        let client = match &self.tls {
            None => Client::open(info)?,
            Some(tls) => {
                access::choose_ring();
                Client::build_with_tls(info, certificates(tls).map_err(unreadable)?)?
            }
        };
        let connecting = client.get_multiplexed_async_connection_with_config(&config);
        connecting.await
    }

    fn redis_settings(&self) -> RedisResult<redis::RedisConnectionInfo> {
        let mut redis = self.info.redis_settings().clone();
        if let Some(user) = &self.login.user {
            redis = redis.set_username(user);
        }
        if let Some(password) = self.login.password.read().map_err(unreadable)? {
            redis = redis.set_password(password.0);
        }
        Ok(redis)
    }
}

fn certificates(tls: &Tls) -> Result<TlsCertificates, Error> {
    let identity = tls.identity.as_ref().map(|identity| {
        Ok(ClientTlsConfig {
            client_cert: access::bytes(&identity.cert)?,
            client_key: access::bytes(&identity.key)?,
        })
    });
    let root = tls.ca.as_deref().map(access::bytes);
    Ok(TlsCertificates {
        client_tls: identity.transpose()?,
        root_cert: root.transpose()?,
    })
}

fn unfit(what: &'static str) -> RedisError {
    RedisError::from((ErrorKind::InvalidClientConfig, what))
}

fn unreadable(error: Error) -> RedisError {
    let kind = ErrorKind::InvalidClientConfig;
    RedisError::from((kind, "what lets it in", error.to_string()))
}

/// Answers every question with the addresses of one host: the name that is asked for is
/// that of the certificate.
struct Host(String);

impl AsyncDNSResolver for Host {
    fn resolve<'a, 'b: 'a>(
        &'a self,
        _: &'b str,
        port: u16,
    ) -> RedisFuture<'a, Box<dyn Iterator<Item = SocketAddr> + Send + 'a>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((self.0.as_str(), port)).await?;
            let found: Box<dyn Iterator<Item = SocketAddr> + Send> = Box::new(found);
            Ok(found)
        })
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Place({})", self.info.addr())
    }
}
