//! What a Get may ask for: how old, how far, for whom.

use crate::on_each_ground;
use crate::world::{Client, Got, World, fill, get, get_of, hit, patient, refusal};
use bytes::Bytes;
use cache_agent::metadata::SESSION;
use cache_agent::proto::v1::{self, FillOutcome, Freshness, StaleReason, get_response};
use cache_core::testkit::until::until;
use std::time::Duration;
use tonic::Code;

on_each_ground!(
    a_strict_get_is_a_miss_with_the_lease_though_there_is_a_value,
    a_value_that_was_loaded_too_long_ago_is_a_miss_and_stays_for_others,
    a_position_that_a_value_does_not_reach_makes_it_a_miss,
    an_expired_value_comes_with_its_lease_to_whoever_takes_it,
    a_session_reads_nothing_older_than_it_saw_and_wrote,
    a_session_in_the_metadata_comes_back_there,
);

const PATIENCE: Duration = Duration::from_secs(5);

fn millis(millis: u64) -> Option<prost_types::Duration> {
    Duration::from_millis(millis).try_into().ok()
}

impl Client {
    async fn ask(&self, request: v1::GetRequest) -> v1::GetResponse {
        let answer = self.cache.clone().get(patient(request)).await;
        answer.expect("an answer").into_inner()
    }
}

async fn a_strict_get_is_a_miss_with_the_lease_though_there_is_a_value(world: World) {
    world.unix.store("user:1", "Ada").await;
    let strict = v1::GetRequest {
        freshness: Freshness::Strict.into(),
        ..get("user:1")
    };
    let bounded = v1::GetRequest {
        max_staleness: millis(0),
        ..get("user:1")
    };
    for request in [strict, bounded] {
        let got = world.tcp.try_get(request).await.expect("an answer");
        let Got::Lease(token) = got else {
            panic!("{got:?}")
        };
        assert_eq!(world.tcp.get("user:1").await, hit("Ada"), "others have it");
        let filled = world.tcp.fill("user:1", &token, "Ada").await;
        assert_eq!(filled, FillOutcome::Stored);
    }
}

async fn a_value_that_was_loaded_too_long_ago_is_a_miss_and_stays_for_others(world: World) {
    world.unix.store("user:1", "Ada").await;
    let within = |span| v1::GetRequest {
        max_staleness: millis(span),
        no_lease: true,
        ..get("user:1")
    };
    let got = world.tcp.try_get(within(60_000)).await;
    assert_eq!(got.expect("an answer"), hit("Ada"));
    let too_old = || async { world.tcp.try_get(within(20)).await.ok() == Some(Got::Busy) };
    let waited = until(PATIENCE, "the value is older than 20 ms", too_old).await;
    waited.expect("time goes by");
    assert_eq!(world.tcp.get("user:1").await, hit("Ada"));
}

async fn a_position_that_a_value_does_not_reach_makes_it_a_miss(world: World) {
    world.unix.store("user:1", "Ada").await;
    let found = world.unix.ask(get("user:1")).await;
    let Some(get_response::Result::Hit(found)) = found.result else {
        panic!("it was just stored")
    };
    let as_of = found.entry.and_then(|entry| entry.as_of);
    let as_of = as_of.expect("a hit's position");
    let from = |at_least| v1::GetRequest {
        at_least: Some(at_least),
        ..get("user:1")
    };
    let got = world.tcp.try_get(from(as_of)).await;
    assert_eq!(got.expect("an answer"), hit("Ada"));
    let further = v1::Position {
        offset: as_of.offset + 1,
        ..as_of
    };
    let missed = world.tcp.ask(from(further)).await;
    let Some(get_response::Result::Miss(miss)) = missed.result else {
        panic!("nothing reaches so far")
    };
    assert!(miss.lease.is_some(), "whoever asks may load it");
    assert_eq!(miss.at_least, Some(further), "and is told how far");
}

