//! What is done to an entry without loading it: another end, a value of one's own.

use cache_core::bus::memory::MemoryBus;
use cache_core::clock::Clock;
use cache_core::model::key::{Key, KeySpace};
use cache_core::policy::UnleasedSet;
use cache_core::source::Cause;
use cache_core::testkit::clock::RuntimeClock;
use cache_core::testkit::fleet::{Fleet, in_l1, keeps_in_l1};
use cache_core::testkit::until::until;
use cache_core::tier::memory::MemoryRemote;
use cache_core::tier::{Record, Remote, Touch};
use cache_core::wire::codec::Bincode;
use cache_core::{
    AsOf, Cache, Domain, Kind, Loaded, Lookup, Name, Policy, Role, SetOutcome, TouchOutcome,
};
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Two processes whose values live for ten seconds, and not a moment longer.
async fn two() -> [(Arc<Domain>, Cache<u64>); 2] {
    let clock: Arc<dyn Clock> = Arc::new(RuntimeClock::new());
    let remote = Arc::new(MemoryRemote::new(clock.clone()));
    let fleet = Fleet::over(remote, Arc::new(MemoryBus::new()), clock);
    let mut policy = Policy::new("users").expect("a name");
    policy.lifetime.ttl = 10 * SECOND;
    policy.lifetime.stale_ttl = Duration::ZERO;
    policy.lifetime.jitter = 0.0;
    policy.lifetime.l1_ttl = 10 * SECOND;
    let join = async || {
        let domain = fleet.join(Role::Member).await.expect("the bus is there");
        let cache = Cache::open(&domain, policy.clone(), Bincode::default());
        (domain, cache.expect("a sound policy"))
    };
    let both = [join().await, join().await];
    for (_, cache) in &both {
        let kept = || keeps_in_l1(cache, "k", 7);
        let kept = until(5 * SECOND, "L1 keeps what it is given", kept).await;
        kept.expect("it is trusted");
    }
    both
}

async fn is_served(cache: &Cache<u64>) -> bool {
    matches!(cache.get("k").await, Ok(Lookup::Hit(hit)) if *hit == 7)
}

#[tokio::test(start_paused = true)]
async fn a_touched_value_lives_longer_or_shorter_in_every_process() {
    let [(_a, one), (_b, two)] = two().await;
    let touched = one.touch("k", 60 * SECOND).await.expect("a good key");
    assert!(
        matches!(touched, TouchOutcome::Touched { .. }),
        "{touched:?}"
    );
    tokio::time::advance(50 * SECOND).await;
    assert!(is_served(&one).await && is_served(&two).await, "longer");
    two.touch("k", SECOND).await.expect("a good key");
    let dropped = || async { !in_l1(&one, "k").await };
    let waited = until(SECOND / 2, "the copy with the old end is dropped", dropped).await;
    waited.expect("everybody is told");
    tokio::time::advance(2 * SECOND).await;
    assert!(!is_served(&one).await && !is_served(&two).await, "shorter");
    let gone = one.touch("k", SECOND).await.expect("a good key");
    assert_eq!(gone, TouchOutcome::NotFound);
}

#[tokio::test(start_paused = true)]
async fn nothing_lives_longer_than_a_month_after_its_load() {
    let [(_a, one), (_b, two)] = two().await;
    for day in 0..31 {
        let touched = one.touch("k", 2 * DAY).await.expect("a good key");
        assert!(
            matches!(touched, TouchOutcome::Touched { .. }),
            "{day}: {touched:?}"
        );
        if day < 29 {
            tokio::time::advance(DAY).await;
        }
    }
    tokio::time::advance(2 * DAY).await;
    assert!(!is_served(&one).await && !is_served(&two).await);
}

