//! Whether the program is ready, while Redis and NATS come and go.

use crate::application::Application;
use crate::life::health;
use crate::process::{agent, http, settings, signal, try_http};
use crate::world::{Client, Got, patient};
use cache_agent::proto::v1;
use cache_core::testkit::servers::nats::NatsServer;
use cache_core::testkit::servers::redis::RedisServer;
use cache_core::testkit::until::until;
use std::fs;
use std::fs::File;
use std::net::SocketAddr;
use std::time::Duration;
use tempfile::TempDir;
use tokio::process::Child;
use tokio::time::timeout;
use tonic_health::pb::health_check_response::ServingStatus::{self, NotServing, Serving};

const WITHIN: Duration = Duration::from_secs(30);
const TELLING: &str = "cacheaside.v1.InvalidationService";

fn log(folder: &TempDir) -> File {
    File::create(folder.path().join("log")).expect("a file")
}

struct Bench {
    redis: RedisServer,
    nats: NatsServer,
    admin: SocketAddr,
    child: Child,
    client: Client,
    _folder: TempDir,
}

impl Bench {
    /// With `more` of a configuration: of the cache at first.
    async fn start(start: &str, more: &str, away: fn(&RedisServer, &NatsServer)) -> Self {
        let servers = tokio::join!(RedisServer::start(), NatsServer::start());
        let (redis, nats) = (servers.0.expect("a Redis"), servers.1.expect("a NATS"));
        away(&redis, &nats);
        let folder = TempDir::new().expect("a folder");
        let (file, admin) = settings(folder.path(), &redis.url(), &nats.url(), start);
        let text = fs::read_to_string(&file).expect("the file");
        fs::write(&file, format!("{text}{more}")).expect("the file");
        let child = agent(&["serve", "--config", &file])
            .stderr(log(&folder))
            .spawn()
            .expect("the program runs");
        let up = || async { try_http(admin, "/live").await.is_some() };
        until(WITHIN, "the agent is up", up).await.expect("it is");
        let socket = format!("unix://{}/agent.sock", folder.path().display());
        Self {
            redis,
            nats,
            admin,
            child,
            client: Client::connect(&socket).await,
            _folder: folder,
        }
    }

    async fn ready(&self) -> u16 {
        http(self.admin, "/ready").await.0
    }

    /// Waits until the part is so, as a line of the answer begins.
    async fn shows(&self, line: &str) {
        let shows = || async {
            let (_, text) = http(self.admin, "/ready?verbose").await;
            text.lines().any(|one| one.starts_with(line))
        };
        until(WITHIN, line, shows).await.expect("it shows it");
    }

    async fn tells(&self, status: ServingStatus) {
        let says = || async { health(&self.client, TELLING).await == status };
        until(WITHIN, "health says it", says)
            .await
            .expect("it does");
    }

    /// That nobody is sent away.
    async fn serves(&self) {
        assert_eq!(self.ready().await, 200);
        assert_eq!(http(self.admin, "/live").await.0, 200);
        for name in [
            "",
            "cacheaside.v1.CacheService",
            "cacheaside.v1.StreamService",
        ] {
            assert_eq!(health(&self.client, name).await, Serving, "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_stays_ready_and_says_what_is_away() {
    let application = Application::default();
    let loader = application.start().await;
    let more = format!("write = 'behind'\n[loader]\naddress = '{loader}'\n");
    let bench = Bench::start("refuse", &more, |_, _| ()).await;
    for part in [
        "redis",
        "nats",
        "l1",
        "buckets",
        "write-behind of users",
        "loader",
    ] {
        bench.shows(&format!("{part}: ok")).await;
    }
    bench.serves().await;
    bench.tells(Serving).await;

    bench.nats.kill9();
    bench.tells(NotServing).await;
    bench.shows("nats: not connected").await;
    bench.shows("l1: not trusted").await;
    bench.shows("write-behind of users: asking the queue").await;
    bench.shows("redis: ok").await;
    bench.serves().await;
    let got = bench.client.get("user:1").await;
    assert!(matches!(got, Got::Lease(_)), "{got:?}");

    bench.nats.restart().await.expect("NATS is there");
    bench.tells(Serving).await;
    bench.shows("l1: ok").await;

    // Who led the queue when NATS died goes on, or another one.
    let set = v1::SetRequest {
        cache: "users".to_owned(),
        key: "user:3".into(),
        value: "Eve".into(),
        ..Default::default()
    };
    let set = bench.client.cache.clone().set(patient(set)).await;
    set.expect("it is queued");
    let written = || async { application.state().rows.contains_key(&b"user:3"[..]) };
    until(WITHIN, "the source has it", written)
        .await
        .expect("it does");

    bench.redis.kill9();
    bench.shows("redis: 256 of 256 buckets do not answer").await;
    bench.serves().await;
    assert_eq!(health(&bench.client, TELLING).await, Serving);
    assert_eq!(bench.client.get("user:2").await, Got::Busy, "a miss");
    bench.redis.restart().await.expect("Redis is there");
    for part in ["redis", "nats", "l1"] {
        bench.shows(&format!("{part}: ok")).await;
    }
    let mut child = bench.child;
    signal(&child, "TERM").await;
    let ended = timeout(WITHIN, child.wait()).await;
    let ended = ended.expect("whatever happened before, it ends");
    assert_eq!(ended.expect("it ran").code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_is_ready_only_when_both_have_been_reached() {
    let aways: [fn(&RedisServer, &NatsServer); 2] =
        [|redis, _| redis.kill9(), |_, nats| nats.kill9()];
    for away in aways {
        let more = "[loader]\naddress = 'http://127.0.0.1:1'\n";
        let bench = Bench::start("degraded", more, away).await;
        assert_eq!(bench.ready().await, 503);
        let (code, text) = http(bench.admin, "/ready?verbose").await;
        assert!(
            code == 503 && text.contains("redis: it has not been reached"),
            "{text}"
        );
        for name in ["", TELLING] {
            assert_eq!(health(&bench.client, name).await, NotServing, "{name}");
        }
        assert_eq!(bench.client.get("user:1").await, Got::Busy);
        let (redis, nats) = tokio::join!(bench.redis.restart(), bench.nats.restart());
        redis.and(nats).expect("both are there");
        let ready = || async { bench.ready().await == 200 };
        until(WITHIN, "it is ready", ready).await.expect("it is");
        bench.tells(Serving).await;
        bench.serves().await;
        bench.shows("loader: connecting to the loader").await;
    }
}
