//! How a deployment is reached, as the settings say it.

use super::directory::Directory;
use super::place::Place;
use crate::access::{self, Login, Tls};
use crate::error::{Error, Kind};
use std::fmt;

/// How the Redis deployment is reached. With `rediss://` every connection is encrypted.
#[derive(Clone, PartialEq, Eq)]
pub enum Deployment {
    /// One node.
    Single {
        /// `redis://[user:password@]host:port[/db]`.
        url: String,
    },
    /// A cluster, found through any of these nodes.
    Cluster {
        /// One URL a node; three are enough for any cluster.
        urls: Vec<String>,
    },
    /// A master watched by sentinels.
    Sentinel {
        /// One URL a sentinel.
        urls: Vec<String>,
        /// The name under which the sentinels know the master.
        service: String,
    },
}

/// What lets a connection in, beside what the addresses say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RedisAccess {
    /// To the nodes with the data.
    pub login: Login,
    /// To the sentinels; as to the nodes if there is none.
    pub sentinels: Option<Login>,
    /// To both; for `rediss://` alone.
    pub tls: Option<Tls>,
}

impl Deployment {
    /// The addresses without their passwords, for messages.
    fn hosts(&self) -> String {
        let urls = match self {
            Self::Single { url } => std::slice::from_ref(url),
            Self::Cluster { urls } | Self::Sentinel { urls, .. } => urls,
        };
        access::hosts(&urls.join(","))
    }
}

/// The error of a deployment of which nobody answers.
pub(super) fn unreachable(deployment: &Deployment, why: Option<redis::RedisError>) -> Error {
    let said = why.as_ref().map(ToString::to_string).unwrap_or_default();
    let hint = access::hint(&said).unwrap_or("is it running, and is the address right?");
    let error = Error::new(Kind::Unavailable, "connecting to Redis", deployment.hosts());
    match why {
        Some(why) => error.because(why).hint(hint),
        None => error.because("no node answered").hint(hint),
    }
}

/// Where to ask who serves what.
///
/// # Errors
/// [`Kind::Invalid`] for an address that cannot be read.
pub(super) fn directory(deployment: &Deployment, access: &RedisAccess) -> Result<Directory, Error> {
    let parse = |url: &String| {
        Place::parse(url, &access.login, access.tls.as_ref()).map_err(|error| {
            Error::new(Kind::Invalid, "reading a Redis address", deployment.hosts())
                .because(error)
                .hint("an address looks like redis://host:6379, with TLS rediss://host:6379")
        })
    };
    Ok(match deployment {
        Deployment::Single { url } => Directory::Single(Box::new(parse(url)?)),
        Deployment::Cluster { urls } => {
            Directory::Cluster(urls.iter().map(parse).collect::<Result<_, _>>()?)
        }
        Deployment::Sentinel { urls, service } => {
            let places: Vec<Place> = urls.iter().map(parse).collect::<Result<_, _>>()?;
            let Some(door) = places.first().cloned().map(Box::new) else {
                let wrong = Error::new(Kind::Invalid, "reading Redis addresses", service.as_str());
                return Err(wrong.hint("there must be the address of a sentinel"));
            };
            let as_watcher = |place: &Place| match &access.sentinels {
                Some(login) => place.with_login(login),
                None => place.clone(),
            };
            Directory::Sentinel {
                sentinels: places.iter().map(as_watcher).collect(),
                door,
                service: service.clone(),
            }
        }
    })
}

/// Without passwords.
impl fmt::Debug for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Single { .. } => "Single",
            Self::Cluster { .. } => "Cluster",
            Self::Sentinel { .. } => "Sentinel",
        };
        let mut shown = f.debug_struct(name);
        shown.field("hosts", &self.hosts());
        if let Self::Sentinel { service, .. } = self {
            shown.field("service", service);
        }
        shown.finish()
    }
}
