//! Writing behind the cache: what the source gets, in which order, and what is left when
//! something fails.

use bytes::Bytes;
use cache_core::event::Tier;
use cache_core::metrics::Metrics;
use cache_core::queue::Queue;
use cache_core::queue::memory::MemoryQueue;
use cache_core::source::Cause;
use cache_core::testkit::clock::HandClock;
use cache_core::testkit::fleet::{Fleet, until_trusted};
use cache_core::testkit::until::until;
use cache_core::wire::codec::{Bincode, Codec};
use cache_core::wire::queued::{self, QueuedWrite};
use cache_core::{
    Behind, BulkWriter, Cache, Domain, Due, Kind, Loaded, Policy, Role, WriteBehind, WriteError,
};
use parking_lot::Mutex;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
pub(crate) const KEYS: usize = 50;

/// A table whose rows keep the version they were written with.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) rows: Mutex<BTreeMap<String, (u64, Option<u64>)>>,
    /// How many keys each call had.
    pub(crate) calls: Mutex<Vec<usize>>,
    trouble: Mutex<Trouble>,
}

/// What the table does when it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Trouble {
    #[default]
    None,
    /// It cannot be reached.
    Down,
    /// It takes no row of this key, and says so, or fails.
    Refuses(&'static str),
    /// It takes no value above this.
    Above(u64),
    FailsOn(&'static str),
    /// It writes, and says that it does not know.
    Forgets,
    /// It writes, and answers for too few.
    Miscounts,
}

pub(crate) struct Writer(pub(crate) Arc<Table>);

#[async_trait::async_trait]
impl BulkWriter<u64> for Writer {
    async fn write_many(&self, due: Vec<Due<u64>>) -> Result<Vec<Option<Loaded<u64>>>, WriteError> {
        let trouble = self.0.trouble.lock().clone();
        let has = |key: &str| due.iter().any(|one| *one.key == *key.as_bytes());
        self.0.calls.lock().push(due.len());
        match trouble {
            Trouble::Down => return Err(WriteError::not_written("down")),
            Trouble::Above(most) if due.iter().any(|one| one.value > Some(most)) => {
                return Err(WriteError::refused("too high"));
            }
            Trouble::Refuses(key) if has(key) => return Err(WriteError::refused("a constraint")),
            Trouble::FailsOn(key) if has(key) => return Err(WriteError::not_written("a bug")),
            _ => {}
        }
        let mut rows = self.0.rows.lock();
        let mut answers: Vec<_> = due
            .into_iter()
            .map(|one| {
                let key = String::from_utf8_lossy(&one.key).into_owned();
                let row = rows.entry(key).or_default();
                if one.version <= row.0 {
                    return None;
                }
                *row = (one.version, one.value);
                Some(one.value.into())
            })
            .collect();
        match trouble {
            Trouble::Forgets => Err(WriteError::Uncertain("the connection broke".into())),
            Trouble::Miscounts => {
                answers.pop();
                Ok(answers)
            }
            _ => Ok(answers),
        }
    }
}

impl Table {
    fn value(&self, key: &str) -> Option<u64> {
        self.rows.lock().get(key)?.1
    }

    pub(crate) fn is_in(&self, trouble: Trouble) {
        *self.trouble.lock() = trouble;
    }
}

pub(crate) struct World {
    pub(crate) table: Arc<Table>,
    pub(crate) queue: Arc<MemoryQueue>,
    pub(crate) domain: Arc<Domain>,
    cache: Cache<u64>,
    behind: WriteBehind<u64>,
    registry: Registry,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(Behind {
            age: Duration::from_millis(20),
            backoff: Duration::from_millis(5),
            backoff_max: Duration::from_millis(50),
            drain: Duration::from_millis(500),
            ..Behind::default()
        })
        .await
    }

    async fn with(settings: Behind) -> Self {
        let mut registry = Registry::default();
        let metrics = Arc::new(Metrics::new(&mut registry));
        let fleet = Fleet::in_memory();
        let domain = fleet.join_observed(Role::Member, metrics).await;
        let domain = domain.expect("the bus is there");
        until_trusted(&domain).await;
        let cache = Cache::open(&domain, policy(), Bincode::default()).expect("a policy");
        let queue = Arc::new(MemoryQueue::new(fleet.clock.clone(), 100_000));
        let table = Arc::new(Table::default());
        let behind = cache
            .write_behind(queue.clone(), Writer(table.clone()), settings)
            .expect("settings");
        Self {
            table,
            queue,
            domain,
            cache,
            behind,
            registry,
        }
    }

    /// Writes all keys, and returns the last version.
    pub(crate) async fn put_all(&self, value: u64) -> u64 {
        let mut last = 0;
        for key in 0..KEYS {
            last = self.put(&format!("k{key}"), value).await;
        }
        last
    }

    async fn put(&self, key: &str, value: u64) -> u64 {
        let put = self.behind.put(key, value).await;
        put.expect("there is room")
    }

    async fn until_written(&self, version: u64) {
        let written = self.behind.is_written(version, PATIENCE).await;
        assert!(written.expect("the queue answers"), "within {PATIENCE:?}");
    }

    async fn get(&self, key: &str) -> (Option<u64>, Tier) {
        let table = self.table.clone();
        let row = key.to_owned();
        let load = move |_| async move { Ok::<_, Cause>(table.value(&row)) };
        let hit = self.cache.get_or_load(key, load).await;
        let hit = hit.expect("the source answers");
        let tier = hit.as_ref().map_or(Tier::None, |hit| hit.tier());
        (hit.as_deref().copied(), tier)
    }

    fn series(&self, line: &str) -> bool {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).expect("text");
        text.lines().any(|found| found == line)
    }
}

