//! Redis and NATS as those set them up who do not trust their network: each test ends with
//! a value that two processes share, and an invalidation that reaches both.

mod acl;
mod clusters;
mod files;
mod nats;
mod redis;

use cache_core::access::{Identity, Login, Password, Secret, Tls};
use cache_core::bus::server::NatsAt;
use cache_core::connect::{self, BusAt, RemoteAt};
use cache_core::event::Silent;
use cache_core::source::Cause;
use cache_core::testkit::certificates::{Certificates, Pair};
use cache_core::testkit::servers::redis::RedisServer;
use cache_core::testkit::until::until;
use cache_core::tier::redis::{Deployment, RedisAccess};
use cache_core::{Cache, Domain, DomainSettings, Error, Role};
use std::sync::Arc;
use std::time::Duration;

fn certificates() -> Certificates {
    Certificates::make().expect("a folder for certificates")
}

/// Trusts our authority.
fn trusting(certificates: &Certificates) -> Tls {
    Tls {
        ca: Some(certificates.ca()),
        ..Tls::default()
    }
}

fn showing(pair: Pair, tls: Tls) -> Tls {
    let Pair { cert, key } = pair;
    Tls {
        identity: Some(Identity { cert, key }),
        ..tls
    }
}

fn login(user: &str, password: &str) -> Login {
    Login {
        user: Some(user.to_owned()),
        password: Password::Given(Secret(password.to_owned())),
    }
}

fn with_redis(deployment: Deployment, access: RedisAccess) -> DomainSettings {
    DomainSettings {
        remote: RemoteAt::Redis {
            deployment,
            access: Box::new(access),
            timeout: Duration::from_secs(2),
        },
        ..DomainSettings::embedded()
    }
}

/// With a Redis that anybody may use.
fn with_nats(redis: &RedisServer, at: NatsAt) -> DomainSettings {
    let deployment = Deployment::Single { url: redis.url() };
    DomainSettings {
        bus: BusAt::Nats {
            at,
            prefix: "test".to_owned(),
        },
        ..with_redis(deployment, RedisAccess::default())
    }
}

async fn open(settings: &DomainSettings) -> Result<Arc<Domain>, Error> {
    connect::open(settings, Role::Member, Arc::new(Silent)).await
}

/// Why a domain cannot be joined.
async fn refused(settings: &DomainSettings) -> String {
    let error = open(settings).await.err();
    error.expect("it is not let in").to_string()
}

/// Two processes share a value through L2 until it is invalidated, of which the other hears
/// if there is a bus between them.
async fn serves(settings: &DomainSettings) {
    let (one, other) = (joined(settings).await, joined(settings).await);
    one.invalidate("user:7").await.expect("it is announced");
    assert_eq!(load(&one, "old").await, "old");
    assert_eq!(load(&other, "another").await, "old");
    assert!(one.invalidate("user:7").await.expect("it is announced"));
    assert_eq!(load(&one, "new").await, "new");
    if settings.bus != BusAt::Memory {
        let hears = || async { load(&other, "another").await == "new" };
        let heard = until(Duration::from_secs(10), "the other hears of it", hears).await;
        heard.expect("the bus carries it");
    }
    let third = joined(settings).await;
    assert_eq!(load(&third, "another").await, "new");
}

async fn joined(settings: &DomainSettings) -> Cache<String> {
    let domain = open(settings).await.expect("it is let in");
    Cache::builder("users").open(&domain).expect("a cache")
}

async fn load(cache: &Cache<String>, value: &str) -> String {
    let value = value.to_owned();
    let loaded = cache
        .get_or_load("user:7", |_| async move { Ok::<_, Cause>(Some(value)) })
        .await;
    let loaded = loaded.expect("it is loaded");
    loaded.as_deref().cloned().expect("it is there")
}

/// Waits until a process whose connections broke invalidates again.
async fn comes_back(cache: &Cache<String>) {
    let announces = || async { cache.invalidate("user:7").await.unwrap_or(false) };
    let back = until(Duration::from_secs(10), "it comes back", announces).await;
    back.expect("the next connection is let in");
}
