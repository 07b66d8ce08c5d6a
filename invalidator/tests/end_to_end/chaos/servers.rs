//! Everything that is not a reader: a 3 + 3 Redis Cluster, NATS, a primary and its hot
//! standby, and two invalidators.

use super::book;
use crate::reader::Places;
use crate::rows::{self, key};
use crate::service::Service;
use async_nats::jetstream::consumer::PullConsumer;
use async_nats::jetstream::{self, Context};
use cache_core::Name;
use cache_core::model::key::{Address, Key, KeySpace};
use cache_core::model::position::Position;
use cache_core::model::tag::Tag;
use cache_core::testkit::servers::cluster::RedisCluster;
use cache_core::testkit::servers::nats::NatsServer;
use cache_core::testkit::servers::postgres::PostgresServer;
use cache_core::testkit::servers::topology::{NodeView, Role};
use cache_core::testkit::until::until_some;
use cache_core::tier::redis::{Deployment, RedisRemote};
use cache_core::tier::{Record, Remote};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio_postgres::Client;

/// The stream of changes.
pub(crate) const STREAM: &str = "CDC";
const PATIENCE: Duration = Duration::from_secs(30);
/// The invalidators that run at once.
const INVALIDATORS: usize = 2;

/// The servers, and connections to them.
pub(crate) struct Servers {
    pub(crate) cluster: RedisCluster,
    pub(crate) nats: NatsServer,
    pub(crate) primary: PostgresServer,
    pub(crate) standby: PostgresServer,
    pub(crate) database: Client,
    pub(crate) replay: Client,
    pub(crate) stream: Context,
    pub(crate) remote: Arc<dyn Remote>,
    pub(crate) invalidators: tokio::sync::Mutex<Vec<Service>>,
    pub(crate) folder: TempDir,
}

impl Servers {
    /// Starts all but the invalidators.
    pub(crate) async fn start() -> Self {
        let (cluster, nats, primary) = tokio::join!(
            RedisCluster::start(),
            NatsServer::start(),
            PostgresServer::start()
        );
        let cluster = cluster.expect("a cluster starts");
        let nats = nats.expect("nats-server starts");
        let primary = primary.expect("Postgres starts");
        let database = rows::connect(&primary.connect_string()).await;
        book::create(&database).await;
        let standby = primary.start_standby().await.expect("a standby starts");
        let replay = rows::connect(&standby.connect_string()).await;
        let client = async_nats::connect(nats.url()).await.expect("NATS is up");
        let deployment = Deployment::Cluster {
            urls: cluster.urls(),
        };
        let remote = RedisRemote::connect(name("main"), &deployment, Duration::from_secs(1)).await;
        let servers = Self {
            cluster,
            nats,
            primary,
            standby,
            database,
            replay,
            stream: jetstream::new(client),
            remote: Arc::new(remote.expect("the cluster is up")),
            invalidators: tokio::sync::Mutex::default(),
            folder: tempfile::tempdir().expect("a folder"),
        };
        servers.make_stream(-1).await;
        servers
    }

    /// Makes the stream, or changes how much it keeps.
    pub(crate) async fn make_stream(&self, max_messages: i64) {
        let config = jetstream::stream::Config {
            name: STREAM.to_owned(),
            subjects: vec!["cdc.>".to_owned()],
            max_messages,
            ..jetstream::stream::Config::default()
        };
        let made = self.stream.create_or_update_stream(config).await;
        made.expect("the stream is made");
    }

    /// Starts all invalidators, in an epoch.
    pub(crate) async fn start_invalidators(&self, epoch: u32) {
        let mut invalidators = self.invalidators.lock().await;
        while invalidators.len() < INVALIDATORS {
            let (folder, number) = (self.folder.path(), invalidators.len());
            let service = Service::start(folder, number, &self.places(), &rules(epoch), "").await;
            invalidators.push(service);
        }
    }

    pub(crate) fn places(&self) -> Places {
        Places {
            redis: self.cluster.urls(),
            nats: self.nats.url(),
            postgres: self.primary.connect_string(),
        }
    }

    /// The primaries of the cluster that answer, as somebody sees them; and their
    /// replicas.
    pub(crate) async fn shards(&self) -> Vec<(u16, u16)> {
        let look = || async {
            let nodes = self.cluster.nodes().await.ok()?;
            let primaries = nodes.iter().filter(|node| serves(node));
            let shard = |primary: &NodeView| {
                let of = Role::Replica { of: primary.port };
                let replica = nodes.iter().find(|node| node.role == of)?;
                Some((primary.port, replica.port))
            };
            let shards: Option<Vec<_>> = primaries.map(shard).collect();
            shards.filter(|shards| shards.len() == 3)
        };
        until_some(PATIENCE, "each primary has a replica", look)
            .await
            .expect("the cluster is whole")
    }

    /// What is read from the standby is of this epoch from here on, in which L2 is.
    pub(crate) async fn replicas_go_on_in(&self, epoch: u32) {
        let update = "UPDATE progress SET epoch = $1 WHERE epoch < $1";
        let updated = self.database.execute(update, &[&i64::from(epoch)]).await;
        updated.expect("the primary is never touched");
    }

    /// Whether every event has been answered for.
    pub(crate) async fn all_done(&self) -> bool {
        let Ok(stream) = self.stream.get_stream(STREAM).await else {
            return false;
        };
        let consumer: Result<PullConsumer, _> = stream.get_consumer("invalidator").await;
        let Ok(mut consumer) = consumer else {
            return false;
        };
        let info = consumer.info().await;
        info.is_ok_and(|info| info.num_pending == 0 && info.num_ack_pending == 0)
    }

    /// The place below which L2 serves nothing of a row: of its value, or its floor, or
    /// the floor of its whole cache.
    pub(crate) async fn reached(&self, cache: &str, row: usize) -> Option<Position> {
        let key = key(row as i64);
        let key = Key::new(key.as_bytes()).expect("a key");
        let space = KeySpace::new(name("main"), name(cache));
        let own = self.floor(&space.address(key)).await?;
        let all = space.tag_address(&Tag::all());
        let reading = self.remote.read(&all).await.ok()?;
        Some(match reading.record {
            Some(Record::Mark { floor }) => own.max(floor),
            _ => own,
        })
    }

    async fn floor(&self, address: &Address) -> Option<Position> {
        let reading = self.remote.read(address).await.ok()?;
        let watermark = reading.watermark?;
        let held = match reading.record {
            Some(Record::Value { as_of, .. }) => as_of,
            Some(Record::Mark { floor }) => floor,
            None => watermark.applied,
        };
        Some(held.max(watermark.floor))
    }
}

fn serves(node: &NodeView) -> bool {
    node.role == Role::Primary && !node.slots.is_empty()
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn rules(epoch: u32) -> String {
    format!(
        "[source]\nstream = '{STREAM}'\ndurable = 'invalidator'\nepoch = {epoch}\nack_wait = '2s'\n\
         [[rule]]\ntable = 'public.users'\ncache = 'library'\nkeys = ['user:{{id}}']\n\
         [[rule]]\ntable = 'public.users'\ncache = 'agent'\nkeys = ['user:{{id}}']\n"
    )
}