#[tokio::test(start_paused = true)]
async fn what_was_invalidated_is_not_brought_back_by_a_touch() {
    let [(_a, one), (_b, two)] = two().await;
    one.invalidate("k").await.expect("a good key");
    let touched = two.touch("k", DAY).await.expect("a good key");
    assert_eq!(touched, TouchOutcome::NotFound);
    assert!(!is_served(&one).await && !is_served(&two).await);
    let error = one.touch("", SECOND).await.expect_err("no key");
    assert_eq!(error.kind(), Kind::Invalid);
}

#[tokio::test(start_paused = true)]
async fn a_value_of_unknown_age_stays_short_lived() {
    let [(_a, one), _b] = two().await;
    one.invalidate("k").await.expect("a good key");
    let load = async |_| Ok::<_, Cause>(Loaded::value(7_u64).read_at(AsOf::Unknown));
    one.get_or_load("k", load)
        .await
        .expect("the source answers");
    one.touch("k", DAY).await.expect("a good key");
    tokio::time::advance(60 * SECOND).await;
    assert!(!is_served(&one).await);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sets_reads_it_or_something_newer_in_its_session() {
    let [(_a, one), (_b, two)] = two().await;
    let mut session = cache_core::Session::default();
    let set = one.in_session(&mut session).set("k", Some(8), None).await;
    assert_eq!(set.expect("a good key"), SetOutcome::Invalidated);
    let read = two
        .in_session(&mut session)
        .get("k")
        .await
        .expect("a good key");
    assert!(matches!(read, Lookup::Miss(_)), "nothing older: {read:?}");
}

#[tokio::test(start_paused = true)]
async fn a_value_is_set_only_where_there_is_none_and_copies_elsewhere_go() {
    let clock: Arc<dyn Clock> = Arc::new(RuntimeClock::new());
    let remote = Arc::new(MemoryRemote::new(clock.clone()));
    let fleet = Fleet::over(remote.clone(), Arc::new(MemoryBus::new()), clock);
    let mut policy = Policy::new("users").expect("a name");
    policy.unleased_set = UnleasedSet::Stores;
    let join = async || {
        let domain = fleet.join(Role::Member).await.expect("the bus is there");
        let cache = Cache::<u64>::open(&domain, policy.clone(), Bincode::default());
        (domain, cache.expect("a sound policy"))
    };
    let [(_a, one), (_b, two)] = [join().await, join().await];
    let kept = || keeps_in_l1(&two, "k", 7);
    let kept = until(5 * SECOND, "L1 keeps what it is given", kept).await;
    kept.expect("it is trusted");
    let set = two.set_if_absent("k", Some(8), None).await;
    assert_eq!(set.expect("a good key"), None, "there is one");
    // L2 forgets it, as it may; the copy in an L1 stays.
    let name = |text| Name::new(text).expect("a name");
    let space = KeySpace::new(name("main"), name("users"));
    let address = space.address(Key::new(b"k").expect("a key"));
    let reading = remote.read(&address).await.expect("it is there");
    let Some(Record::Value { as_of, body }) = reading.record else {
        panic!("the value is there")
    };
    let touch = Touch {
        as_of,
        was: body.clone(),
        body,
        ttl: SECOND / 1_000,
    };
    remote.touch(&address, touch).await.expect("it is there");
    tokio::time::advance(SECOND / 100).await;
    assert!(in_l1(&two, "k").await);
    let mut session = cache_core::Session::default();
    let mut client = one.in_session(&mut session);
    let set = client.set_if_absent("k", Some(8), None).await;
    assert_eq!(set.expect("a good key"), Some(SetOutcome::Stored));
    let read = || async {
        let read = two.get("k").await;
        matches!(read, Ok(Lookup::Hit(hit)) if *hit == 8)
    };
    until(SECOND, "the copy goes", read)
        .await
        .expect("everybody is told");
    let noted = two
        .in_session(&mut session)
        .get("k")
        .await
        .expect("a good key");
    assert!(
        matches!(noted, Lookup::Miss(_)),
        "nobody knows its position: {noted:?}"
    );
}
