//! What people are told of a key: each reason for which a tier does not answer, and that
//! asking changes nothing.

use cache_core::bus::memory::MemoryBus;
use cache_core::clock::Clock;
use cache_core::event::{Event, Observer};
use cache_core::fill::explain::Verdict;
use cache_core::fill::reason::Reason;
use cache_core::model::key::{Address, KeyHash, KeySpace};
use cache_core::source::{Cause, Loaded};
use cache_core::testkit::clock::RuntimeClock;
use cache_core::testkit::fleet::{Fleet, until_trusted};
use cache_core::testkit::troubled::TroubledRemote;
use cache_core::testkit::until::{pace, until};
use cache_core::tier::{Beat, Known, Remote};
use cache_core::wire::codec::Bincode;
use cache_core::{Ask, Cache, Domain, Explanation, Key, Lookup, Name, Policy, Position, Role, Tag};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);
const TTL: Duration = Duration::from_secs(60);

/// Counts the reads that caches were asked.
#[derive(Debug, Default)]
struct Reads(AtomicU64);

impl Observer for Reads {
    fn register(&self, _: &Name) -> cache_core::event::CacheId {
        cache_core::event::CacheId(0)
    }

    fn observe(&self, event: &Event<'_>) {
        if matches!(event, Event::Get { .. }) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// One process that keeps a row with a tag in both tiers, and another that has read nothing.
struct World {
    remote: Arc<TroubledRemote>,
    domain: Arc<Domain>,
    cache: Cache<u64>,
    other: Cache<u64>,
    reads: Arc<Reads>,
    _other: Arc<Domain>,
}

impl World {
    async fn new() -> Self {
        Self::with(policy()).await
    }

    async fn with(policy: Policy) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(RuntimeClock::new());
        let remote = Arc::new(TroubledRemote::new(clock.clone()));
        let fleet = Fleet::over(remote.clone(), Arc::new(MemoryBus::new()), clock);
        let reads = Arc::new(Reads::default());
        let joined = fleet.join_observed(Role::Member, reads.clone()).await;
        let domain = joined.expect("the bus is there");
        let _other = fleet.join(Role::Member).await.expect("the bus is there");
        until_trusted(&domain).await;
        until_trusted(&_other).await;
        let open = |domain| Cache::open(domain, policy.clone(), Bincode::default());
        let (cache, other) = (open(&domain), open(&_other));
        let (cache, other) = (cache.expect("a policy"), other.expect("a policy"));
        let load = || async {
            let load = async move |_| Ok::<_, Cause>(Loaded::value(7).tagged([team()]));
            cache.get_or_load("k", load).await.expect("it loads");
            cache.explain("k").await.expect("a key").verdict == Verdict::HitInL1
        };
        let kept = until(PATIENCE, "both tiers have the row", load).await;
        kept.expect("nothing else happens");
        Self {
            remote,
            domain,
            cache,
            other,
            reads,
            _other,
        }
    }

    async fn explain(&self) -> Explanation {
        self.cache.explain("k").await.expect("a good key")
    }

    /// Why neither tier answers.
    async fn reasons(&self) -> (Reason, Reason) {
        let explained = self.explain().await;
        assert_eq!(explained.verdict, Verdict::Miss, "{explained}");
        let (one, two) = (explained.l1.why_not, explained.l2.why_not);
        (one.expect("not L1"), two.expect("not L2"))
    }
}

fn policy() -> Policy {
    let mut policy = Policy::new("users").expect("a name");
    (policy.lifetime.ttl, policy.lifetime.jitter) = (TTL, 0.0);
    policy.breaker_keys = 1;
    policy
}

fn team() -> Tag {
    Tag::new("team:3").expect("a tag")
}

fn space() -> KeySpace {
    let name = |text| Name::new(text).expect("a name");
    KeySpace::new(name("main"), name("users"))
}

fn key() -> Key<'static> {
    Key::new(b"k").expect("a key")
}

fn hash() -> KeyHash {
    space().hash(key())
}

fn address() -> Address {
    space().address(key())
}

