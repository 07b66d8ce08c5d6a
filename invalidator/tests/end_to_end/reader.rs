//! The two kinds of readers: the library, and a caller of the agent.

use crate::rows::{self, Source};
use cache_agent::proto::v1::cache_service_client::CacheServiceClient;
use cache_agent::proto::v1::fill_request::Loaded;
use cache_agent::proto::v1::get_response::Result as Got;
use cache_agent::proto::v1::{self, FillRequest, GetRequest};
use cache_core::coherence::listen::Proof;
use cache_core::connect::{self, BusAt, RemoteAt};
use cache_core::event::{Silent, Tier};
use cache_core::model::position::Position;
use cache_core::source::{Cause, Wanted};
use cache_core::tier::redis::Deployment;
use cache_core::wire::codec::Bincode;
use cache_core::{Cache, DomainSettings, Policy, ReadThrough, Role};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};

/// Where everything is.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    pub(crate) redis: Vec<String>,
    pub(crate) nats: String,
    pub(crate) postgres: String,
}

impl Places {
    /// In one word, for a process's environment.
    pub(crate) fn pack(&self) -> String {
        format!("{}|{}|{}", self.redis.join(","), self.nats, self.postgres)
    }

    pub(crate) fn unpack(text: &str) -> Self {
        let mut parts = text.split('|').map(str::to_owned);
        let mut next = || parts.next().expect("three places");
        Self {
            redis: next().split(',').map(str::to_owned).collect(),
            nats: next(),
            postgres: next(),
        }
    }

    pub(crate) fn settings(&self) -> DomainSettings {
        DomainSettings {
            remote: RemoteAt::Redis {
                deployment: Deployment::Cluster {
                    urls: self.redis.clone(),
                },
                access: Box::default(),
                timeout: Duration::from_millis(500),
            },
            bus: BusAt::Nats {
                at: (&self.nats).into(),
                prefix: "cacheaside".to_owned(),
            },
            proof: Proof::Invalidator,
            ..DomainSettings::embedded()
        }
    }
}

/// Reads rows through a cache.
#[derive(Clone)]
pub(crate) enum Reader {
    Library(ReadThrough<u64>),
    Agent(Box<Caller>),
}

/// A caller of the agent, with its own connection to the source.
#[derive(Clone)]
pub(crate) struct Caller {
    client: CacheServiceClient<Channel>,
    source: Arc<Source>,
    cache: &'static str,
    /// How many answers came from a tier.
    pub(crate) hits: Arc<AtomicU64>,
}

impl Reader {
    pub(crate) async fn library(places: &Places) -> Self {
        let settings = places.settings();
        let domain = connect::open(&settings, Role::Member, Arc::new(Silent)).await;
        let domain = domain.expect("the servers are up");
        let policy = Policy::new("library").expect("a name");
        let cache: Cache<u64> = Cache::open(&domain, policy, Bincode::default()).expect("a policy");
        let source = Arc::new(Source::connect(&places.postgres).await);
        let load = move |wanted: Wanted<_>| {
            let source = source.clone();
            async move {
                let row = wanted.text()["user:".len()..].parse()?;
                Ok::<_, Cause>(Some(source.version(row).await?))
            }
        };
        Self::Library(cache.read_through(load))
    }

    pub(crate) async fn agent(socket: &str, cache: &'static str, postgres: &str) -> Self {
        Self::Agent(Box::new(Caller::connect(socket, cache, postgres).await))
    }

    /// The version of a row; errors in words.
    pub(crate) async fn version(&self, row: i64) -> Result<u64, String> {
        match self {
            Self::Library(cache) => match cache.get(rows::key(row)).await {
                Ok(Some(version)) => Ok(*version),
                Ok(None) => Err("the row is gone".to_owned()),
                Err(error) => Err(error.to_string()),
            },
            Self::Agent(caller) => caller.clone().version(row).await,
        }
    }
}

impl Caller {
    pub(crate) async fn connect(socket: &str, cache: &'static str, postgres: &str) -> Self {
        let endpoint = Endpoint::from_shared(format!("unix://{socket}")).expect("a socket");
        let channel = endpoint.connect().await.expect("the agent listens");
        Self {
            client: CacheServiceClient::new(channel),
            source: Arc::new(Source::connect(postgres).await),
            cache,
            hits: Arc::default(),
        }
    }

    /// The version of a row.
    async fn version(&mut self, row: i64) -> Result<u64, String> {
        let (version, ..) = self.answer(row, Position::ZERO).await?;
        Ok(version)
    }

    /// What every caller of the agent does: use a hit, else load, and fill if this
    /// caller has the lease. The version, where it was found, and its as-of there.
    pub(crate) async fn answer(
        &mut self,
        row: i64,
        at_least: Position,
    ) -> Result<(u64, Tier, Position), String> {
        let request = GetRequest {
            cache: self.cache.to_owned(),
            key: rows::key(row).into_bytes().into(),
            at_least: Some(v1::Position {
                epoch: at_least.epoch,
                offset: at_least.offset,
                tick: at_least.tick,
            }),
            ..GetRequest::default()
        };
        let (cache, key) = (request.cache.clone(), request.key.clone());
        let got = self.client.get(request).await.map_err(said)?;
        let lease = match got.into_inner().result {
            Some(Got::Hit(hit)) => {
                self.hits.fetch_add(1, Ordering::Relaxed);
                let tier = match hit.tier() {
                    v1::Tier::L1 => Tier::L1,
                    v1::Tier::L2 => Tier::L2,
                    _ => Tier::None,
                };
                let entry = hit.entry.ok_or("a hit without an entry")?;
                let as_of = entry.as_of.unwrap_or_default();
                let as_of = Position::new(as_of.epoch, as_of.offset, as_of.tick);
                let text = std::str::from_utf8(&entry.value).map_err(|e| e.to_string())?;
                let version = text.parse().map_err(|_| format!("not a version: {text}"))?;
                return Ok((version, tier, as_of));
            }
            Some(Got::Negative(_)) => return Err("the row is gone".to_owned()),
            Some(Got::Miss(miss)) => miss.lease,
            None => return Err("an answer without a result".to_owned()),
        };
        let version = self.source.version(row).await.map_err(|e| e.to_string())?;
        if let Some(lease) = lease {
            let fill = FillRequest {
                cache,
                key,
                lease_token: lease.token,
                loaded: Some(Loaded::Value(version.to_string().into_bytes().into())),
                ..FillRequest::default()
            };
            self.client.fill(fill).await.map_err(said)?;
        }
        Ok((version, Tier::None, Position::ZERO))
    }
}

fn said(status: tonic::Status) -> String {
    status.to_string()
}
