//! The servers, the invalidators, and the stream between them.

use crate::reader::Places;
use crate::rows::{self, ROWS};
use crate::service::Service;
use async_nats::jetstream::{self, Context};
use cache_core::Name;
use cache_core::testkit::servers::cluster::RedisCluster;
use cache_core::testkit::servers::nats::NatsServer;
use cache_core::testkit::servers::postgres::PostgresServer;
use cache_core::testkit::until::{pace, until};
use cache_core::tier::Remote;
use cache_core::tier::redis::{Deployment, RedisRemote};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

const RULES: &str = r#"
[source]
stream = "CDC"
durable = "invalidator"
create_stream = true
subjects = ["cdc.>"]
ack_wait = "2s"

[[rule]]
table = "public.users"
cache = "library"
keys = ["user:{id}"]
tags = ["team:{team_id}"]

[[rule]]
table = "public.users"
cache = "agent"
keys = ["user:{id}"]
"#;

/// Everything that is not a reader.
pub(crate) struct World {
    cluster: RedisCluster,
    nats: NatsServer,
    postgres: PostgresServer,
    invalidators: Vec<Service>,
    stream: Context,
    folder: TempDir,
    rules: &'static str,
    /// The processes that were ever started.
    started: usize,
}

impl World {
    pub(crate) async fn start(invalidators: usize) -> Self {
        Self::with_rules(invalidators, RULES).await
    }

    /// Starts everything, with these rules.
    pub(crate) async fn with_rules(invalidators: usize, rules: &'static str) -> Self {
        let (cluster, nats, postgres) = tokio::join!(
            RedisCluster::start(),
            NatsServer::start(),
            PostgresServer::start()
        );
        let nats = nats.expect("nats-server starts");
        let client = async_nats::connect(nats.url()).await.expect("NATS is up");
        let mut world = Self {
            cluster: cluster.expect("a cluster starts"),
            postgres: postgres.expect("Postgres starts"),
            invalidators: Vec::new(),
            rules,
            started: 0,
            stream: jetstream::new(client),
            nats,
            folder: tempfile::tempdir().expect("a folder"),
        };
        let client = rows::connect(&world.postgres.connect_string()).await;
        rows::create(&client, ROWS).await;
        for _ in 0..invalidators {
            world.start_an_invalidator().await;
        }
        world
    }

    /// Starts one more invalidator.
    pub(crate) async fn start_an_invalidator(&mut self) {
        let (number, places) = (self.number(), self.places());
        let service = Service::start(self.folder.path(), number, &places, self.rules, "").await;
        self.invalidators.push(service);
    }

    /// Starts a capture of the database.
    pub(crate) async fn start_a_capture(&mut self) -> Service {
        let text = format!(
            "[postgres]\nurl = 'postgres://postgres@127.0.0.1:{}/postgres'\ncreate = true\n\
             tables = ['public.users']\nheartbeat = '1s'\nconfirm_after = '1s'\n\
             [events]\nurl = '{}'\nstream = 'CDC'\n",
            self.postgres.port(),
            self.nats.url(),
        );
        let number = self.number();
        Service::capture(self.folder.path(), number, &text).await
    }

    fn number(&mut self) -> usize {
        self.started += 1;
        self.started
    }

    /// Ends NATS without a word, and starts it again after a while.
    pub(crate) async fn kill_nats(&mut self, away: Duration) {
        self.nats.kill9();
        pace(away).await;
        self.nats.restart().await.expect("NATS starts again");
    }

    /// JetStream, as others see it.
    pub(crate) fn stream(&self) -> &Context {
        &self.stream
    }

    pub(crate) fn places(&self) -> Places {
        Places {
            redis: self.cluster.urls(),
            nats: self.nats.url(),
            postgres: self.postgres.connect_string(),
        }
    }

    pub(crate) async fn remote(&self) -> Arc<dyn Remote> {
        let deployment = Deployment::Cluster {
            urls: self.cluster.urls(),
        };
        let name = Name::new("main").expect("a name");
        let remote = RedisRemote::connect(name, &deployment, Duration::from_secs(2)).await;
        Arc::new(remote.expect("the cluster is up"))
    }

    /// Publishes a change event; returns its place in the stream.
    pub(crate) async fn publish(&self, event: &str) -> u64 {
        let subject = "cdc.public.users";
        let ack = self.stream.publish(subject, event.to_owned().into()).await;
        ack.expect("NATS is up")
            .await
            .expect("the stream takes it")
            .sequence
    }

    /// Halts the first invalidator: NATS goes on giving it events.
    pub(crate) async fn halt_an_invalidator(&self) {
        self.invalidators[0].halt().await;
    }

    /// Ends the first invalidator without a word.
    pub(crate) async fn kill_an_invalidator(&mut self) {
        self.invalidators.remove(0).kill().await;
    }

    /// Every event has been acknowledged, and none became a dead letter.
    pub(crate) async fn assert_all_done(&self) {
        let stream = self
            .stream
            .get_stream("CDC")
            .await
            .expect("the stream is there");
        let done = || async {
            let mut consumer: jetstream::consumer::PullConsumer = stream
                .get_consumer("invalidator")
                .await
                .expect("the consumer is there");
            let info = consumer.info().await.expect("NATS is up");
            info.num_pending == 0 && info.num_ack_pending == 0
        };
        until(PATIENCE, "every event is acknowledged", done)
            .await
            .expect("all are");
        let letters = self.stream.get_stream("CACHEASIDE_DLQ").await;
        if let Ok(letters) = letters {
            assert_eq!(letters.cached_info().state.messages, 0, "no dead letters");
        }
    }
}
