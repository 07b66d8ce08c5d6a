//! One test for each way of the data, over a fleet in memory.

use cache_core::event::Tier;
use cache_core::model::key::KeySpace;
use cache_core::source::Cause;
use cache_core::testkit::fleet::{Fleet, until_trusted};
use cache_core::testkit::until::until;
use cache_core::tier::memory::MemoryRemote;
use cache_core::wire::codec::Bincode;
use cache_core::{
    AsOf, Ask, Cache, Domain, FillOutcome, Kind, Loaded, Lookup, Name, Policy, Position, Role, Tag,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

type Row = u64;

const PATIENCE: Duration = Duration::from_secs(5);

fn open(domain: &Arc<Domain>) -> Cache<Row> {
    let policy = Policy::new("users").expect("a name");
    Cache::open(domain, policy, Bincode::default()).expect("a policy")
}

async fn member(fleet: &Fleet) -> (Arc<Domain>, Cache<Row>) {
    let domain = fleet.join(Role::Member).await.expect("the bus is there");
    until_trusted(&domain).await;
    let cache = open(&domain);
    (domain, cache)
}

/// A source of one row that counts how often it is read.
#[derive(Clone, Default)]
struct Source {
    row: Arc<AtomicU64>,
    loads: Arc<AtomicU64>,
}

impl Source {
    fn of(row: Row) -> Self {
        let source = Self::default();
        source.row.store(row, Ordering::SeqCst);
        source
    }

    async fn read(self) -> Result<Option<Row>, Cause> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        Ok(Some(self.row.load(Ordering::SeqCst)))
    }

    fn loads(&self) -> u64 {
        self.loads.load(Ordering::SeqCst)
    }
}

async fn get(cache: &Cache<Row>, key: &str, source: &Source) -> (Row, Tier) {
    let source = source.clone();
    let hit = cache.get_or_load(key, |_| source.read()).await;
    let hit = hit.expect("the source answers").expect("there is a row");
    (*hit, hit.tier())
}

#[tokio::test]
async fn a_value_is_loaded_once_then_served_by_l1_and_to_others_by_l2() {
    let fleet = Fleet::in_memory();
    let (_one, first) = member(&fleet).await;
    let (_two, second) = member(&fleet).await;
    let source = Source::of(7);
    assert_eq!(get(&first, "k", &source).await, (7, Tier::None));
    assert_eq!(get(&first, "k", &source).await, (7, Tier::L1));
    assert_eq!(get(&second, "k", &source).await, (7, Tier::L2));
    assert_eq!(get(&second, "k", &source).await, (7, Tier::L1));
    assert_eq!(source.loads(), 1);
}

#[tokio::test]
async fn an_invalidation_reaches_every_tier_of_every_process() {
    let fleet = Fleet::in_memory();
    let (_one, first) = member(&fleet).await;
    let (_two, second) = member(&fleet).await;
    let source = Source::of(1);
    get(&first, "k", &source).await;
    get(&second, "k", &source).await;
    source.row.store(2, Ordering::SeqCst);
    assert!(first.invalidate("k").await.expect("L2 is there"));
    assert_eq!(
        get(&first, "k", &source).await.0,
        2,
        "at once where it was asked for"
    );
    let heard = || async { get(&second, "k", &source).await.0 == 2 };
    until(PATIENCE, "the other process has heard", heard)
        .await
        .expect("it has");
    assert_eq!(source.loads(), 2, "the second value came from L2");
}

#[tokio::test]
async fn a_known_absence_is_cached_and_ends_with_an_invalidation() {
    let fleet = Fleet::in_memory();
    let (_one, cache) = member(&fleet).await;
    let absent = || async { Ok::<_, Cause>(None::<Row>) };
    assert!(
        cache
            .get_or_load("k", move |_| absent())
            .await
            .expect("it answers")
            .is_none()
    );
    assert!(matches!(cache.get("k").await, Ok(Lookup::Absent)));
    cache.invalidate("k").await.expect("L2 is there");
    assert_eq!(get(&cache, "k", &Source::of(3)).await, (3, Tier::None));
}

#[tokio::test]
async fn a_tag_invalidates_its_entries_and_no_others() {
    let fleet = Fleet::in_memory();
    let (_one, first) = member(&fleet).await;
    let (_two, second) = member(&fleet).await;
    let team = Tag::new("team:1").expect("a tag");
    let load =
        |tags: Vec<Tag>| move |_| async move { Ok::<_, Cause>(Loaded::value(1u64).tagged(tags)) };
    for key in ["a", "b"] {
        first
            .get_or_load(key, load(vec![team.clone()]))
            .await
            .expect("it answers");
    }
    first
        .get_or_load("c", load(vec![]))
        .await
        .expect("it answers");
    for key in ["a", "b", "c"] {
        assert!(
            matches!(second.get(key).await, Ok(Lookup::Hit(_))),
            "{key} is in L2"
        );
    }
    first.invalidate_tag(team).await.expect("L2 is there");
    let gone =
        async |cache: &Cache<Row>, key: &str| matches!(cache.get(key).await, Ok(Lookup::Miss(_)));
    for cache in [&first, &second] {
        for key in ["a", "b"] {
            until(PATIENCE, "the tag's entries are gone", || gone(cache, key))
                .await
                .expect(key);
        }
        assert!(
            matches!(cache.get("c").await, Ok(Lookup::Hit(_))),
            "untagged"
        );
    }
    second.clear().await.expect("L2 is there");
    for cache in [&first, &second] {
        until(PATIENCE, "the cache is clear", || gone(cache, "c"))
            .await
            .expect("it is");
    }
}

