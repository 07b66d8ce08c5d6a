//! One NATS, one Redis, and invalidators in this process.

use async_nats::jetstream::stream::Config;
use async_nats::jetstream::{self, Context};
use cache_core::model::key::{Address, Bucket, KeySpace};
use cache_core::model::position::Position;
use cache_core::ops::manager::Manager;
use cache_core::testkit::servers::nats::NatsServer;
use cache_core::testkit::servers::redis::RedisServer;
use cache_core::testkit::until::until_some;
use cache_core::tier::redis::{Deployment, RedisRemote};
use cache_core::tier::{Record, Remote};
use cache_core::{DomainSettings, Error, Key, Name, Tag};
use invalidator::app::{self, App};
use invalidator::config::{self, RulesFile, Service};
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const PATIENCE: Duration = Duration::from_secs(30);

/// The rules of most of these tests.
pub(crate) const RULES: &str = "[source]\nstream = 'CDC'\ncreate_stream = true\n\
    subjects = ['cdc.>']\nack_wait = '1s'\n\
    [[rule]]\ntable = 'public.users'\ncache = 'users'\nkeys = ['user:{id}']\n";

/// The servers.
pub(crate) struct World {
    pub(crate) nats: NatsServer,
    pub(crate) redis: RedisServer,
    remote: RedisRemote,
}

/// An invalidator that runs.
pub(crate) struct Running {
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<Result<(), Error>>,
    admin: SocketAddr,
}

impl World {
    pub(crate) async fn start() -> Self {
        let (nats, redis) = tokio::join!(NatsServer::start(), RedisServer::start());
        let (nats, redis) = (nats.expect("a NATS"), redis.expect("a Redis"));
        let deployment = Deployment::Single { url: redis.url() };
        let remote = RedisRemote::connect(name("main"), &deployment, Duration::from_secs(2)).await;
        Self {
            remote: remote.expect("Redis is up"),
            nats,
            redis,
        }
    }

    /// Opens an invalidator.
    pub(crate) async fn open(&self, rules: &str) -> Result<App, Error> {
        let (service, rules) = self.files(rules);
        App::open(service, rules).await
    }

    /// A service file for these servers.
    pub(crate) fn service_file(&self) -> String {
        format!(
            "[l2]\nkind = 'single'\nurls = ['{}']\n[bus]\nurl = '{}'\n",
            self.redis.url(),
            self.nats.url()
        )
    }

    fn files(&self, rules: &str) -> (Service, RulesFile) {
        let text = self.service_file();
        let service = config::service("service.toml", &text, &[]).expect("a good file");
        let rules = config::rules("rules.toml", rules).expect("good rules");
        (service, rules)
    }

    /// How a member of the domain reaches it.
    pub(crate) fn domain(&self) -> DomainSettings {
        self.files(RULES).0.domain
    }

    /// Opens and runs an invalidator.
    pub(crate) async fn run(&self, rules: &str) -> Running {
        let app = self.open(rules).await.expect("it opens");
        let admin = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let address = admin.local_addr().expect("it is bound");
        let stop = CancellationToken::new();
        Running {
            admin: address,
            task: tokio::spawn(app.run(admin, stop.clone())),
            stop,
        }
    }

    /// Lives as the service does, whatever becomes of the stream.
    pub(crate) async fn live(&self, rules: &str) -> Running {
        let (service, rules) = self.files(rules);
        let admin = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a port");
        let stop = CancellationToken::new();
        let running = Running {
            admin: admin.local_addr().expect("it is bound"),
            task: tokio::spawn(app::live(
                service,
                rules,
                admin,
                Manager::default(),
                stop.clone(),
            )),
            stop,
        };
        until("it reads events", || running.is_ready()).await;
        running
    }

    /// JetStream, as others see it.
    pub(crate) async fn jetstream(&self) -> Context {
        jetstream::new(
            async_nats::connect(self.nats.url())
                .await
                .expect("NATS is up"),
        )
    }

    /// Publishes events and returns the place of the last one.
    pub(crate) async fn publish(&self, events: &[String]) -> u64 {
        let context = self.jetstream().await;
        let mut last = 0;
        for event in events {
            let stored = context
                .publish("cdc.public.users", event.clone().into())
                .await;
            last = stored
                .expect("NATS is up")
                .await
                .expect("it is stored")
                .sequence;
        }
        last
    }

    /// The position below which a user's key is refused.
    pub(crate) async fn floor(&self, id: u64) -> (u32, u64) {
        let key = format!("user:{id}");
        let key = Key::new(key.as_bytes()).expect("a key");
        self.floor_at(&space("users").address(key)).await
    }

    /// Where a user's record is in Redis.
    pub(crate) fn record(&self, id: u64) -> String {
        let key = format!("user:{id}");
        let address = space("users").address(Key::new(key.as_bytes()).expect("a key"));
        String::from_utf8(address.record.to_vec()).expect("plain text")
    }