pub(crate) fn policy() -> Policy {
    let mut policy = Policy::new("users").expect("a name");
    policy.load_timeout = Duration::from_millis(500);
    policy.write_timeout = Duration::from_millis(500);
    policy.lease = Duration::from_secs(1);
    policy.wait = Duration::from_millis(50);
    policy
}

#[tokio::test]
async fn a_write_is_in_the_source_a_moment_later_and_read_from_then_on() {
    let world = World::new().await;
    world.table.is_in(Trouble::Down);
    let version = world.put("k", 2).await;
    assert_eq!(
        world.get("k").await,
        (None, Tier::None),
        "what the source has"
    );
    world.table.is_in(Trouble::None);
    world.until_written(version).await;
    assert_eq!(world.get("k").await, (Some(2), Tier::L2));
    let version = world.behind.delete("k").await.expect("there is room");
    world.until_written(version).await;
    assert_eq!(world.get("k").await, (None, Tier::None), "a known absence");
    assert_eq!(world.table.value("k"), None);
}

#[tokio::test]
async fn many_writes_of_a_key_reach_the_source_as_its_last_one() {
    let world = World::new().await;
    let mut last = 0;
    for value in 0..200 {
        last = world.put("k", value).await;
    }
    world.until_written(last).await;
    assert_eq!(world.table.value("k"), Some(199));
    let calls = world.table.calls.lock().len();
    assert!(calls <= 20, "200 writes in {calls} calls");
    assert!(world.series(r#"cacheaside_queue_flushed_total{cache="users"} 200"#));
}

#[tokio::test]
async fn writes_of_many_keys_are_one_call() {
    let world = World::new().await;
    let last = world.put_all(1).await;
    world.until_written(last).await;
    let calls = world.table.calls.lock().clone();
    assert_eq!(calls.iter().sum::<usize>(), KEYS);
    assert!(calls.len() <= 10, "{calls:?}");
}

#[tokio::test]
async fn a_source_that_was_down_has_the_last_write_of_every_key_when_it_is_back() {
    let world = World::new().await;
    world.table.is_in(Trouble::Down);
    world.put_all(1).await;
    let tried = async || world.table.calls.lock().len() >= 5;
    until(PATIENCE, "it is tried again and again", tried)
        .await
        .expect("it fails");
    let last = world.put_all(2).await;
    world.table.is_in(Trouble::None);
    world.until_written(last).await;
    let rows = world.table.rows.lock();
    assert_eq!(rows.len(), KEYS);
    assert!(rows.values().all(|(_, value)| *value == Some(2)));
}

#[tokio::test]
async fn what_was_written_and_not_confirmed_is_written_again_and_has_no_effect() {
    let world = World::new().await;
    world.table.is_in(Trouble::Forgets);
    let first = world.put("k", 1).await;
    let written = async || world.table.calls.lock().len() >= 2;
    until(PATIENCE, "it is tried again", written)
        .await
        .expect("it is in doubt");
    assert_eq!(world.table.rows.lock()["k"], (first, Some(1)));
    world.table.is_in(Trouble::None);
    world.until_written(first).await;
    assert_eq!(world.table.rows.lock()["k"], (first, Some(1)));
    assert_eq!(world.get("k").await.0, Some(1));
}

#[tokio::test]
async fn a_write_that_the_source_refuses_is_put_aside_and_holds_up_no_other() {
    let world = World::new().await;
    world.table.is_in(Trouble::Refuses("k7"));
    let last = world.put_all(1).await;
    world.until_written(last).await;
    let rows = world.table.rows.lock().len();
    assert_eq!(rows, KEYS - 1);
    let aside = world.queue.aside();
    assert_eq!(aside.len(), 1);
    assert_eq!(aside[0].1, "a constraint");
    assert!(world.series(r#"cacheaside_queue_put_aside_total{cache="users"} 1"#));
}

#[tokio::test]
async fn where_the_last_write_of_a_key_is_refused_the_source_gets_the_one_before() {
    let world = World::new().await;
    world.table.is_in(Trouble::Down);
    let mut last = world.put_all(1).await;
    for value in [2, 3, 100, 4, 101, 102] {
        last = world.put("k7", value).await;
    }
    world.table.is_in(Trouble::Above(99));
    world.until_written(last).await;
    assert_eq!(world.table.value("k7"), Some(4));
    assert_eq!(world.table.rows.lock().len(), KEYS);
    let aside = world.queue.aside();
    let bodies = aside.iter().map(|(write, _)| &write.body);
    let values = bodies.map(|body| {
        let write = queued::open(body).expect("a write").value.expect("a value");
        Bincode::default().decode(&write).expect("a number")
    });
    assert_eq!(values.collect::<Vec<u64>>(), [102, 101], "last first");
}

#[tokio::test]
async fn a_key_whose_writes_always_fail_holds_up_no_other_and_is_not_lost() {
    let world = World::new().await;
    world.table.is_in(Trouble::FailsOn("k7"));
    let last = world.put_all(1).await;
    let others = async || world.table.rows.lock().len() == KEYS - 1;
    until(PATIENCE, "all others are written", others)
        .await
        .expect("k7 is alone in its calls");
    world.put_all(2).await;
    let others = async || {
        let rows = world.table.rows.lock();
        rows.values().filter(|(_, value)| *value == Some(2)).count() == KEYS - 1
    };
    until(PATIENCE, "they are written again", others)
        .await
        .expect("k7 is alone in its calls");
    let soon = Duration::from_millis(50);
    assert_eq!(world.behind.is_written(last, soon).await.ok(), Some(false));
    world.table.is_in(Trouble::None);
    world.until_written(last).await;
    assert_eq!(world.table.value("k7"), Some(2));
}

#[tokio::test]
async fn a_writer_that_answers_for_too_few_keys_loses_none() {
    let world = World::new().await;
    world.table.is_in(Trouble::Miscounts);
    let last = world.put_all(1).await;
    let tried = async || world.table.calls.lock().len() >= 3;
    until(PATIENCE, "it is tried again", tried)
        .await
        .expect("its answer is not taken");
    world.table.is_in(Trouble::None);
    world.until_written(last).await;
    assert_eq!(world.table.rows.lock().len(), KEYS);
}

#[tokio::test]
async fn a_full_queue_refuses_writes_and_takes_them_again_when_there_is_room() {
    let world = World::new().await;
    world.table.is_in(Trouble::Down);
    let mut taken = 0;
    let error = loop {
        match world.behind.put(format!("k{taken}"), taken).await {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), Kind::Overloaded, "{error}");
    assert!(world.series(r#"cacheaside_queue_writes_total{cache="users",outcome="full"} 1"#));
    world.table.is_in(Trouble::None);
    let all = async || world.table.rows.lock().len() as u64 == taken;
    until(PATIENCE, "all that was taken is written", all)
        .await
        .expect("the source is back");
    world.put("one more", 1).await;
}

#[tokio::test]
async fn leaving_writes_what_waits_and_takes_no_more() {
    let settings = Behind {
        age: Duration::from_secs(60),
        ..Behind::default()
    };
    let world = World::with(settings).await;
    world.put_all(1).await;
    world.domain.leave().await;
    assert_eq!(world.table.rows.lock().len(), KEYS);
    let late = world.behind.put("k", 1).await.expect_err("it is left");
    assert_eq!(late.kind(), Kind::Unavailable, "{late}");
}

#[tokio::test]
async fn a_write_is_not_held_back_by_clocks_that_differ() {
    let world = World::new().await;
    let ahead = HandClock::new();
    let century = Duration::from_secs(100 * 365 * 24 * 3600);
    ahead.turn(century);
    let queue = Arc::new(MemoryQueue::new(Arc::new(ahead), 100_000));
    let writer = Writer(world.table.clone());
    let behind = world.cache.write_behind(queue, writer, Behind::default());
    let behind = behind.expect("settings");
    let version = behind.put("k", 1).await.expect("there is room");
    let written = behind.is_written(version, PATIENCE).await;
    assert!(written.expect("the queue answers"));
}

#[tokio::test]
async fn what_a_queue_in_memory_loses_is_counted() {
    let world = World::new().await;
    world.table.is_in(Trouble::Down);
    world.put_all(1).await;
    world.domain.leave().await;
    assert!(world.series(r#"cacheaside_queue_lost_total{cache="users"} 50"#));
}

#[tokio::test]
async fn a_write_of_another_type_is_put_aside() {
    let world = World::new().await;
    // Numbers, as they were before the schema changed.
    let old: &dyn Codec<u64> = &Bincode { schema: 7 };
    let body = queued::seal(&QueuedWrite {
        codec: old.id(),
        fingerprint: old.fingerprint(),
        key: Bytes::from_static(b"k"),
        value: old.encode(&1).ok(),
    });
    let version = world.queue.push(body).await.expect("there is room");
    world.until_written(version).await;
    let aside = world.queue.aside();
    assert!(aside[0].1.contains("another codec"), "{aside:?}");
    assert_eq!(world.table.value("k"), None);
    let garbage = world.queue.push(Bytes::from_static(b"garbage")).await;
    world.until_written(garbage.expect("there is room")).await;
    assert_eq!(world.queue.aside().len(), 2);
}

#[test]
fn settings_that_contradict_each_other_are_named_at_once() {
    let settings = Behind {
        batch: 0,
        backoff: Duration::from_secs(60),
        drain: Duration::from_secs(86_400),
        ..Behind::default()
    };
    let error = settings
        .check()
        .expect_err("three things are wrong")
        .to_string();
    for part in ["4096 keys", "grows to at most", "leaving waits"] {
        assert!(error.contains(part), "{error}");
    }
}