/// A load that stands still until it is told to go on.
#[derive(Clone, Default)]
struct Gate {
    begun: Arc<Notify>,
    open: Arc<Notify>,
}

impl Gate {
    async fn old_row(self) -> Result<Option<Row>, Cause> {
        self.begun.notify_one();
        self.open.notified().await;
        Ok(Some(1))
    }
}

async fn assert_not_stored(first: &Cache<Row>, second: &Cache<Row>) {
    for cache in [first, second] {
        let lookup = cache.get("k").await.expect("a key");
        assert!(matches!(lookup, Lookup::Miss(_)), "{lookup:?}");
    }
}

#[tokio::test]
async fn a_key_invalidated_during_its_load_is_not_stored_in_get_or_load() {
    let fleet = Fleet::in_memory();
    let (_one, first) = member(&fleet).await;
    let (_two, second) = member(&fleet).await;
    let gate = Gate::default();
    let reader = tokio::spawn({
        let (cache, gate) = (first.clone(), gate.clone());
        async move { cache.get_or_load("k", |_| gate.old_row()).await }
    });
    gate.begun.notified().await;
    second.invalidate("k").await.expect("L2 is there");
    gate.open.notify_one();
    let hit = reader
        .await
        .expect("no panic")
        .expect("no error")
        .expect("a row");
    assert_eq!(*hit, 1, "who asked before the change may get the old row");
    assert_not_stored(&first, &second).await;
}

#[tokio::test]
async fn a_key_invalidated_during_its_load_is_not_stored_in_read_through() {
    let fleet = Fleet::in_memory();
    let (_one, first) = member(&fleet).await;
    let (_two, second) = member(&fleet).await;
    let gate = Gate::default();
    let loader = {
        let gate = gate.clone();
        first.read_through(move |_| gate.clone().old_row())
    };
    let reader = tokio::spawn(async move { loader.get("k").await });
    gate.begun.notified().await;
    second.invalidate("k").await.expect("L2 is there");
    gate.open.notify_one();
    reader.await.expect("no panic").expect("no error");
    assert_not_stored(&first, &second).await;
}

#[tokio::test]
async fn a_key_invalidated_during_its_load_is_not_stored_by_a_ticket() {
    let fleet = Fleet::in_memory();
    let (_one, first) = member(&fleet).await;
    let (_two, second) = member(&fleet).await;
    let Ok(Lookup::Miss(ticket)) = first.get("k").await else {
        panic!("nothing is stored")
    };
    assert!(ticket.has_lease());
    second.invalidate("k").await.expect("L2 is there");
    let (_, outcome) = ticket.fill(Some(1), None).await.expect("it can be encoded");
    assert_eq!(outcome, FillOutcome::Superseded);
    assert_not_stored(&first, &second).await;
}

#[tokio::test]
async fn a_tag_invalidated_during_a_load_refuses_its_fill() {
    let fleet = Fleet::in_memory();
    let (_one, first) = member(&fleet).await;
    let (_two, second) = member(&fleet).await;
    let team = Tag::new("team:1").expect("a tag");
    // Both know the tag, as a process that has served it does.
    let tagged = |row: Row| Loaded::value(row).tagged([team.clone()]);
    let Ok(Lookup::Miss(ticket)) = first.get("other").await else {
        panic!("nothing is stored")
    };
    ticket
        .fill(tagged(1), None)
        .await
        .expect("it can be encoded");
    let Ok(Lookup::Miss(ticket)) = first.get("k").await else {
        panic!("nothing is stored")
    };
    second
        .invalidate_tag(team.clone())
        .await
        .expect("L2 is there");
    let (_, outcome) = ticket
        .fill(tagged(1), None)
        .await
        .expect("it can be encoded");
    if let FillOutcome::Stored(_) = outcome {
        // The bus had not told yet; then every reader refuses it.
        let refused = || async { matches!(first.get("k").await, Ok(Lookup::Miss(_))) };
        until(PATIENCE, "the entry is refused", refused)
            .await
            .expect("it is");
    }
    assert!(matches!(second.get("k").await, Ok(Lookup::Miss(_))));
}

#[tokio::test]
async fn the_ticket_is_taken_before_the_first_outside_read() {
    // A value read from L2 before an invalidation, put into L1 after it, is not
    // served: its ticket is older than the fence.
    let fleet = Fleet::in_memory();
    let (domain, cache) = member(&fleet).await;
    get(&cache, "k", &Source::of(1)).await;
    let space = KeySpace::new(fleet.name.clone(), Name::new("users").expect("a name"));
    let hash = space.hash(cache_core::Key::new(b"k").expect("a key"));
    domain.fence().raise(hash);
    let (_, tier) = get(&cache, "k", &Source::of(2)).await;
    assert_eq!(tier, Tier::L2, "the copy in L1 is behind the fence");
}

