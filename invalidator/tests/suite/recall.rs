//! What L2 should hold is told it again, and what cannot be told is refused.

use crate::world::{RULES, World, bucket_of, update, users};
use async_trait::async_trait;
use cache_core::bus::memory::MemoryBus;
use cache_core::config::reader;
use cache_core::model::key::{Address, Key};
use cache_core::testkit::clock::RuntimeClock;
use cache_core::testkit::fleet::{Fleet, until_trusted};
use cache_core::tier::{Invalidate, Known, Record, Remote};
use cache_core::wire::codec::Bincode;
use cache_core::{Cache, Domain, Error, Lookup, Policy, Position, Role};
use invalidator::delivery::{Each, Past};
use invalidator::format::received::Received;
use invalidator::recall::{recall, watermarks};
use invalidator::rules::Rules;
use invalidator::settings::Repeat;
use std::sync::Arc;
use std::time::Duration;

const KEY: &str = "user:1";

/// A stream whose only event changed user 1.
#[derive(Debug)]
struct OneEvent(Position);

#[async_trait]
impl Past for OneEvent {
    async fn recount(&self, _: u64, _: u64, each: &mut Each<'_>) -> Result<bool, Error> {
        each(self.0.offset, &Received::bytes(update(1).as_bytes()));
        Ok(true)
    }
}

fn open(domain: &Arc<Domain>) -> Cache<u64> {
    let policy = Policy::new("users").expect("a name");
    Cache::open(domain, policy, Bincode::default()).expect("a policy")
}

#[tokio::test(start_paused = true)]
async fn what_a_recall_could_not_tell_l2_is_refused_by_the_next_heartbeat() {
    let world = World::new();
    let clock = Arc::new(RuntimeClock::new());
    let bus = Arc::new(MemoryBus::new());
    let fleet = Fleet::over(world.remote.clone(), bus, clock).with_invalidator();
    let invalidator = fleet.join(Role::Invalidator).await.expect("the bus");
    let before = fleet.join(Role::Member).await.expect("the bus is there");
    until_trusted(&before).await;
    let Ok(Lookup::Miss(ticket)) = open(&before).get(KEY).await else {
        panic!("nothing is stored")
    };
    ticket.fill(Some(1), None).await.expect("it can be encoded");

    // 1. the event is told, and does not get to L2, or not yet
    let given = Position::new(0, 25, 0);
    let rules = reader::read("rules.toml", RULES, Rules::parse).expect("good rules");
    let held = watermarks(&invalidator).await.expect("L2 is there");
    world.remote.lose([bucket_of(KEY)]);
    let recalled = recall(
        &invalidator,
        &held,
        &rules,
        Repeat::NEVER,
        &OneEvent(given),
        given,
    )
    .await;
    assert_eq!(recalled.expect("the stream answers").events, 1);
    world.remote.recover();
    // 2. L2 takes a later event of the bucket: its watermark shows nothing
    let later = Invalidate {
        address: neighbour_of(KEY),
        position: Some(Position::new(0, 27, 0)),
        known: Known::NOTHING,
        keep: Duration::from_secs(60),
    };
    let done = world.remote.apply(vec![later]).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    // 3. who begins to listen then has not heard of the event
    let fresh = fleet.join(Role::Member).await.expect("the bus is there");
    let cache = open(&fresh);
    // 4. the heartbeat by which L1 is trusted has refused the bucket
    until_trusted(&fresh).await;
    let answer = cache.get(KEY).await;
    assert!(matches!(answer, Ok(Lookup::Miss(_))), "{answer:?}");
}

/// An event may come before its row is visible. The value from between its first and its
/// second time has the event's own position; L2 may have lost the second time.
#[tokio::test(start_paused = true)]
async fn what_came_early_is_recalled_a_second_time_too() {
    assert!(is_kept_after(Repeat::NEVER).await, "the control");
    assert!(!is_kept_after(Repeat::Early(Duration::from_secs(1))).await);
}

/// Whether a value that was loaded after the event came stays when the event is recalled.
async fn is_kept_after(repeat: Repeat) -> bool {
    let world = World::new();
    let clock = Arc::new(RuntimeClock::new());
    let bus = Arc::new(MemoryBus::new());
    let fleet = Fleet::over(world.remote.clone(), bus, clock).with_invalidator();
    let invalidator = fleet.join(Role::Invalidator).await.expect("the bus");
    let member = fleet.join(Role::Member).await.expect("the bus is there");
    until_trusted(&member).await;
    let given = Position::new(0, 25, 0);
    let first = Invalidate {
        address: users().address(Key::new(KEY.as_bytes()).expect("a key")),
        position: Some(given),
        known: Known::NOTHING,
        keep: Duration::from_secs(60),
    };
    let done = world.remote.apply(vec![first]).await;
    assert!(done.iter().all(Result::is_ok), "{done:?}");
    let cache = open(&member);
    let Ok(Lookup::Miss(ticket)) = cache.get(KEY).await else {
        panic!("nothing is stored")
    };
    ticket.fill(Some(1), None).await.expect("it can be encoded");

    let rules = reader::read("rules.toml", RULES, Rules::parse).expect("good rules");
    let held = watermarks(&invalidator).await.expect("L2 is there");
    let past = OneEvent(given);
    let recalled = recall(&invalidator, &held, &rules, repeat, &past, given).await;
    assert_eq!(recalled.expect("the stream answers").events, 1);
    let address = users().address(Key::new(KEY.as_bytes()).expect("a key"));
    let reading = world.remote.read(&address).await.expect("L2 is there");
    matches!(reading.record, Some(Record::Value { .. }))
}

/// Another key's place in the same bucket.
fn neighbour_of(key: &str) -> Address {
    let other = |id: u64| users().address(Key::new(format!("{id}").as_bytes()).expect("a key"));
    let same = |other: &Address| other.bucket == bucket_of(key);
    (0..).map(other).find(same).expect("one of some 256")
}
