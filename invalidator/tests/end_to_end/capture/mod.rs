//! Rows of a Postgres change in transactions of any size, while the captures, the
//! invalidators and NATS are killed without a word: every committed change is in the
//! stream once, in commit order, and every row's key is refused below its last change.
//!
//! ```text
//! 2 writers ─▶ Postgres ─▶ 2 captures, one standing by ─▶ NATS ─▶ 2 invalidators ─▶ L2
//! ```
//!
//! In a test run, some thousands of changes; a million of them:
//!
//! ```text
//! deploy/capture --changes 1000000
//! ```

mod log;
mod writer;

use crate::service::Service;
use crate::world::World;
use crate::{ALONE, rows};
use cache_core::random::{Random, SystemRandom};
use cache_core::testkit::until::{pace, until};
use log::Log;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::Client;
use writer::{Progress, Writer};

/// The changes of a test run.
const CHANGES: u64 = 20_000;
/// The rows that change.
const ROWS: i64 = 10_000;
/// How long the rest may take when nothing changes and nothing is killed any more.
const DRAINED_WITHIN: Duration = Duration::from_secs(300);
/// The longest time between two blows.
const PEACE_MAX: Duration = Duration::from_secs(3);

const RULES: &str = r#"
[source]
stream = "CDC"
create_stream = true
subjects = ["cdc.>"]
ack_wait = "2s"

[[rule]]
table = "public.users"
cache = "users"
keys = ["user:{id}"]
"#;

/// What is killed, and how often it was.
#[derive(Debug, Default)]
struct Blows {
    captures: u32,
    invalidators: u32,
    nats: u32,
}

struct Field {
    world: World,
    captures: Vec<Service>,
}

impl Field {
    async fn strike(&mut self, random: &mut StdRng, blows: &mut Blows) {
        pace(random.random_range(Duration::ZERO..PEACE_MAX)).await;
        match random.random_range(0..3) {
            0 => {
                blows.nats += 1;
                let away = random.random_range(Duration::ZERO..PEACE_MAX / 4);
                self.world.kill_nats(away).await;
            }
            1 => {
                blows.invalidators += 1;
                self.world.kill_an_invalidator().await;
                self.world.start_an_invalidator().await;
            }
            _ => {
                blows.captures += 1;
                // Either the one that reads or the one that stands by.
                let seat = random.random_range(0..self.captures.len());
                self.captures.remove(seat).kill().await;
                self.captures.push(self.world.start_a_capture().await);
            }
        }
    }

    async fn stored(&self) -> u64 {
        let stream = self.world.stream().get_stream("CDC").await;
        stream.map_or(0, |stream| stream.cached_info().state.last_sequence)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_committed_change_is_missed_out_of_order_or_told_twice() {
    let _alone = ALONE.lock().await;
    let number = |name: &str| std::env::var(name).ok()?.parse().ok();
    let wanted = number("CAPTURE_CHANGES").unwrap_or(CHANGES);
    let seed = number("CAPTURE_SEED").unwrap_or_else(|| SystemRandom.next());
    println!("CAPTURE_SEED={seed}, {wanted} changes");
    let mut random = StdRng::seed_from_u64(seed);
    let mut field = Field {
        world: World::with_rules(2, RULES).await,
        captures: Vec::new(),
    };
    let client = rows::connect(&field.world.places().postgres).await;
    rows::create(&client, ROWS).await;
    for _ in 0..2 {
        let capture = field.world.start_a_capture().await;
        field.captures.push(capture);
    }
    until_begun(&client).await;

    let progress = Arc::new(Progress::new(wanted));
    let mut writers = tokio::task::JoinSet::new();
    for half in 0..2 {
        let client = rows::connect(&field.world.places().postgres).await;
        let random = StdRng::seed_from_u64(seed.wrapping_add(half + 1));
        let writer = Writer::new(client, half as i64, ROWS, random, progress.clone());
        writers.spawn(writer.run());
    }
    let mut blows = Blows::default();
    while !progress.is_over() || !blows.are_enough() {
        field.strike(&mut random, &mut blows).await;
        progress.stored(field.stored().await);
    }
    while let Some(ended) = writers.join_next().await {
        ended.expect("no panic");
    }
    judge(&mut field, &client, &progress, &blows).await;
}

async fn until_begun(client: &Client) {
    let taken = async || {
        // A slot is active while it is made, too.
        let sql = "SELECT count(*) FROM pg_replication_slots JOIN pg_stat_replication \
            ON pid = active_pid AND state IN ('catchup', 'streaming')";
        let row = client.query_one(sql, &[]).await.expect("Postgres is up");
        row.get::<_, i64>(0) == 1
    };
    let begun = until(Duration::from_secs(30), "a capture reads", taken).await;
    begun.expect("one does");
}

async fn judge(field: &mut Field, client: &Client, progress: &Progress, blows: &Blows) {
    let changes = progress.changes();
    let all_there = async || field.stored().await >= changes;
    let drained = until(DRAINED_WITHIN, "the stream has all", all_there).await;
    drained.expect("it has");
    let log = log::settled(field.world.stream(), client, DRAINED_WITHIN).await;
    field.world.assert_all_done().await;
    assert_eq!(log.changes, changes, "each change once");
    let table = client.query("SELECT id, version FROM users", &[]).await;
    let table = table.expect("Postgres is up").into_iter();
    let table: Vec<_> = table.map(|row| (row.get(0), row.get(1))).collect();
    log.assert_is_the_history_of(&table);
    let floors = log
        .assert_is_refused_below(&*field.world.remote().await)
        .await;
    let retained = until_released(client, &log).await;
    println!(
        "{changes} changes in {} transactions, {} rolled back; killed: {} captures, {} \
         invalidators, {} times NATS\n{} events, none missed, none twice, all in commit order; \
         {floors} keys refused below their last change; {retained} bytes of WAL kept",
        progress.transactions(),
        progress.rolled_back(),
        blows.captures,
        blows.invalidators,
        blows.nats,
        log.events,
    );
}

/// Waits until the database may forget the whole history; how much it keeps still.
async fn until_released(client: &Client, log: &Log) -> i64 {
    let sql = format!(
        "SELECT confirmed_flush_lsn >= '{}', pg_wal_lsn_diff(pg_current_wal_lsn(), \
         restart_lsn)::bigint FROM pg_replication_slots",
        log.last
    );
    let state = async || client.query_one(&sql, &[]).await.expect("Postgres is up");
    let is_confirmed = async || state().await.get(0);
    let released = until(DRAINED_WITHIN, "the log is confirmed", is_confirmed).await;
    released.expect("it is");
    state().await.get(1)
}

impl Blows {
    fn are_enough(&self) -> bool {
        self.captures >= 2 && self.invalidators >= 2 && self.nats >= 2
    }
}