    /// What Redis answers to one command, in one line.
    pub(crate) async fn redis_says(&self, command: &str) -> String {
        let port = self.redis.port();
        let connected = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
        let mut stream = BufReader::new(connected.expect("Redis is up"));
        let sent = stream.write_all(format!("{command}\r\n").as_bytes()).await;
        sent.expect("Redis is up");
        let mut line = String::new();
        stream.read_line(&mut line).await.expect("Redis is up");
        line.trim_end().to_owned()
    }

    /// The position below which a whole cache is refused.
    pub(crate) async fn cleared(&self, cache: &str) -> (u32, u64) {
        self.floor_at(&space(cache).tag_address(&Tag::all())).await
    }

    /// Whether exactly the values below a position are refused in every bucket.
    pub(crate) async fn refused_below(&self, epoch: u32, offset: u64) -> bool {
        for bucket in Bucket::all() {
            let record = Address::watermark(&name("main"), bucket).into();
            let address = Address { bucket, record };
            let reading = self.remote.read(&address).await.ok();
            let held = reading.and_then(|reading| reading.watermark);
            if held.is_none_or(|held| held.floor != Position::new(epoch, offset, 0)) {
                return false;
            }
        }
        true
    }

    async fn floor_at(&self, address: &Address) -> (u32, u64) {
        // After a restart of Redis the first read finds the old connection broken.
        let read = || async { self.remote.read(address).await.ok() };
        let reading = until_some(PATIENCE, "Redis answers", read).await;
        match reading.expect("it does").record {
            Some(Record::Mark { floor }) => (floor.epoch, floor.offset),
            _ => (0, 0),
        }
    }

    /// Deletes the consumer, and with it the memory of what is done.
    pub(crate) async fn forget_consumer(&self) {
        let stream = self
            .jetstream()
            .await
            .get_stream("CDC")
            .await
            .expect("the stream");
        // NATS 2.9 writes the consumer's folder while it removes it, and then says
        // that it could not; the consumer is gone all the same.
        drop(stream.delete_consumer("invalidator").await);
    }

    /// Whether every event is answered for.
    pub(crate) async fn all_done(&self) -> bool {
        let stream = self
            .jetstream()
            .await
            .get_stream("CDC")
            .await
            .expect("the stream");
        let consumer: Result<jetstream::consumer::PullConsumer, _> =
            stream.get_consumer("invalidator").await;
        let Ok(mut consumer) = consumer else {
            return false;
        };
        let info = consumer.info().await.expect("NATS is up");
        info.num_pending == 0 && info.num_ack_pending == 0
    }

    /// The dead letters, oldest first.
    pub(crate) async fn letters(&self) -> Vec<jetstream::message::StreamMessage> {
        let stream = self.jetstream().await.get_stream("CACHEASIDE_DLQ").await;
        let stream = stream.expect("the invalidator made it");
        let count = stream.cached_info().state.messages;
        let mut letters = Vec::new();
        for sequence in 1..=count {
            letters.push(stream.get_raw_message(sequence).await.expect("a letter"));
        }
        letters
    }
}

impl Running {
    /// The value of one of its series.
    pub(crate) async fn series(&self, series: &str) -> f64 {
        let text = self.ask("/metrics").await;
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        let value = line.unwrap_or_else(|| panic!("no {series} in {text}"));
        value.trim().parse().expect("a number")
    }

    /// Whether one of its series has this value; not while everything is opened anew.
    pub(crate) async fn shows(&self, series: &str, value: &str) -> bool {
        let text = self.answer("/metrics").await.unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(series));
        line.is_some_and(|shown| shown.trim() == value)
    }

    pub(crate) async fn is_ready(&self) -> bool {
        self.ask("/ready").await.contains("200 OK")
    }

    async fn ask(&self, path: &str) -> String {
        self.answer(path).await.expect("it listens and answers")
    }

    async fn answer(&self, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.admin).await?;
        let asked = format!("GET {path} HTTP/1.0\r\n\r\n");
        stream.write_all(asked.as_bytes()).await?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await?;
        Ok(text)
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("no panic").expect("no error");
    }
}

/// The event of an update of one user.
pub(crate) fn update(id: u64) -> String {
    format!(
        r#"{{"op": "u", "before": null, "after": {{"id": {id}}},
            "source": {{"db": "shop", "schema": "public", "table": "users"}}}}"#
    )
}

pub(crate) async fn until<F: Future<Output = bool>>(what: &str, condition: impl FnMut() -> F) {
    let waited = cache_core::testkit::until::until(PATIENCE, what, condition).await;
    waited.expect("it comes true");
}

/// A stream that keeps only so many events.
pub(crate) fn short_stream(events: i64) -> Config {
    Config {
        name: "CDC".to_owned(),
        subjects: vec!["cdc.>".to_owned()],
        max_messages: events,
        ..Config::default()
    }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn space(cache: &str) -> KeySpace {
    KeySpace::new(name("main"), name(cache))
}
