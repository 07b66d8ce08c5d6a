//! An inspection looks into every L1: what an announced invalidation should have ended
//! is dropped and told of, and nothing else changes.

use cache_core::bus::memory::MemoryBus;
use cache_core::coherence::listen::Proof;
use cache_core::coherence::voice::Voice;
use cache_core::event::{CacheId, Event, Found, Observer, Tier};
use cache_core::metrics::Metrics;
use cache_core::model::key::Bucket;
use cache_core::model::second_look::SecondLook;
use cache_core::testkit::clock::RuntimeClock;
use cache_core::testkit::fleet::{Fleet, keeps_in_l1, until_trusted};
use cache_core::testkit::until::{pace, until};
use cache_core::tier::memory::MemoryRemote;
use cache_core::wire::codec::Bincode;
use cache_core::wire::invalidation::{
    Content, Inspection, Invalidation, Message, Publisher, Target, Violation,
};
use cache_core::{Cache, Domain, Lookup, Name, Policy, Position, Role, Tag};
use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::Duration;

const LATER: Position = Position::new(0, 9, 0);

/// Remembers what was found, what was read, and what was lost.
#[derive(Debug, Default)]
struct Notes(Mutex<Vec<String>>);

impl Notes {
    fn of(&self, what: &str) -> Vec<String> {
        let notes = self.0.lock();
        let those = notes.iter().filter(|note| note.starts_with(what));
        those.cloned().collect()
    }
}

impl Observer for Notes {
    fn register(&self, _: &Name) -> CacheId {
        CacheId(0)
    }

    fn observe(&self, event: &Event<'_>) {
        self.0.lock().extend(match event {
            Event::Inspected { look, found, .. } => Some(format!("{} {found:?}", look.word())),
            Event::Gap { reason } => Some(format!("gap: {reason}")),
            Event::Get { .. } => Some("get".to_owned()),
            _ => None,
        });
    }
}

fn fleet() -> Fleet {
    let clock = Arc::new(RuntimeClock::new());
    let remote = Arc::new(MemoryRemote::new(clock.clone()));
    Fleet::over(remote, Arc::new(MemoryBus::new()), clock)
}

/// A member that holds the value of `k` in its L1.
async fn holder(fleet: &Fleet) -> (Arc<Domain>, Cache<u64>, Arc<Notes>) {
    let notes = Arc::new(Notes::default());
    let joined = fleet.join_observed(Role::Member, notes.clone()).await;
    let domain = joined.expect("the bus is there");
    let policy = Policy::new("users").expect("a name");
    let cache = Cache::open(&domain, policy, Bincode::default()).expect("a policy");
    if fleet.proof == Proof::Echo {
        until_trusted(&domain).await;
        let held = || keeps_in_l1(&cache, "k", 7);
        let waited = until(Duration::from_secs(5), "L1 holds it", held).await;
        waited.expect("it does");
    }
    (domain, cache, notes)
}

async fn tier(cache: &Cache<u64>) -> Option<Tier> {
    match cache.get("k").await {
        Ok(Lookup::Hit(hit)) => Some(hit.tier()),
        _ => None,
    }
}

fn users() -> Name {
    Name::new("users").expect("a name")
}

fn key() -> Target {
    Target::Key {
        cache: users(),
        key: b"k".as_slice().into(),
    }
}

fn at(target: Target, position: Position) -> [Inspection; 1] {
    [Inspection { target, position }]
}

async fn noted(notes: &Notes, what: &str, count: usize) {
    let there = || async { notes.of(what).len() == count };
    let waited = until(Duration::from_secs(5), what, there).await;
    waited.unwrap_or_else(|error| panic!("{error}: {:?}", notes.0.lock()));
}

#[tokio::test]
async fn an_l1_that_would_serve_too_old_drops_it_and_says_so() {
    let fleet = fleet();
    let (_domain, cache, notes) = holder(&fleet).await;
    let other = fleet.join(Role::Member).await.expect("the bus is there");
    let mut violations = other.violations();
    let inspector = Voice::new(fleet.bus.clone(), 99);
    let reads = notes.of("get").len();

    let fine = at(key(), Position::ZERO);
    let asked = inspector.inspect(SecondLook::After1s, &fine).await;
    asked.expect("the bus is there");
    let asked = inspector
        .inspect(SecondLook::After10s, &at(key(), LATER))
        .await;
    asked.expect("the bus is there");
    let told = violations.recv().await.expect("it is told");
    let expected = Violation {
        target: key(),
        position: LATER,
        held: Position::ZERO,
    };
    assert_eq!(told, expected, "and of the first nobody spoke");
    assert_eq!(notes.of("1"), ["1s Held", "10s Violated"]);
    assert_eq!(notes.of("get").len(), reads, "an inspection is no read");
    assert_eq!(tier(&cache).await, None, "nor is L2 believed about it");

    let asked = inspector
        .inspect(SecondLook::After60s, &at(key(), LATER))
        .await;
    asked.expect("the bus is there");
    noted(&notes, "60s Held", 1).await;
}