#[tokio::test(start_paused = true)]
async fn what_would_be_answered_is_told_and_counts_as_no_read() {
    let world = World::new().await;
    let before = world.reads.0.load(Ordering::SeqCst);
    let image = format!("{:?}", world.remote.inner.read(&address()).await);
    let explained = world.explain().await;
    assert_eq!(explained.verdict, Verdict::HitInL1);
    assert!(explained.l1.why_not.is_none() && explained.l2.why_not.is_none());
    let entry = explained.l1.entry.as_ref().expect("L1 has it");
    assert!(entry.remaining_ms <= 60_000 && entry.ttl_ms == 60_000 && !entry.is_negative);
    assert!(explained.l1.weight > Some(160));
    let tags: Vec<_> = explained.l2.tags.iter().map(|t| t.tag.as_str()).collect();
    assert_eq!(tags, ["*", "team:3"]);
    assert!(
        explained
            .l2
            .tags
            .iter()
            .all(|tag| tag.floor <= Some(tag.stamp))
    );
    let other = world.other.explain("k").await.expect("a good key");
    assert_eq!(other.verdict, Verdict::HitInL2);
    assert_eq!(other.l1.why_not, Some(Reason::NotHeld));
    assert_eq!(world.reads.0.load(Ordering::SeqCst), before);
    let after = format!("{:?}", world.remote.inner.read(&address()).await);
    assert_eq!(image, after, "L2 is as it was");
}

#[tokio::test(start_paused = true)]
async fn an_explanation_is_read_by_people_and_by_programs() {
    let world = World::new().await;
    let explained = world.explain().await;
    let text = explained.to_string();
    for part in [
        "users/k: a value, from L1",
        "L2: answers",
        "tag team:3: stamp",
        "bucket ",
    ] {
        assert!(text.contains(part), "{text}");
    }
    let json = serde_json::to_value(&explained).expect("JSON has all of it");
    assert_eq!(json["verdict"], "hit_in_l1");
    assert_eq!(json["l2"]["tags"][1]["tag"], "team:3");
    world.remote.down.store(true, Ordering::Relaxed);
    let json = serde_json::to_value(world.explain().await).expect("JSON has all of it");
    assert_eq!(json["l2"]["why_not"]["reason"], "unreachable");
}

#[tokio::test(start_paused = true)]
async fn an_absence_is_told_apart() {
    let world = World::new().await;
    let load = async |_| Ok::<_, Cause>(None::<u64>);
    world.cache.get_or_load("a", load).await.expect("it loads");
    let verdict = async |cache: &Cache<u64>| cache.explain("a").await.expect("a key").verdict;
    assert_eq!(verdict(&world.cache).await, Verdict::NegativeInL1);
    assert_eq!(verdict(&world.other).await, Verdict::NegativeInL2);
}

#[tokio::test(start_paused = true)]
async fn l1_says_that_it_is_not_trusted_or_was_invalidated() {
    let world = World::new().await;
    world.domain.fence().raise(hash());
    let explained = world.explain().await;
    assert_eq!(explained.verdict, Verdict::HitInL2);
    assert_eq!(explained.l1.why_not, Some(Reason::FenceMoved));
    world.domain.trust().lapse();
    let explained = world.explain().await;
    assert_eq!(explained.l1.why_not, Some(Reason::NotTrusted));
}

