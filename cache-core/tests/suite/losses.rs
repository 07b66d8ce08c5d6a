//! L2 loses what it had acknowledged, the bus loses messages: nothing old is
//! served by a process that had heard better, and soon by nobody.

use cache_core::bus::memory::MemoryBus;
use cache_core::bus::{Bus, BusError, Heard, Subscription};
use cache_core::clock::SystemClock;
use cache_core::coherence::announce::Change;
use cache_core::domain::Parts;
use cache_core::event::Silent;
use cache_core::model::key::{Bucket, Key, KeySpace};
use cache_core::random::SystemRandom;
use cache_core::source::{Cause, Loaded};
use cache_core::testkit::fleet::{Fleet, until_trusted};
use cache_core::testkit::until::until;
use cache_core::tier::memory::MemoryRemote;
use cache_core::tier::{Beat, Known, Remote};
use cache_core::wire::codec::Bincode;
use cache_core::wire::invalidation::{Content, Message};
use cache_core::{Cache, Domain, Lookup, Name, Policy, Position, Role, Tag};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);

fn open(domain: &Arc<Domain>) -> Cache<u64> {
    let policy = Policy::new("users").expect("a name");
    Cache::open(domain, policy, Bincode::default()).expect("a policy")
}

fn users() -> Name {
    Name::new("users").expect("a name")
}

fn team() -> Tag {
    Tag::new("team:3").expect("a tag")
}

fn at(offset: u64) -> Position {
    Position::new(0, offset, 0)
}

async fn member(fleet: &Fleet) -> Cache<u64> {
    let domain = fleet.join(Role::Member).await.expect("the bus is there");
    until_trusted(&domain).await;
    open(&domain)
}

async fn store(cache: &Cache<u64>, row: u64) {
    let load = move |_| async move { Ok::<_, Cause>(Some(row)) };
    cache
        .get_or_load("k", load)
        .await
        .expect("the source answers");
}

async fn row(cache: &Cache<u64>) -> Option<u64> {
    match cache.get("k").await {
        Ok(Lookup::Hit(hit)) => Some(*hit),
        _ => None,
    }
}

fn memory() -> (Arc<MemoryRemote>, Fleet) {
    let clock = Arc::new(SystemClock::new());
    let remote = Arc::new(MemoryRemote::new(clock.clone()));
    let fleet = Fleet::over(remote.clone(), Arc::new(MemoryBus::new()), clock);
    (remote, fleet)
}

#[tokio::test]
async fn a_failover_that_lost_an_invalidation_serves_nothing_old() {
    let (remote, fleet) = memory();
    let cache = member(&fleet).await;
    store(&cache, 1).await;
    let before = remote.image();
    cache.invalidate("k").await.expect("L2 is there");
    remote.go_back_to(&before);
    assert_eq!(
        row(&cache).await,
        None,
        "the bucket is behind what was heard"
    );

    // A process that was not there to hear: the one that was mends the bucket.
    let fresh = member(&fleet).await;
    let mended = || async { row(&fresh).await.is_none() };
    until(PATIENCE, "the bucket is raised for all", mended)
        .await
        .expect("within a heartbeat");
    store(&cache, 2).await;
    assert_eq!(row(&fresh).await, Some(2), "and the bucket is of use again");
}

#[tokio::test]
async fn an_l1_filled_from_a_resurrected_value_is_dropped_by_the_mending() {
    let (remote, fleet) = memory();
    let cache = member(&fleet).await;
    store(&cache, 1).await;
    let before = remote.image();
    cache.invalidate("k").await.expect("L2 is there");
    remote.go_back_to(&before);
    let fresh = member(&fleet).await;
    // 1. the fresh process never heard of the invalidation and fills its L1
    assert_eq!(row(&fresh).await, Some(1));
    // 2. the other one notices, raises the bucket, and tells the bus
    assert_eq!(row(&cache).await, None);
    let dropped = || async { row(&fresh).await.is_none() };
    until(PATIENCE, "L1 is dropped", dropped)
        .await
        .expect("within a heartbeat");
}

#[tokio::test]
async fn a_redis_restarted_empty_is_of_use_again_with_an_invalidator() {
    let (remote, fleet) = memory();
    let fleet = fleet.with_invalidator();
    let _invalidator = fleet
        .join(Role::Invalidator)
        .await
        .expect("the bus is there");
    let cache = member(&fleet).await;
    store(&cache, 1).await;
    remote.forget_all();
    let domain = fleet.join(Role::Member).await.expect("the bus is there");
    until_trusted(&domain).await;
    let fresh = open(&domain);
    let works = || async {
        store(&fresh, 2).await;
        row(&fresh).await == Some(2)
    };
    until(PATIENCE, "values are stored again", works)
        .await
        .expect("within a heartbeat");
}

