//! The servers, the invalidators, and the stream between them.

use crate::reader::Places;
use crate::rows;
use async_nats::jetstream::{self, Context};
use cache_core::Name;
use cache_core::testkit::servers::cluster::RedisCluster;
use cache_core::testkit::servers::nats::NatsServer;
use cache_core::testkit::servers::postgres::PostgresServer;
use cache_core::testkit::until::until;
use cache_core::tier::Remote;
use cache_core::tier::redis::{Deployment, RedisRemote};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

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
    invalidators: Vec<Child>,
    stream: Context,
    _folder: TempDir,
}

impl World {
    pub(crate) async fn start(invalidators: usize) -> Self {
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
            stream: jetstream::new(client),
            nats,
            _folder: tempfile::tempdir().expect("a folder"),
        };
        rows::create(&rows::connect(&world.postgres.connect_string()).await).await;
        for number in 0..invalidators {
            let invalidator = world.start_invalidator(number).await;
            world.invalidators.push(invalidator);
        }
        world
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
        let id = self.invalidators[0].id().expect("it runs");
        let mut halt = Command::new("kill");
        let halted = halt.arg("-STOP").arg(id.to_string()).status().await;
        assert!(halted.is_ok_and(|status| status.success()), "it runs");
    }

    /// Ends the first invalidator without a word.
    pub(crate) async fn kill_an_invalidator(&mut self) {
        let mut invalidator = self.invalidators.remove(0);
        invalidator.kill().await.expect("it was running");
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

    async fn start_invalidator(&self, number: usize) -> Child {
        let folder = self._folder.path();
        let admin = free_address().await;
        let config = folder.join(format!("invalidator-{number}.toml"));
        let rules = folder.join("rules.toml");
        let urls: Vec<_> = self
            .cluster
            .urls()
            .iter()
            .map(|url| format!("{url:?}"))
            .collect();
        let text = format!(
            "[l2]\nkind = \"cluster\"\nurls = [{}]\n[bus]\nurl = \"{}\"\n[admin]\naddress = \"{admin}\"\n",
            urls.join(", "),
            self.nats.url(),
        );
        write(&config, &text).await;
        write(&rules, RULES).await;
        let invalidator = Command::new(env!("CARGO_BIN_EXE_invalidator"))
            .arg("serve")
            .args(["--config".as_ref(), config.as_os_str()])
            .args(["--rules".as_ref(), rules.as_os_str()])
            .env("RUST_LOG", "error")
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("the invalidator starts");
        until(PATIENCE, "the invalidator is ready", || ready(admin))
            .await
            .expect("it is");
        invalidator
    }
}

async fn write(path: &Path, text: &str) {
    tokio::fs::write(path, text)
        .await
        .expect("the folder is there");
}

/// An address on loopback that nobody used a moment ago.
async fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .expect("a port");
    listener.local_addr().expect("it is bound")
}

/// Whether `/ready` answers 200.
async fn ready(admin: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(admin).await else {
        return false;
    };
    let request = format!("GET /ready HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    stream.write_all(request.as_bytes()).await.is_ok()
        && stream.read_to_string(&mut answer).await.is_ok()
        && answer.starts_with("HTTP/1.1 200")
}