async fn an_expired_value_comes_with_its_lease_to_whoever_takes_it(world: World) {
    let filled = |token: &Bytes, value: &str| v1::FillRequest {
        cache: "brief".to_owned(),
        ..fill("k", token, value)
    };
    let Ok(Got::Lease(token)) = world.unix.try_get(get_of("brief", "k")).await else {
        panic!("an empty cache")
    };
    world
        .unix
        .try_fill(filled(&token, "old"))
        .await
        .expect("an answer");
    let asked = |freshness: Freshness| v1::GetRequest {
        freshness: freshness.into(),
        wait: millis(0),
        ..get_of("brief", "k")
    };
    let stale = || async {
        let answer = world.tcp.ask(asked(Freshness::StaleOk)).await;
        match answer.result {
            Some(get_response::Result::Hit(hit)) if hit.stale => Some(hit),
            _ => None,
        }
    };
    let hit = cache_core::testkit::until::until_some(PATIENCE, "it expires", stale).await;
    let hit = hit.expect("an expired value");
    assert_eq!(hit.stale_reason(), StaleReason::Refreshing);
    assert_eq!(hit.entry.map(|entry| entry.value), Some(Bytes::from("old")));
    let token = hit.lease.expect("nobody else loads").token;
    // Everybody else: the expired value without the lease, or a miss without one.
    let second = world.tcp.ask(asked(Freshness::StaleOk)).await.result;
    let Some(get_response::Result::Hit(second)) = second else {
        panic!("{second:?}")
    };
    assert!(second.stale && second.lease.is_none());
    for freshness in [Freshness::Unspecified, Freshness::Fresh] {
        let got = world.tcp.try_get(asked(freshness)).await;
        assert_eq!(got.expect("an answer"), Got::Busy, "{freshness:?}");
    }
    let outcome = world.unix.try_fill(filled(&token, "new")).await;
    assert_eq!(outcome.expect("an answer").outcome(), FillOutcome::Stored);
    world
        .tcp
        .invalidate(v1::InvalidateRequest {
            cache: "brief".to_owned(),
            keys: vec![Bytes::from("k")],
            ..Default::default()
        })
        .await
        .expect("an answer");
    let after = world.tcp.try_get(asked(Freshness::StaleOk)).await;
    let after = after.expect("an answer");
    assert!(
        matches!(after, Got::Lease(_)),
        "nothing invalidated: {after:?}"
    );
}

async fn a_session_reads_nothing_older_than_it_saw_and_wrote(world: World) {
    let in_session = |session: &str| v1::GetRequest {
        session: Some(session.to_owned()),
        ..get("user:1")
    };
    world.unix.store("user:1", "Ada").await;
    let seen = world
        .unix
        .ask(in_session(""))
        .await
        .session
        .expect("a session");
    assert!(!seen.is_empty());
    let got = world.tcp.ask(in_session(&seen)).await;
    assert_eq!(Got::from(got), hit("Ada"));
    // Its own write, told by an invalidation.
    let request = v1::InvalidateRequest {
        cache: "users".to_owned(),
        keys: vec![Bytes::from("user:1")],
        session: Some(seen.clone()),
        ..Default::default()
    };
    let told = world
        .tcp
        .invalidation
        .clone()
        .invalidate(patient(request))
        .await;
    let wrote = told
        .expect("an answer")
        .into_inner()
        .session
        .expect("a session");
    assert_ne!(wrote, seen);
    let missed = world.unix.ask(in_session(&wrote)).await;
    assert_eq!(missed.session.as_ref(), Some(&wrote));
    let Some(get_response::Result::Miss(miss)) = missed.result else {
        panic!("it was invalidated")
    };
    assert!(
        miss.primary,
        "no replica can show that it has the own write"
    );
    let request = v1::FillRequest {
        session: Some(wrote.clone()),
        ..fill("user:1", &miss.lease.expect("a lease").token, "Eve")
    };
    let filled = world.unix.try_fill(request).await.expect("an answer");
    assert_eq!(filled.outcome(), FillOutcome::Stored);
    let loaded = filled.session.expect("a session");
    assert_eq!(
        Got::from(world.tcp.ask(in_session(&loaded)).await),
        hit("Eve")
    );
}

async fn a_session_in_the_metadata_comes_back_there(world: World) {
    world.unix.store("user:1", "Ada").await;
    let mut request = patient(get("user:1"));
    request
        .metadata_mut()
        .insert(SESSION, "".parse().expect("text"));
    let answer = world
        .unix
        .cache
        .clone()
        .get(request)
        .await
        .expect("an answer");
    let text = answer.metadata().get(SESSION).expect("a session").clone();
    let mut batch = patient(v1::BatchGetRequest {
        requests: vec![get("user:1"), get("user:2")],
    });
    batch.metadata_mut().insert(SESSION, text.clone());
    let answer = world
        .tcp
        .cache
        .clone()
        .batch_get(batch)
        .await
        .expect("an answer");
    let again = answer.metadata().get(SESSION).expect("a session");
    assert_eq!(again, &text, "nothing new was seen");
    let mut bad = patient(get("user:1"));
    bad.metadata_mut()
        .insert(SESSION, "strange".parse().expect("text"));
    let refused = refusal(world.tcp.cache.clone().get(bad).await);
    assert_eq!(refused, (Code::InvalidArgument, "BAD_SESSION".to_owned()));
    let plain = world.tcp.cache.clone().get(patient(get("user:1"))).await;
    assert!(plain.expect("an answer").metadata().get(SESSION).is_none());
}
