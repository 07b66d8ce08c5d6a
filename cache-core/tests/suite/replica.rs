//! Values read from a replica are as old as the replica, whatever this process and
//! L2 have heard meanwhile; buckets of tags are mended like buckets of keys; and L2's own
//! answers may be overtaken.

use cache_core::bus::memory::MemoryBus;
use cache_core::clock::SystemClock;
use cache_core::coherence::announce::Change;
use cache_core::fill::Ask;
use cache_core::fill::offer::FillOutcome;
use cache_core::model::as_of::AsOf;
use cache_core::model::key::{Address, Key, KeySpace};
use cache_core::model::position::Position;
use cache_core::model::tag::Tag;
use cache_core::source::{Cause, Loaded, Wanted};
use cache_core::testkit::fleet::{Fleet, until_trusted};
use cache_core::testkit::troubled::{Held, TroubledRemote};
use cache_core::testkit::until::until;
use cache_core::tier::{Applied, Invalidate, Remote};
use cache_core::wire::codec::Bincode;
use cache_core::wire::invalidation::Invalidation;
use cache_core::{Cache, Domain, FillTicket, Lookup, Name, Policy, ReadThrough, Role};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// A fleet of one, over an L2 that may fail over at the worst moment.
struct World {
    remote: Arc<TroubledRemote>,
    domain: Arc<Domain>,
    cache: Cache<u64>,
}

impl World {
    async fn new() -> Self {
        let clock = Arc::new(SystemClock::new());
        let remote = Arc::new(TroubledRemote::new(clock.clone()));
        let fleet = Fleet::over(remote.clone(), Arc::new(MemoryBus::new()), clock);
        let domain = fleet.join(Role::Member).await.expect("the bus is there");
        until_trusted(&domain).await;
        let policy = Policy::new("users").expect("a name");
        let cache = Cache::open(&domain, policy, Bincode::default()).expect("a policy");
        Self {
            remote,
            domain,
            cache,
        }
    }

    async fn announce(&self, change: Change) {
        let done = self.domain.announce(change).await;
        assert_eq!(done.ok(), Some(true), "L2 is there");
    }

    async fn ticket(&self) -> Box<FillTicket<u64>> {
        match self.cache.get("k").await {
            Ok(Lookup::Miss(ticket)) => ticket,
            other => panic!("a miss was due: {other:?}"),
        }
    }

    /// Reads whose loader writes down how far its value must reach.
    fn reads_and_tells(&self) -> (ReadThrough<u64>, Arc<Mutex<Vec<Position>>>) {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tells = told.clone();
        let reads = self.cache.read_through(move |wanted: Wanted<_>| {
            tells.lock().push(wanted.at_least);
            async { Ok::<_, Cause>(Loaded::absent()) }
        });
        (reads, told)
    }

    async fn row(&self) -> Option<u64> {
        match self.cache.get("k").await {
            Ok(Lookup::Hit(hit)) => Some(*hit),
            _ => None,
        }
    }
}

fn users() -> Name {
    Name::new("users").expect("a name")
}

fn team() -> Tag {
    Tag::new("team:3").expect("a tag")
}

fn key() -> Key<'static> {
    Key::new(b"k").expect("a key")
}

fn at(offset: u64) -> Position {
    Position::new(0, offset, 0)
}

fn from_replica(offset: u64) -> Loaded<u64> {
    Loaded::value(1).read_at(AsOf::Position(at(offset)))
}

#[tokio::test]
async fn a_replicas_value_is_as_old_as_the_replica_for_its_tags() {
    let world = World::new().await;
    world
        .announce(Change::tag(&users(), team(), Some(at(12))))
        .await;
    // This process knows of 12; the replica that it reads from does not.
    let ticket = world.ticket().await;
    let loaded = from_replica(11).tagged([team()]);
    let (_, outcome) = ticket.fill(loaded, None).await.expect("it can be encoded");
    assert_eq!(outcome, FillOutcome::Superseded);
    assert_eq!(world.row().await, None);
    let ticket = world.ticket().await;
    let loaded = from_replica(12).tagged([team()]);
    let (_, outcome) = ticket.fill(loaded, None).await.expect("it can be encoded");
    assert_eq!(outcome, FillOutcome::Stored(at(12)));
}

