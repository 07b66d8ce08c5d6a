//! An agent to talk to, and the words to do it in.

use bytes::Bytes;
use cache_agent::accept::Accept;
use cache_agent::app::App;
use cache_agent::caches::Caches;
use cache_agent::callers::Callers;
use cache_agent::config::{Drain, Limits};
use cache_agent::listen::{self, Doors, UnixDoor};
use cache_agent::proto::v1::cache_service_client::CacheServiceClient;
use cache_agent::proto::v1::invalidation_service_client::InvalidationServiceClient;
use cache_agent::proto::v1::stream_service_client::StreamServiceClient;
use cache_agent::proto::v1::{self, get_response};
use cache_core::clock::SystemClock;
use cache_core::coherence::listen::Proof;
use cache_core::connect::{BusAt, RemoteAt};
use cache_core::model::key::BUCKETS;
use cache_core::policy::UnleasedSet;
use cache_core::testkit::servers::nats::NatsServer;
use cache_core::testkit::servers::redis::RedisServer;
use cache_core::testkit::until::until;
use cache_core::tier::redis::Deployment;
use cache_core::{DomainSettings, Policy};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

/// The value limit of the cache `users`.
pub(crate) const VALUE_MAX: usize = 4 * 1024 * 1024;

/// A running agent with one client on each door.
pub(crate) struct World {
    pub(crate) app: App,
    pub(crate) unix: Client,
    pub(crate) tcp: Client,
    pub(crate) stop: CancellationToken,
    pub(crate) serving: JoinHandle<std::io::Result<()>>,
    pub(crate) resp: SocketAddr,
    /// The port of the API.
    pub(crate) api: SocketAddr,
    pub(crate) admin: SocketAddr,
    /// Where others see how it does.
    pub(crate) scrape: SocketAddr,
    pub(crate) folder: TempDir,
    _servers: Option<(RedisServer, NatsServer)>,
}

/// A client of both services.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) channel: Channel,
    pub(crate) cache: CacheServiceClient<Channel>,
    pub(crate) invalidation: InvalidationServiceClient<Channel>,
    pub(crate) stream: StreamServiceClient<Channel>,
}

/// What a Get was answered.
#[derive(Debug, PartialEq)]
pub(crate) enum Got {
    Hit(Bytes),
    Negative,
    Lease(Bytes),
    Busy,
}

impl World {
    pub(crate) async fn embedded() -> Self {
        Self::embedded_with(quick(), Limits::default()).await
    }

    /// With these connections to its port only, to which the test connects by itself.
    pub(crate) async fn embedded_accepting(accept: Accept) -> (Self, SocketAddr) {
        let world = Self::embedded_as(|app| app.accepting(accept)).await;
        let port = world.api;
        (world, port)
    }

    /// For these callers only.
    pub(crate) async fn embedded_for(callers: Callers) -> Self {
        Self::embedded_as(|app| app.for_callers(callers)).await
    }

    async fn embedded_as(of: impl FnOnce(App) -> App) -> Self {
        let caches = Caches::new(policies());
        let settings = DomainSettings::embedded();
        Self::start_with(settings, None, quick(), Limits::default(), caches, of).await
    }

    pub(crate) async fn embedded_with(drain: Drain, limits: Limits) -> Self {
        let caches = Caches::new(policies());
        Self::start(DomainSettings::embedded(), None, drain, limits, caches).await
    }

    /// With caches that load and write by themselves.
    pub(crate) async fn over(caches: Caches) -> Self {
        let limits = Limits::default();
        Self::start(DomainSettings::embedded(), None, quick(), limits, caches).await
    }

    pub(crate) async fn real() -> Self {
        Self::real_over(Caches::new(policies())).await
    }

    pub(crate) async fn real_over(caches: Caches) -> Self {
        let servers = tokio::join!(RedisServer::start(), NatsServer::start());
        let (redis, nats) = (servers.0.expect("a Redis"), servers.1.expect("a NATS"));
        let settings = DomainSettings {
            remote: RemoteAt::Redis {
                deployment: Deployment::Single { url: redis.url() },
                access: Box::default(),
                timeout: Duration::from_secs(2),
            },
            bus: BusAt::Nats {
                at: nats.url().into(),
                prefix: "sidecar".to_owned(),
            },
            proof: Proof::Echo,
            ..DomainSettings::embedded()
        };
        let limits = Limits::default();
        Self::start(settings, Some((redis, nats)), quick(), limits, caches).await
    }