#[tokio::test]
async fn an_evicted_mark_lets_no_old_value_in() {
    let (remote, fleet) = memory();
    let cache = member(&fleet).await;
    let space = KeySpace::new(fleet.name.clone(), Name::new("users").expect("a name"));
    let address = space.address(Key::new(b"k").expect("a key"));
    let Ok(Lookup::Miss(ticket)) = cache.get("k").await else {
        panic!("nothing is stored")
    };
    cache.invalidate("k").await.expect("L2 is there");
    remote.evict(&address);
    ticket.fill(Some(1), None).await.expect("it can be encoded");
    assert_eq!(row(&cache).await, None, "absence is never permission");
}

/// A member, and an L2 that has lost change 25 of a key or a tag, but kept 27 of another in
/// the same bucket: the watermark shows nothing.
async fn lost_but_overtaken(
    hit: impl Fn(Key<'_>, Option<Position>) -> (Change, Bucket),
) -> Cache<u64> {
    let (remote, fleet) = memory();
    let domain = fleet.join(Role::Member).await.expect("the bus is there");
    until_trusted(&domain).await;
    let cache = open(&domain);
    let load = |_| async { Ok::<_, Cause>(Loaded::value(1).tagged([team()])) };
    cache
        .get_or_load("k", load)
        .await
        .expect("the source answers");
    let (change, bucket) = hit(Key::new(b"k").expect("a key"), Some(at(25)));
    let overtakes = (0..100_000_u32).map(u32::to_be_bytes).find_map(|other| {
        let (change, other) = hit(Key::new(&other).expect("a key"), Some(at(27)));
        (other == bucket).then_some(change)
    });
    let announced = |change| async { domain.announce(change).await.expect("L2 is there") };
    announced(overtakes.expect("one of some 256")).await;
    let before = remote.image();
    announced(change).await;
    remote.go_back_to(&before);
    cache
}

#[tokio::test]
async fn a_change_that_l2_lost_is_remembered_though_a_later_one_was_kept() {
    let space = KeySpace::new(Fleet::in_memory().name, users());
    let hit = |key: Key<'_>, position| {
        (
            Change::key(&users(), key, position),
            space.address(key).bucket,
        )
    };
    let cache = lost_but_overtaken(hit).await;
    assert_eq!(row(&cache).await, None, "nobody goes back behind 25");
    store(&cache, 2).await;
    assert_eq!(row(&cache).await, Some(2), "whoever read it has mended it");
}

#[tokio::test]
async fn a_tags_change_that_l2_lost_is_remembered_though_a_later_one_was_kept() {
    let space = KeySpace::new(Fleet::in_memory().name, users());
    let hit = |key: Key<'_>, position| {
        let tag = match key.bytes() {
            b"k" => team(),
            other => Tag::new(format!("{other:?}")).expect("a tag"),
        };
        let bucket = space.tag_address(&tag).bucket;
        (Change::tag(&users(), tag, position), bucket)
    };
    let cache = lost_but_overtaken(hit).await;
    assert_eq!(row(&cache).await, None, "nobody goes back behind 25");
    store(&cache, 2).await;
    assert_eq!(row(&cache).await, Some(2));
}

#[tokio::test]
async fn a_stamp_above_all_that_l2_has_heard_is_doubted() {
    let (remote, fleet) = memory();
    let writer = fleet.join(Role::Member).await.expect("the bus is there");
    until_trusted(&writer).await;
    let before = remote.image();
    let beat = |bucket| Beat {
        bucket,
        seen: at(13),
        known: Known::NOTHING,
        doubted: false,
    };
    remote.beat(Bucket::all().map(beat).collect()).await;
    writer.horizon().raise_seen(at(13));
    // 1. a value is stamped 13; a process that has heard nothing has it in L1
    store(&open(&writer), 1).await;
    let fresh = member(&fleet).await;
    assert_eq!(row(&fresh).await, Some(1));
    // 2. the bucket of all its tags forgets 13
    let space = KeySpace::new(fleet.name.clone(), users());
    let bucket = space.tag_address(&Tag::all()).bucket;
    remote.go_back_in([bucket], &before);
    // 3. what is cleared gets a position below the stamp
    fresh.clear().await.expect("L2 is there");
    assert_eq!(row(&fresh).await, None);
}

#[tokio::test]
async fn a_bucket_in_doubt_is_refused_whatever_its_watermark_says() {
    let (_, fleet) = memory();
    let fleet = fleet.with_invalidator();
    let invalidator = fleet.join(Role::Invalidator).await;
    let invalidator = invalidator.expect("the bus is there");
    let cache = member(&fleet).await;
    store(&cache, 1).await;
    assert_eq!(row(&cache).await, Some(1));
    let space = KeySpace::new(fleet.name.clone(), users());
    let bucket = space.address(Key::new(b"k").expect("a key")).bucket;
    invalidator.horizon().raise(bucket, at(9));
    invalidator.doubt(bucket);
    let refused = || async { row(&cache).await.is_none() };
    until(PATIENCE, "its values are refused", refused)
        .await
        .expect("within a heartbeat");
}