#[tokio::test]
async fn a_tag_is_inspected_by_the_floor_that_is_known_of_it() {
    let fleet = fleet();
    let (domain, cache, notes) = holder(&fleet).await;
    let inspector = Voice::new(fleet.bus.clone(), 99);
    let tag = Target::Tag {
        cache: users(),
        tag: Tag::all(),
    };
    let mut violations = domain.violations();
    let all = at(tag.clone(), LATER);
    let asked = inspector.inspect(SecondLook::After1s, &all).await;
    asked.expect("the bus is there");
    let told = violations.recv().await.expect("it is told");
    assert_eq!((told.target, told.held), (tag, Position::ZERO));
    assert_eq!(tier(&cache).await, None, "no tag's floor lets it through");
    let asked = inspector.inspect(SecondLook::After10s, &all).await;
    asked.expect("the bus is there");
    noted(&notes, "10s Held", 1).await;
}

#[tokio::test]
async fn an_l1_that_is_not_trusted_shows_nothing() {
    let fleet = fleet().with_invalidator();
    let (domain, _cache, notes) = holder(&fleet).await;
    assert!(!domain.trust().holds(domain.clock().now()));
    let inspector = Voice::new(fleet.bus.clone(), 99);
    let asked = inspector
        .inspect(SecondLook::After1s, &at(key(), LATER))
        .await;
    asked.expect("the bus is there");
    noted(&notes, "1s Unknown", 1).await;
}

#[tokio::test(start_paused = true)]
async fn what_inspections_say_is_no_sign_of_life_that_could_be_missed() {
    let fleet = fleet();
    let (_domain, cache, notes) = holder(&fleet).await;
    let inspector = Voice::new(fleet.bus.clone(), 99);
    let found = [Violation {
        target: key(),
        position: LATER,
        held: Position::ZERO,
    }];
    inspector.violated(&found).await.expect("it is there");
    let fine = at(key(), Position::ZERO);
    let asked = inspector.inspect(SecondLook::After1s, &fine).await;
    asked.expect("the bus is there");
    // After the trust's span, whoever fell silent is missed.
    pace(4 * fleet.timing.trust).await;
    noted(&notes, "1s Held", 1).await;
    assert_eq!(notes.of("gap"), Vec::<String>::new());
    assert_eq!(tier(&cache).await, Some(Tier::L1));
}

#[tokio::test]
async fn an_inspection_repeats_the_last_number_and_so_shows_a_loss() {
    let fleet = fleet();
    let (_domain, _cache, notes) = holder(&fleet).await;
    let say = async |sequence, content| {
        let message = Message {
            publisher: Publisher(99),
            sequence,
            content,
        };
        let bytes = message.encode().expect("it is small");
        fleet.bus.publish(bytes).await.expect("it is there");
    };
    let inspect = || Content::Inspect {
        look: SecondLook::After1s,
        all: at(key(), LATER).to_vec(),
    };
    say(1, Content::Invalidate(Vec::new())).await;
    say(2, inspect()).await;
    say(2, inspect()).await;
    noted(&notes, "1s", 2).await;
    assert_eq!(notes.of("gap"), ["gap: a hole in a publisher's numbers"]);
    assert_eq!(
        notes.of("1s Violated"),
        Vec::<String>::new(),
        "all was dropped"
    );
}

#[tokio::test]
async fn an_inspector_whose_beginning_was_not_heard_shows_a_loss() {
    let fleet = fleet();
    let inspector = Voice::new(fleet.bus.clone(), 99);
    let other = Invalidation {
        target: Target::Bucket(Bucket(0)),
        position: Position::ZERO,
        changed_ms: None,
        in_l2: true,
    };
    let told = inspector.invalidate(&[other]).await;
    told.expect("nobody listens yet");
    let (_domain, _cache, notes) = holder(&fleet).await;
    for look in [SecondLook::After1s, SecondLook::After10s] {
        let asked = inspector.inspect(look, &at(key(), LATER)).await;
        asked.expect("the bus is there");
    }
    noted(&notes, "10s Held", 1).await;
    noted(&notes, "1s Held", 1).await;
    let gap = "gap: a publisher whose beginning was not heard";
    assert_eq!(notes.of("gap"), [gap], "once");
}

#[test]
fn every_look_has_a_series_from_the_start() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    metrics.observe(&Event::Inspected {
        tier: Tier::L2,
        look: SecondLook::After60s,
        found: Found::Violated,
    });
    let mut text = String::new();
    encode(&mut text, &registry).expect("it can be written");
    let series = |tier, look, outcome| {
        format!(
            "cacheaside_inspections_total{{tier=\"{tier}\",look=\"{look}\",outcome=\"{outcome}\"}}"
        )
    };
    let one = format!("{} 1", series("l2", "60s", "violated"));
    assert!(text.contains(&one), "{text}");
    for (tier, look, outcome) in [("l1", "1s", "held"), ("l2", "10s", "unknown")] {
        let none = format!("{} 0", series(tier, look, outcome));
        assert!(text.contains(&none), "{text}");
    }
}