    async fn start(
        settings: DomainSettings,
        servers: Option<(RedisServer, NatsServer)>,
        drain: Drain,
        limits: Limits,
        caches: Caches,
    ) -> Self {
        Self::start_with(settings, servers, drain, limits, caches, |app| app).await
    }

    async fn start_with(
        settings: DomainSettings,
        servers: Option<(RedisServer, NatsServer)>,
        drain: Drain,
        limits: Limits,
        caches: Caches,
        of: impl FnOnce(App) -> App,
    ) -> Self {
        let folder = TempDir::new().expect("a folder for the socket");
        let socket = folder.path().join("agent.sock");
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let doors = Doors {
            unix: Some(UnixDoor::bind(&socket).await.expect("the socket")),
            tcp: Some(listen::tcp(any).await.expect("a port")),
            resp: Some(listen::tcp(any).await.expect("a port")),
            admin: listen::tcp(any).await.expect("a port"),
            scrape: Some(listen::tcp(any).await.expect("a port")),
        };
        let resp = doors.resp.as_ref().map(|door| door.local_addr());
        let resp = resp.expect("the door just opened").expect("its address");
        let tcp = doors
            .tcp
            .as_ref()
            .map(|door| door.local_addr().expect("its address"));
        let tcp = tcp.expect("the door just opened");
        let admin = doors.admin.local_addr().expect("its address");
        let scrape = doors.scrape.as_ref().map(|door| door.local_addr());
        let scrape = scrape.expect("the door just opened").expect("its address");
        let app = App::over(caches, limits, Arc::new(SystemClock::new())).await;
        let app = of(app);
        app.join(&settings).await.expect("the domain is joined");
        // Who joins an empty L2 begins every bucket, and tells; a watch that is open by then
        // would hear of a gap.
        let begun = async || app.stats().agent.invalidations >= BUCKETS as u64;
        let begun = until(Duration::from_secs(10), "every bucket has begun", begun);
        begun.await.expect("it hears of them");
        let stop = CancellationToken::new();
        let serving = tokio::spawn(app.clone().serve(doors, drain, stop.clone()));
        Self {
            app,
            unix: Client::connect(&format!("unix://{}", socket.display())).await,
            tcp: Client::lazy(&format!("http://{tcp}")),
            stop,
            serving,
            api: tcp,
            admin,
            scrape,
            resp,
            folder,
            _servers: servers,
        }
    }
}

fn policies() -> Vec<Policy> {
    let mut users = Policy::new("users").expect("a name");
    users.load_timeout = Duration::from_millis(500);
    users.lease = Duration::from_secs(5);
    users.wait = Duration::from_millis(300);
    users.value_bytes_max = VALUE_MAX;
    let mut notes = users.clone();
    notes.name = cache_core::Name::new("notes").expect("a name");
    notes.unleased_set = UnleasedSet::Stores;
    let mut brief = users.clone();
    brief.name = cache_core::Name::new("brief").expect("a name");
    brief.lifetime.ttl = Duration::from_millis(30);
    brief.lifetime.jitter = 0.0;
    vec![users, notes, brief]
}

pub(crate) fn quick() -> Drain {
    Drain {
        delay: Duration::ZERO,
        timeout: Duration::from_secs(10),
    }
}

impl Client {
    pub(crate) async fn connect(address: &str) -> Self {
        let endpoint = Endpoint::from_shared(address.to_owned()).expect("an address");
        Self::over(endpoint.connect().await.expect("the agent listens"))
    }

    /// Connects when it is first used.
    pub(crate) fn lazy(address: &str) -> Self {
        let endpoint = Endpoint::from_shared(address.to_owned()).expect("an address");
        Self::over(endpoint.connect_lazy())
    }