#[tokio::test(start_paused = true)]
async fn what_has_expired_says_whether_it_may_still_be_served() {
    let world = World::new().await;
    pace(TTL).await;
    let expired = (Reason::Expired, Reason::Expired);
    assert_eq!(world.reasons().await, expired);
    let fails = async |_| Err::<Option<u64>, _>(Cause::from("the source is away"));
    let served = world.cache.get_or_load("k", fails).await;
    assert!(served.expect("it is held over").is_some());
    let explained = world.explain().await;
    assert_eq!(explained.verdict, Verdict::Stale);
    assert!(explained.breaker_is_open, "{explained}");

    let mut policy = policy();
    policy.lifetime.stale_ttl = Duration::ZERO;
    let world = World::with(policy).await;
    pace(TTL - Duration::from_millis(1)).await;
    let explained = world.explain().await;
    assert_eq!(explained.l2.why_not, None);
    pace(Duration::from_millis(1)).await;
    assert_eq!(world.reasons().await.0, Reason::Expired);
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_was_invalidated_is_named() {
    let world = World::new().await;
    world
        .cache
        .invalidate_tag(team())
        .await
        .expect("L2 is there");
    let (l1, l2) = world.reasons().await;
    assert_eq!(l1, Reason::TagUnknown { tag: team() });
    assert!(
        matches!(&l2, Reason::TagFloor { tag, stamp, floor } if *tag == team() && stamp < floor),
        "{l2}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_tags_bucket_that_lost_writes_is_named() {
    let world = World::new().await;
    let bucket = space().tag_address(&team()).bucket;
    let ahead = Position::new(0, 99, 0);
    world.domain.horizon().raise(bucket, ahead);
    world
        .cache
        .invalidate_tag(team())
        .await
        .expect("L2 is there");
    let image = world.remote.inner.image();
    world
        .domain
        .horizon()
        .raise(bucket, Position::new(0, 999, 0));
    world.remote.inner.go_back_in([bucket], &image);
    assert_eq!(world.reasons().await.1, Reason::TagBehind { bucket });
}

#[tokio::test(start_paused = true)]
async fn l2_says_what_it_has_instead_of_a_value() {
    let world = World::new().await;
    let absent = world.cache.explain("x").await.expect("a good key");
    assert_eq!(absent.l2.why_not, Some(Reason::Absent));
    world.cache.invalidate("k").await.expect("L2 is there");
    let (l1, l2) = world.reasons().await;
    assert_eq!(l1, Reason::NotHeld);
    assert!(matches!(l2, Reason::Marked { .. }), "{l2}");
    let lookup = world.cache.get("k").await.expect("a good key");
    assert!(matches!(&lookup, Lookup::Miss(ticket) if ticket.has_lease()));
    let explained = world.explain().await;
    let why = &explained.l2.why_not;
    assert!(matches!(why, Some(Reason::Leased { .. })), "{explained}");
    assert!(explained.is_loading && explained.l2.is_leased);
    drop(lookup);
    assert!(!world.explain().await.is_loading);
}

#[tokio::test(start_paused = true)]
async fn l2_says_that_it_cannot_be_asked_or_believed() {
    let world = World::new().await;
    world.domain.fence().raise_all();
    world
        .domain
        .owed()
        .owe(hash(), Position::MAX, world.domain.clock().now());
    let floor = Position::MAX;
    assert_eq!(world.reasons().await.1, Reason::Owed { floor });
    world.remote.down.store(true, Ordering::Relaxed);
    assert_eq!(world.reasons().await.1, Reason::Unreachable);
    world.remote.down.store(false, Ordering::Relaxed);
    world
        .domain
        .horizon()
        .raise(address().bucket, Position::new(0, 9, 0));
    assert_eq!(world.reasons().await.1, Reason::BucketBehind);
    world.remote.inner.forget_all();
    assert_eq!(world.reasons().await.1, Reason::NoWatermark);
}

#[tokio::test(start_paused = true)]
async fn a_value_below_its_buckets_floor_is_told() {
    let world = World::new().await;
    world.domain.fence().raise_all();
    let lost = Beat {
        bucket: address().bucket,
        seen: Position::ZERO,
        known: Known {
            applied: Position::new(0, 9, 0),
            seen: Position::ZERO,
        },
        doubted: true,
    };
    world.remote.inner.beat(vec![lost]).await;
    let floor = Position::new(0, 9, 0);
    assert_eq!(world.reasons().await.1, Reason::BelowBucketFloor { floor });
}

#[tokio::test(start_paused = true)]
async fn a_value_of_another_type_says_why_it_cannot_be_read() {
    let world = World::new().await;
    let strange: Cache<String> =
        Cache::open(&world.domain, policy(), Bincode::default()).expect("a policy");
    let explained = strange.explain("k").await.expect("a good key");
    let why = "another codec, type or schema";
    assert_eq!(explained.l2.why_not, Some(Reason::Undecodable { why }));
}

#[tokio::test(start_paused = true)]
async fn an_explanation_and_a_read_agree() {
    let world = World::new().await;
    for step in 0..4 {
        match step {
            0 => {}
            1 => world.domain.fence().raise(hash()),
            2 => drop(world.cache.invalidate_tag(team()).await),
            _ => drop(world.cache.invalidate("k").await),
        }
        let verdict = world.explain().await.verdict;
        let ask = Ask::default();
        let read = world.cache.get_with("k", &ask).await.expect("a good key");
        let fits = match (verdict, &read) {
            (Verdict::HitInL1, Lookup::Hit(hit)) => hit.tier() == cache_core::event::Tier::L1,
            (Verdict::HitInL2, Lookup::Hit(hit)) => hit.tier() == cache_core::event::Tier::L2,
            (Verdict::Miss, Lookup::Miss(_)) => true,
            _ => false,
        };
        assert!(fits, "step {step}: {verdict:?}, {read:?}");
    }
}
