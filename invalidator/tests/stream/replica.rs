//! Values read from a replica that is behind: kept as far as the replica is sure to reach,
//! which an invalidator tells by landmarks.

use crate::database::{self, Database, TABLES};
use crate::world::{Running, World, until};
use cache_core::event::{Silent, Tier};
use cache_core::model::as_of::AsOf;
use cache_core::source::{Cause, Loaded, Wanted};
use cache_core::testkit::servers::postgres::PostgresServer;
use cache_core::{Cache, Domain, Role, connect};
use std::sync::Arc;
use tokio_postgres::Client;

const RULES: &str = "[source]\nstream = 'CDC'\nfilter = 'cdc.>'\nlandmarks = true\n\
    [[rule]]\ntable = 'public.users'\ncache = 'users'\nkeys = ['user:{id}']\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_of_a_replica_is_kept_until_it_is_changed_and_no_longer() {
    let shop = Shop::open(|domain, replayed| domain.read_at(replayed)).await;
    shop.until_kept("old").await;
    shop.change_behind_the_replica().await;
    // L2 has it before the bus carries it to this process.
    until("this process has heard of it", async || !shop.get().await.1).await;
    // The replica does not have it: so what it says is used, and not kept.
    for _ in 0..3 {
        assert_eq!(shop.get().await, ("old".to_owned(), false), "it was kept");
    }
    shop.resume().await;
    shop.until_kept("new").await;
    shop.close().await;
}

/// The control: what a loader does that takes a replica for the primary.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_of_a_replica_that_is_taken_for_the_primary_s_stays_for_good() {
    let shop = Shop::open(|_, _| AsOf::Leased).await;
    shop.until_kept("old").await;
    shop.change_behind_the_replica().await;
    shop.until_kept("old").await;
    shop.resume().await;
    let kept = ("old".to_owned(), true);
    assert_eq!(shop.get().await, kept, "the replica has the other by now");
    shop.close().await;
}

/// A table, its replica, and a cache that reads the replica.
struct Shop {
    world: World,
    database: Database,
    replica: Arc<Client>,
    users: cache_core::ReadThrough<String>,
    invalidator: Running,
    capture: database::Capturing,
    _standby: PostgresServer,
}

impl Shop {
    async fn open(reach: fn(&Domain, u64) -> AsOf) -> Self {
        let world = World::start().await;
        let database = Database::with_a_user_beside(&world.nats.url()).await;
        let standby = database.postgres.start_standby().await.expect("a standby");
        let capture = database.captured(TABLES).await;
        let invalidator = world.live(RULES).await;

        let domain = connect::open(&world.domain(), Role::Member, Arc::new(Silent)).await;
        let domain = domain.expect("the servers are up");
        let users = Cache::builder("users").open(&domain).expect("a cache");
        let replica = Arc::new(database::connect(&standby).await);
        let source = replica.clone();
        let users =
            users.read_through(move |wanted| load(source.clone(), domain.clone(), reach, wanted));
        Self {
            world,
            database,
            replica,
            users,
            invalidator,
            capture,
            _standby: standby,
        }
    }

    /// What is served, and whether a tier has it.
    async fn get(&self) -> (String, bool) {
        let got = self.users.get("user:7").await.expect("it answers");
        let hit = got.expect("the row is there");
        (hit.to_string(), hit.tier() != Tier::None)
    }

    /// Waits until a tier serves this.
    async fn until_kept(&self, name: &str) {
        let kept = (name.to_owned(), true);
        until(&format!("{name} is kept"), async || {
            self.get().await == kept
        })
        .await;
    }

    /// Changes the row while the replica stands still, and waits until the caches know.
    async fn change_behind_the_replica(&self) {
        self.ask_replica("SELECT pg_wal_replay_pause()::text").await;
        until("the replica stands still", async || {
            let state = "SELECT pg_get_wal_replay_pause_state()";
            self.ask_replica(state).await.as_deref() == Some("paused")
        })
        .await;
        let before = self.world.floor(7).await;
        let update = "UPDATE users SET name = 'new' WHERE id = 7";
        self.database.run(update).await;
        until("the change is known", async || {
            self.world.floor(7).await > before
        })
        .await;
    }

    async fn resume(&self) {
        self.ask_replica("SELECT pg_wal_replay_resume()::text")
            .await;
        until("the replica has it", async || {
            let name = "SELECT name FROM users WHERE id = 7";
            self.ask_replica(name).await.as_deref() == Some("new")
        })
        .await;
    }

    async fn ask_replica(&self, sql: &str) -> Option<String> {
        let row = self.replica.query_one(sql, &[]).await;
        row.unwrap_or_else(|error| panic!("{sql}: {error:?}"))
            .get(0)
    }

    async fn close(self) {
        self.invalidator.stop().await;
        self.capture.stop().await;
    }
}

async fn load(
    replica: Arc<Client>,
    domain: Arc<Domain>,
    reach: fn(&Domain, u64) -> AsOf,
    wanted: Wanted<String>,
) -> Result<Loaded<String>, Cause> {
    let id: i64 = wanted.text().trim_start_matches("user:").parse()?;
    // First how far it is, then the row: between the two it only goes on.
    let far = "SELECT (pg_last_wal_replay_lsn() - '0/0')::bigint";
    let replayed: i64 = replica.query_one(far, &[]).await?.get(0);
    let name = "SELECT name FROM users WHERE id = $1";
    let row = replica.query_opt(name, &[&id]).await?;
    let name: Option<String> = row.map(|row| row.get(0));
    let as_of = reach(&domain, u64::try_from(replayed)?);
    Ok(Loaded::from(name).read_at(as_of))
}