    pub(crate) fn over(channel: Channel) -> Self {
        let most = 32 * 1024 * 1024;
        Self {
            cache: CacheServiceClient::new(channel.clone())
                .max_decoding_message_size(most)
                .max_encoding_message_size(most),
            invalidation: InvalidationServiceClient::new(channel.clone()),
            stream: StreamServiceClient::new(channel.clone()),
            channel,
        }
    }

    pub(crate) async fn get(&self, key: &str) -> Got {
        self.try_get(get(key)).await.expect("an answer")
    }

    pub(crate) async fn try_get(&self, request: v1::GetRequest) -> Result<Got, Status> {
        let answer = self.cache.clone().get(patient(request)).await?;
        Ok(answer.into_inner().into())
    }

    /// The lease of a key that is surely missed.
    pub(crate) async fn lease(&self, key: &str) -> Bytes {
        match self.get(key).await {
            Got::Lease(token) => token,
            other => panic!("no lease but {other:?}"),
        }
    }

    /// A key with a value.
    pub(crate) async fn store(&self, key: &str, value: &str) {
        let token = self.lease(key).await;
        assert_eq!(self.fill(key, &token, value).await, v1::FillOutcome::Stored);
    }

    pub(crate) async fn fill(&self, key: &str, token: &Bytes, value: &str) -> v1::FillOutcome {
        let filled = self.try_fill(fill(key, token, value)).await;
        filled.expect("an answer").outcome()
    }

    pub(crate) async fn try_fill(
        &self,
        request: v1::FillRequest,
    ) -> Result<v1::FillResponse, Status> {
        Ok(self
            .cache
            .clone()
            .fill(patient(request))
            .await?
            .into_inner())
    }

    pub(crate) async fn invalidate(&self, request: v1::InvalidateRequest) -> Result<bool, Status> {
        let answer = self
            .invalidation
            .clone()
            .invalidate(patient(request))
            .await?;
        Ok(answer.into_inner().l2_acknowledged)
    }

    pub(crate) async fn invalidate_key(&self, key: &str) {
        let request = v1::InvalidateRequest {
            cache: "users".to_owned(),
            keys: vec![Bytes::copy_from_slice(key.as_bytes())],
            ..Default::default()
        };
        assert!(
            self.invalidate(request).await.expect("an answer"),
            "L2 has it"
        );
    }
}

pub(crate) fn get(key: &str) -> v1::GetRequest {
    v1::GetRequest {
        cache: "users".to_owned(),
        key: Bytes::copy_from_slice(key.as_bytes()),
        ..Default::default()
    }
}

/// The same request of another cache.
pub(crate) fn get_of(cache: &str, key: &str) -> v1::GetRequest {
    v1::GetRequest {
        cache: cache.to_owned(),
        ..get(key)
    }
}

pub(crate) fn fill(key: &str, token: &Bytes, value: &str) -> v1::FillRequest {
    v1::FillRequest {
        cache: "users".to_owned(),
        key: Bytes::copy_from_slice(key.as_bytes()),
        lease_token: token.clone(),
        loaded: Some(v1::fill_request::Loaded::Value(Bytes::copy_from_slice(
            value.as_bytes(),
        ))),
        ..Default::default()
    }
}

/// The call of a caller that has time.
pub(crate) fn patient<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(Duration::from_secs(20));
    request
}

pub(crate) fn hit(value: &str) -> Got {
    Got::Hit(Bytes::copy_from_slice(value.as_bytes()))
}

/// A refusal's code and reason.
pub(crate) fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String) {
    let status = answer.expect_err("a refusal");
    let details = status.get_error_details();
    let info = details
        .error_info()
        .expect("every refusal has an ErrorInfo");
    assert_eq!(info.domain, "cache-agent.cacheaside");
    (status.code(), info.reason.clone())
}

impl From<v1::GetResponse> for Got {
    fn from(response: v1::GetResponse) -> Self {
        match response.result.expect("a result is always set") {
            get_response::Result::Hit(hit) => Self::Hit(hit.entry.expect("a hit's entry").value),
            get_response::Result::Negative(_) => Self::Negative,
            get_response::Result::Miss(miss) => match miss.lease {
                Some(lease) => Self::Lease(lease.token),
                None => {
                    assert!(miss.retry_after.is_some(), "says when to come again");
                    Self::Busy
                }
            },
        }
    }
}