/// A bus that can swallow invalidations without a word.
#[derive(Debug)]
struct Lossy {
    bus: MemoryBus,
    swallows: AtomicBool,
}

#[async_trait::async_trait]
impl Bus for Lossy {
    async fn publish(&self, message: bytes::Bytes) -> Result<(), BusError> {
        let content = Message::decode(&message).expect("a message").content;
        let invalidates = matches!(content, Content::Invalidate(_));
        if invalidates && self.swallows.load(Ordering::SeqCst) {
            return Ok(());
        }
        self.bus.publish(message).await
    }

    async fn subscribe(&self) -> Result<Box<dyn Subscription>, BusError> {
        self.bus.subscribe().await
    }
}

#[tokio::test]
async fn a_lost_last_message_is_noticed_by_the_next_heartbeat() {
    let clock = Arc::new(SystemClock::new());
    let bus = Arc::new(Lossy {
        bus: MemoryBus::new(),
        swallows: AtomicBool::new(false),
    });
    let fleet = Fleet::over(
        Arc::new(MemoryRemote::new(clock.clone())),
        bus.clone(),
        clock,
    );
    let (writer, reader) = (member(&fleet).await, member(&fleet).await);
    store(&writer, 1).await;
    assert_eq!(row(&reader).await, Some(1), "it is in the reader's L1");
    bus.swallows.store(true, Ordering::SeqCst);
    writer.invalidate("k").await.expect("L2 is there");
    let noticed = || async { row(&reader).await.is_none() };
    until(PATIENCE, "the gap is noticed", noticed)
        .await
        .expect("by the last number");
}

#[tokio::test]
async fn a_silent_bus_ends_the_trust_in_l1() {
    let (_, fleet) = memory();
    let fleet = fleet.with_invalidator();
    let invalidator = fleet
        .join(Role::Invalidator)
        .await
        .expect("the bus is there");
    let domain = fleet.join(Role::Member).await.expect("the bus is there");
    until_trusted(&domain).await;
    invalidator.leave().await;
    let lapsed = || async { !domain.trust().holds(domain.clock().now()) };
    until(PATIENCE, "the trust lapses", lapsed)
        .await
        .expect("without a heartbeat");
}

#[tokio::test]
async fn an_invalidator_that_rests_is_not_believed_and_goes_on_mending() {
    let (remote, fleet) = memory();
    let fleet = fleet.with_invalidator();
    // Not by the fleet, whose invalidators carry for ever.
    let invalidator = Domain::join(Parts {
        name: fleet.name.clone(),
        remote: fleet.remote.clone(),
        bus: fleet.bus.clone(),
        clock: fleet.clock.clone(),
        random: Arc::new(SystemRandom),
        observer: Arc::new(Silent),
        role: Role::Invalidator,
        proof: fleet.proof,
        timing: fleet.timing,
    });
    let invalidator = invalidator.await.expect("the bus is there");
    let domain = fleet.join(Role::Member).await.expect("the bus is there");
    invalidator.done_up_to(at(3));
    until_trusted(&domain).await;
    invalidator.rests_at(Position::ZERO);
    let lapsed = || async { !domain.trust().holds(domain.clock().now()) };
    until(PATIENCE, "the trust lapses", lapsed)
        .await
        .expect("its heartbeat says that it carries nothing");
    remote.forget_all();
    let space = KeySpace::new(fleet.name.clone(), users());
    let address = space.address(Key::new(b"k").expect("a key"));
    let mended = || async {
        let reading = remote.read(&address).await.ok();
        let held = reading.and_then(|reading| reading.watermark);
        held.is_some_and(|held| held.seen == at(3))
    };
    until(PATIENCE, "the bucket is begun anew", mended)
        .await
        .expect("within a heartbeat");
    assert!(
        !domain.trust().holds(domain.clock().now()),
        "and nobody trusts L1"
    );
    invalidator.done_up_to(at(3));
    until_trusted(&domain).await;
}

#[tokio::test]
async fn garbage_on_the_bus_drops_l1_and_nothing_else() {
    let (_, fleet) = memory();
    let cache = member(&fleet).await;
    store(&cache, 1).await;
    let mut ear = fleet.bus.subscribe().await.expect("the bus is there");
    fleet
        .bus
        .publish(bytes::Bytes::from_static(b"\x02garbage"))
        .await
        .expect("it is there");
    assert!(matches!(ear.next().await, Some(Heard::Message(_))));
    assert_eq!(row(&cache).await, Some(1), "L2 still has it");
}