#[tokio::test]
async fn a_replicas_value_is_not_kept_after_l2_forgot_the_floor() {
    let world = World::new().await;
    let before = world.remote.inner.image();
    world
        .announce(Change::key(&users(), key(), Some(at(27))))
        .await;
    *world.remote.before_lease.lock() = Some(before);
    let ticket = world.ticket().await;
    let filled = ticket.fill(from_replica(26), None).await;
    let (_, outcome) = filled.expect("it can be encoded");
    assert_eq!(outcome, FillOutcome::Stored(at(26)), "L2 knows no better");
    assert_eq!(world.row().await, None, "this process does");
}

#[tokio::test]
async fn a_loader_is_told_how_far_its_value_must_reach() {
    let world = World::new().await;
    let (reads, told) = world.reads_and_tells();
    world
        .announce(Change::key(&users(), key(), Some(at(12))))
        .await;
    reads.get("k").await.expect("the source answers");
    let ask = Ask {
        at_least: at(20),
        ..Ask::default()
    };
    reads.get_with("k", &ask).await.expect("the source answers");
    assert_eq!(
        *told.lock(),
        [at(12), at(20)],
        "L2's floor, then the caller's"
    );
}

#[tokio::test]
async fn a_loader_is_told_what_was_heard_while_l2_is_away() {
    let world = World::new().await;
    let (reads, told) = world.reads_and_tells();
    world
        .announce(Change::key(&users(), key(), Some(at(12))))
        .await;
    world.remote.down.store(true, Ordering::Relaxed);
    reads.get("k").await.expect("the source answers");
    assert_eq!(*told.lock(), [at(12)], "a replica before 12 is no use");
    assert_eq!(world.ticket().await.at_least(), at(12));
}

#[tokio::test]
async fn a_tag_in_a_bucket_that_lost_writes_is_mended_by_its_readers() {
    let world = World::new().await;
    let before = world.remote.inner.image();
    world
        .announce(Change::tag(&users(), team(), Some(at(5))))
        .await;
    let bucket = KeySpace::new(world.domain.name().clone(), users())
        .tag_address(&team())
        .bucket;
    world.remote.inner.go_back_in([bucket], &before);
    let works = || async {
        if let Ok(Lookup::Miss(ticket)) = world.cache.get("k").await {
            let loaded = Loaded::value(2).tagged([team()]);
            ticket.fill(loaded, None).await.expect("it can be encoded");
        }
        world.row().await == Some(2)
    };
    until(Duration::from_secs(5), "values are stored again", works)
        .await
        .expect("within a heartbeat");
}

#[tokio::test]
async fn an_answer_overtaken_by_the_word_that_l2_has_the_change_is_not_believed() {
    let world = World::new().await;
    let ticket = world.ticket().await;
    let filled = ticket.fill(Some(1), None).await.expect("it can be encoded");
    assert_eq!(filled.1, FillOutcome::Stored(Position::ZERO));
    let change = Change::key(&users(), key(), Some(at(25)));
    let hear = |in_l2| {
        world.domain.applier().apply(&Invalidation {
            target: change.target().clone(),
            position: at(25),
            changed_ms: None,
            in_l2,
        });
    };
    let space = KeySpace::new(world.domain.name().clone(), users());
    let address = space.address(key());
    let known = world.domain.horizon().known(address.bucket);
    let keep = Duration::from_secs(60);
    let apply = async |address: &Address, offset| {
        let address = address.clone();
        let position = Some(at(offset));
        let one = Invalidate {
            address,
            position,
            known,
            keep,
        };
        let done = world.remote.inner.apply(vec![one]).await;
        assert!(matches!(done[..], [Ok(Applied::Done { .. })]));
    };

    // 1. change 25 is told before L2 has it, and L2 has a later one of the bucket
    hear(false);
    let neighbour = neighbour_of(&space, &address);
    apply(&neighbour, 27).await;
    // 2. L2 answers a read with the old value
    let held = Arc::new(Held::default());
    *world.remote.holds.lock() = Some(held.clone());
    let cache = world.cache.clone();
    let read = tokio::spawn(async move { cache.get("k").await });
    held.is_on_its_way.notified().await;
    // 3. L2 takes change 25, and the word of it is faster than the answer
    apply(&address, 25).await;
    hear(true);
    held.may_arrive.notify_one();
    let answer = read.await.expect("no panic").expect("a good key");
    assert!(matches!(answer, Lookup::Miss(_)), "{answer:?}");
}

/// Another key of the same bucket.
fn neighbour_of(space: &KeySpace, address: &Address) -> Address {
    let other = |number: u32| space.address(Key::new(&number.to_be_bytes()).expect("a key"));
    let same = |other: &Address| other.bucket == address.bucket;
    (0..).map(other).find(same).expect("one of some 256")
}