#[tokio::test]
async fn a_reader_may_ask_for_its_own_write() {
    let fleet = Fleet::in_memory();
    let (_one, cache) = member(&fleet).await;
    let source = Source::of(1);
    get(&cache, "k", &source).await;
    let ask = Ask::at_least(Position::new(0, 5, 0));
    let lookup = cache.get_with("k", &ask).await.expect("a key");
    assert!(
        matches!(lookup, Lookup::Miss(_)),
        "older than asked for: {lookup:?}"
    );
}

#[tokio::test]
async fn an_absence_of_unknown_age_is_not_kept_and_a_value_not_for_long() {
    let fleet = Fleet::in_memory();
    let (_one, cache) = member(&fleet).await;
    let unknown = |row: Option<Row>| Loaded::from(row).read_at(AsOf::Unknown);
    let Ok(Lookup::Miss(ticket)) = cache.get("a").await else {
        panic!("nothing is stored")
    };
    let (_, outcome) = ticket
        .fill(unknown(None), None)
        .await
        .expect("it can be encoded");
    assert_eq!(outcome, FillOutcome::NotKept);
    let Ok(Lookup::Miss(ticket)) = cache.get("b").await else {
        panic!("nothing is stored")
    };
    let (hit, outcome) = ticket
        .fill(unknown(Some(1)), None)
        .await
        .expect("it can be encoded");
    assert!(matches!(outcome, FillOutcome::Stored(_)));
    assert!(hit.expect("a row").ttl() <= Duration::from_secs(5));
}

#[tokio::test]
async fn values_expire_by_the_clock_in_both_tiers() {
    let clock = Arc::new(cache_core::testkit::clock::HandClock::new());
    let fleet = Fleet::over(
        Arc::new(MemoryRemote::new(clock.clone())),
        Arc::new(cache_core::bus::memory::MemoryBus::new()),
        clock.clone(),
    );
    let domain = fleet.join(Role::Member).await.expect("the bus is there");
    let cache = open(&domain);
    let source = Source::of(1);
    get(&cache, "k", &source).await;
    clock.turn(Duration::from_secs(299));
    get(&cache, "k", &source).await;
    let before = source.loads();
    clock.turn(Duration::from_secs(301));
    assert_eq!(get(&cache, "k", &source).await.1, Tier::None);
    assert_eq!(source.loads(), before + 1);
}

#[tokio::test]
async fn a_loader_that_panics_fails_or_hangs_gives_an_error_and_the_lease_back() {
    let fleet = Fleet::in_memory();
    let domain = fleet.join(Role::Member).await.expect("the bus is there");
    let mut policy = Policy::new("users").expect("a name");
    policy.load_timeout = Duration::from_millis(50);
    let cache: Cache<Row> = Cache::open(&domain, policy, Bincode::default()).expect("a policy");
    let panics = cache.get_or_load("k", |_| async {
        if std::hint::black_box(true) {
            panic!("the loader's own fault");
        }
        Ok::<_, Cause>(Some(1))
    });
    assert_eq!(
        panics.await.expect_err("it panics").kind(),
        Kind::LoadPanicked
    );
    let fails = cache.get_or_load("k", |_| async { Err::<Option<Row>, _>("no such table") });
    let error = fails.await.expect_err("it fails");
    assert_eq!(error.kind(), Kind::LoadFailed);
    assert!(error.to_string().contains("no such table"), "{error}");
    let hangs = cache.get_or_load("k", |_| {
        std::future::pending::<Result<Option<Row>, Cause>>()
    });
    assert_eq!(hangs.await.expect_err("it hangs").kind(), Kind::LoadTimeout);
    assert_eq!(
        get(&cache, "k", &Source::of(4)).await,
        (4, Tier::None),
        "nobody holds the lease"
    );
}

#[tokio::test]
async fn keys_and_values_outside_their_limits_are_refused_and_nothing_is_lost() {
    let fleet = Fleet::in_memory();
    let domain = fleet.join(Role::Member).await.expect("the bus is there");
    let mut policy = Policy::new("texts").expect("a name");
    policy.value_bytes_max = 100;
    let cache: Cache<String> = Cache::open(&domain, policy, Bincode::default()).expect("a policy");
    assert_eq!(
        cache.get("").await.expect_err("empty").kind(),
        Kind::Invalid
    );
    assert_eq!(
        cache.get([b'x'; 513]).await.expect_err("long").kind(),
        Kind::Invalid
    );
    let large = cache.get_or_load("k", |_| async { Ok::<_, Cause>(Some("x".repeat(101))) });
    let error = large.await.expect_err("too large");
    assert!(error.to_string().contains("value_bytes_max"), "{error}");
    let small = cache.get_or_load("k", |_| async { Ok::<_, Cause>(Some("x".to_owned())) });
    assert_eq!(*small.await.expect("it fits").expect("a row"), "x");
}
