//! Writing through the cache: who is served what, before, during and after a write, and
//! what is left when one of its steps fails.

use cache_core::event::Tier;
use cache_core::model::key::{Address, KeySpace};
use cache_core::source::Cause;
use cache_core::testkit::fleet::{Fleet, keeps_in_l1, until_trusted};
use cache_core::testkit::troubled::TroubledRemote;
use cache_core::testkit::until::until;
use cache_core::tier::memory::MemoryRemote;
use cache_core::tier::{Invalidate, Known, Remote};
use cache_core::wire::codec::Bincode;
use cache_core::{
    AsOf, Cache, Domain, Key, Kind, Loaded, Lookup, Name, Policy, Position, Receipt, Role, Tag,
    WriteError, WriteThrough,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;

const PATIENCE: Duration = Duration::from_secs(5);

fn policy() -> Policy {
    let mut policy = Policy::new("users").expect("a name");
    policy.load_timeout = Duration::from_millis(500);
    policy.write_timeout = Duration::from_millis(500);
    policy.lease = Duration::from_secs(1);
    policy.wait = Duration::from_millis(50);
    policy
}

/// A database of one row, and two processes with caches of it.
struct World {
    row: Arc<AtomicU64>,
    /// The commits that may go on.
    commits: Arc<Semaphore>,
    writes: Cache<u64>,
    reads: Cache<u64>,
    remote: Arc<MemoryRemote>,
    _domains: [Arc<Domain>; 2],
}

impl World {
    async fn new() -> Self {
        let fleet = Fleet::in_memory();
        let remote = Arc::new(MemoryRemote::new(fleet.clock.clone()));
        let fleet = Fleet::over(remote.clone(), fleet.bus, fleet.clock);
        let (one, writes) = member(&fleet).await;
        let (two, reads) = member(&fleet).await;
        Self {
            row: Arc::new(AtomicU64::new(1)),
            commits: Arc::new(Semaphore::new(100)),
            writes,
            reads,
            remote,
            _domains: [one, two],
        }
    }

    /// A writer that commits when it may.
    fn through(&self) -> WriteThrough<u64> {
        let (row, commits) = (self.row.clone(), self.commits.clone());
        self.writes.write_through(move |_key, value: Option<u64>| {
            let (row, commits) = (row.clone(), commits.clone());
            async move {
                commits.acquire().await?.forget();
                row.store(value.unwrap_or_default(), Ordering::SeqCst);
                Ok::<_, WriteError>(value)
            }
        })
    }

    async fn get(&self, cache: &Cache<u64>) -> (Option<u64>, Tier) {
        let row = self.row.clone();
        let load = async move |_| Ok::<_, Cause>(Some(row.load(Ordering::SeqCst)));
        let hit = cache.get_or_load("k", load).await;
        let hit = hit.expect("the source answers");
        let tier = hit.as_ref().map_or(Tier::None, |hit| hit.tier());
        (hit.as_deref().copied(), tier)
    }

    /// The other process has the row in L1, and has heard of everything so far.
    async fn warm(&self) {
        let warm = || async { keeps_in_l1(&self.reads, "k", 1).await };
        until(PATIENCE, "L1 keeps the row", warm)
            .await
            .expect("nothing else happens");
    }

    async fn until_read(&self, expected: (Option<u64>, Tier)) {
        let read = || async { self.get(&self.reads).await == expected };
        let waited = until(PATIENCE, "the other process reads what it should", read).await;
        waited.unwrap_or_else(|error| panic!("{expected:?}: {error}"));
    }
}

async fn member(fleet: &Fleet) -> (Arc<Domain>, Cache<u64>) {
    let domain = fleet.join(Role::Member).await.expect("the bus is there");
    until_trusted(&domain).await;
    let cache = Cache::open(&domain, policy(), Bincode::default()).expect("a policy");
    (domain, cache)
}

fn address() -> Address {
    let name = |text| Name::new(text).expect("a name");
    let key = Key::new(b"k").expect("a key");
    KeySpace::new(name("main"), name("users")).address(key)
}

fn failed(receipt: Result<Receipt, cache_core::Error>) -> Kind {
    receipt.expect_err("it failed").kind()
}

#[tokio::test]
async fn a_written_value_is_found_in_l2_by_everybody() {
    let world = World::new().await;
    world.warm().await;
    let receipt = world.through().put("k", 2).await.expect("it is written");
    assert!(receipt.stored);
    assert_eq!(world.get(&world.writes).await, (Some(2), Tier::L2));
    world.until_read((Some(2), Tier::L1)).await;
    let deleted = world.through().delete("k").await.expect("it is written");
    assert!(deleted.stored && deleted.position > receipt.position);
    assert!(matches!(world.writes.get("k").await, Ok(Lookup::Absent)));
}

#[tokio::test]
async fn nothing_is_cached_of_a_write_before_its_commit() {
    let world = World::new().await;
    world.commits.forget_permits(100);
    let through = world.through();
    let writing = tokio::spawn(async move { through.put("k", 2).await });
    let marked = || async {
        matches!(world.reads.get("k").await, Ok(Lookup::Miss(ticket)) if !ticket.has_lease())
    };
    until(PATIENCE, "the key is under quarantine", marked)
        .await
        .expect("the writer has begun");
    for _ in 0..3 {
        assert_eq!(world.get(&world.reads).await, (Some(1), Tier::None));
    }
    world.commits.add_permits(1);
    let receipt = writing.await.expect("no panic").expect("it is written");
    assert!(receipt.stored);
    world.until_read((Some(2), Tier::L1)).await;
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_stop_its_write() {
    let world = World::new().await;
    world.warm().await;
    world.commits.forget_permits(100);
    let through = world.through();
    let gone = tokio::time::timeout(Duration::from_millis(20), through.put("k", 2)).await;
    assert!(gone.is_err(), "it waits for its commit");
    world.commits.add_permits(1);
    world.until_read((Some(2), Tier::L1)).await;
}

#[tokio::test]
async fn a_writer_that_did_not_write_leaves_the_key_to_the_next_reader() {
    let world = World::new().await;
    let refuses = |_, _: Option<u64>| async {
        Err::<Option<u64>, _>(WriteError::not_written("a constraint"))
    };
    let through = world.writes.write_through(refuses);
    assert_eq!(failed(through.put("k", 2).await), Kind::WriteFailed);
    assert_eq!(world.get(&world.reads).await, (Some(1), Tier::None));
    assert_eq!(world.get(&world.writes).await, (Some(1), Tier::L2));
}

#[tokio::test]
async fn an_uncertain_write_is_cached_by_nobody_until_its_quarantine_ends() {
    type Outcome = Result<Option<u64>, WriteError>;
    async fn panics() -> Outcome {
        panic!("on purpose");
    }
    let broken = || async { Err::<Option<u64>, _>(std::io::Error::other("reset").into()) };
    for way in 0..3 {
        let world = World::new().await;
        world.warm().await;
        let through = world
            .writes
            .write_through(move |_, _: Option<u64>| async move {
                match way {
                    0 => panics().await,
                    1 => broken().await,
                    _ => std::future::pending().await,
                }
            });
        assert_eq!(failed(through.put("k", 2).await), Kind::WriteUncertain);
        // The commit comes after all.
        world.row.store(2, Ordering::SeqCst);
        world.until_read((Some(2), Tier::None)).await;
        assert_eq!(world.get(&world.writes).await, (Some(2), Tier::None));
        world.until_read((Some(2), Tier::L1)).await;
    }
}

#[tokio::test]
async fn a_value_that_cannot_be_stored_is_written_and_says_so() {
    let world = World::new().await;
    world.warm().await;
    let row = world.row.clone();
    let tags: Vec<_> = (0..100)
        .map(|tag| Tag::new(format!("tag:{tag}")).expect("a tag"))
        .collect();
    let through = world.writes.write_through(move |_, value: Option<u64>| {
        row.store(value.unwrap_or_default(), Ordering::SeqCst);
        let loaded = Loaded::from(value).tagged(tags.clone());
        async move { Ok::<_, WriteError>(loaded) }
    });
    let receipt = through.put("k", 2).await.expect("it is written");
    assert!(!receipt.stored);
    let refused = receipt.refused.expect("it says why").to_string();
    assert!(refused.contains("100 tags"), "{refused}");
    world.until_read((Some(2), Tier::L1)).await;
}

/// A writer whose source tells the position of its commit.
fn at(world: &World, position: Position) -> WriteThrough<u64> {
    let row = world.row.clone();
    world.writes.write_through(move |_, value: Option<u64>| {
        row.store(value.unwrap_or_default(), Ordering::SeqCst);
        let loaded = Loaded::from(value).read_at(AsOf::Position(position));
        async move { Ok::<_, WriteError>(loaded) }
    })
}

async fn event(world: &World, offset: u64) {
    let one = Invalidate {
        address: address(),
        position: Some(Position::new(0, offset, 0)),
        known: Known::NOTHING,
        keep: PATIENCE,
    };
    let answers = world.remote.apply(vec![one]).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

#[tokio::test]
async fn a_value_with_its_position_outlives_its_own_event_and_none_later() {
    let world = World::new().await;
    let position = Position::new(0, 5, 0);
    event(&world, 4).await;
    let receipt = at(&world, position).put("k", 2).await;
    let receipt = receipt.expect("it is written");
    assert_eq!((receipt.stored, receipt.position), (true, Some(position)));
    event(&world, 5).await;
    assert_eq!(world.get(&world.reads).await, (Some(2), Tier::L2));
    event(&world, 9).await;
    let late = at(&world, Position::new(0, 8, 0)).put("k", 4).await;
    assert!(!late.expect("it is written").stored, "9 came between");
}

#[tokio::test]
async fn a_position_that_cannot_be_true_stores_nothing() {
    let world = World::new().await;
    event(&world, 4).await;
    for lie in [Position::new(0, u64::MAX, 0), Position::new(9, 5, 0)] {
        let receipt = at(&world, lie).put("k", 2).await.expect("it is written");
        assert!(!receipt.stored, "{lie}");
        assert_eq!(world.get(&world.reads).await, (Some(2), Tier::None));
        world.reads.invalidate("k").await.expect("L2 is there");
    }
}

#[tokio::test]
async fn a_quarantine_that_came_after_its_commit_is_not_believed() {
    let fleet = Fleet::in_memory();
    let remote = Arc::new(TroubledRemote::new(fleet.clock.clone()));
    let fleet = Fleet::over(remote.clone(), fleet.bus, fleet.clock);
    let (_domain, cache) = member(&fleet).await;
    // 1. the quarantine is on its way, and nobody knows whether it will arrive
    remote.delays_quarantine.store(true, Ordering::Relaxed);
    let l2 = remote.clone();
    let through = cache.write_through(move |_key, value: Option<u64>| {
        let l2 = l2.clone();
        async move {
            // 2. this writer commits; then somebody else does, whose change is applied
            let newer = Invalidate {
                address: address(),
                position: Some(Position::new(0, 25, 0)),
                known: Known::NOTHING,
                keep: Duration::from_secs(60),
            };
            let applied = l2.inner.apply(vec![newer]).await;
            assert!(applied.iter().all(Result::is_ok), "{applied:?}");
            // 3. the quarantine arrives
            assert!(l2.deliver().await);
            Ok::<_, WriteError>(value)
        }
    });
    let receipt = through.put("k", 7).await.expect("it is committed");
    assert!(!receipt.stored, "{receipt:?}");
    let answer = cache.get("k").await.expect("a good key");
    assert!(matches!(answer, Lookup::Miss(_)), "{answer:?}");
}

#[tokio::test]
async fn an_uncertain_write_without_its_quarantine_is_hidden_at_once() {
    let fleet = Fleet::in_memory();
    let remote = Arc::new(TroubledRemote::new(fleet.clock.clone()));
    let fleet = Fleet::over(remote.clone(), fleet.bus, fleet.clock);
    let (_domain, cache) = member(&fleet).await;
    let load = async |_| Ok::<_, Cause>(Some(1));
    cache
        .get_or_load("k", load)
        .await
        .expect("the source answers");
    remote.delays_quarantine.store(true, Ordering::Relaxed);
    let through = cache.write_through(|_key, _: Option<u64>| async {
        Err::<Option<u64>, _>(WriteError::from(std::io::Error::other("cut off")))
    });
    assert_eq!(failed(through.put("k", 7).await), Kind::WriteUncertain);
    let answer = cache.get("k").await.expect("a good key");
    assert!(matches!(answer, Lookup::Miss(_)), "{answer:?}");
}
