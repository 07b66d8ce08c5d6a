//! One load per key per process, step by step.

use cache_core::Position;
use cache_core::flight::single::{Flights, Part, Since};
use cache_core::guard::fence::Fence;
use cache_core::model::key::KeyHash;
use cache_core::source::Cause;
use cache_core::testkit::fleet::{Fleet, until_trusted};
use cache_core::testkit::until::until;
use cache_core::wire::codec::Bincode;
use cache_core::{Cache, Policy, Role};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

const HASH: KeyHash = KeyHash(7);

fn join(flights: &Arc<Flights<u32>>, fence: &Fence) -> Part<u32> {
    let key: Arc<[u8]> = b"k".as_slice().into();
    let since = Since {
        ticket: fence.ticket(HASH),
        tag_changes: 0,
    };
    flights.join(&key, HASH, since, Position::ZERO)
}

#[tokio::test]
async fn followers_get_what_the_leader_found() {
    let (flights, fence) = (Flights::new(), Fence::new());
    let Part::Lead(lead) = join(&flights, &fence) else {
        panic!("first one leads")
    };
    let Part::Follow(follow) = join(&flights, &fence) else {
        panic!("second one follows")
    };
    lead.finish(42);
    assert_eq!(follow.wait().await, Some(42));
    assert!(flights.is_empty());
    assert!(
        matches!(join(&flights, &fence), Part::Lead(_)),
        "it is over"
    );
}

#[tokio::test]
async fn a_leader_that_goes_away_frees_its_followers() {
    let (flights, fence) = (Flights::new(), Fence::new());
    let Part::Lead(lead) = join(&flights, &fence) else {
        panic!("first one leads")
    };
    let Part::Follow(follow) = join(&flights, &fence) else {
        panic!("second one follows")
    };
    drop(lead);
    assert_eq!(follow.wait().await, None);
    assert!(
        matches!(join(&flights, &fence), Part::Lead(_)),
        "one of them leads"
    );
}

#[tokio::test]
async fn a_caller_after_an_invalidation_does_not_join_the_old_flight() {
    let (flights, fence) = (Flights::new(), Fence::new());
    let Part::Lead(old) = join(&flights, &fence) else {
        panic!("first one leads")
    };
    fence.raise(HASH);
    let Part::Lead(new) = join(&flights, &fence) else {
        panic!("a flight of its own")
    };
    old.finish(1);
    let Part::Follow(follow) = join(&flights, &fence) else {
        panic!("joins the new one")
    };
    new.finish(2);
    assert_eq!(follow.wait().await, Some(2));
}

#[tokio::test]
async fn a_flight_knows_whether_anybody_waits() {
    let (flights, fence) = (Flights::new(), Fence::new());
    let Part::Lead(lead) = join(&flights, &fence) else {
        panic!("first one leads")
    };
    assert!(lead.is_abandoned());
    let Part::Follow(follow) = join(&flights, &fence) else {
        panic!("second one follows")
    };
    assert!(!lead.is_abandoned());
    drop(follow);
    assert!(lead.is_abandoned());
}

/// Says when it is dropped.
struct Dropped(Arc<AtomicBool>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_load_ends_with_its_last_caller_if_it_is_not_to_go_on() {
    let fleet = Fleet::in_memory();
    let domain = fleet.join(Role::Member).await.expect("the bus is there");
    until_trusted(&domain).await;
    let mut policy = Policy::new("users").expect("a name");
    policy.loads_go_on = false;
    let cache: Cache<u64> = Cache::open(&domain, policy, Bincode::default()).expect("a policy");
    let (began, ended) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let read = |answer: bool| {
        let (began, ended) = (began.clone(), ended.clone());
        let cache = cache.clone();
        tokio::spawn(async move {
            let load = async move |_| {
                let _held = (!answer).then(|| Dropped(ended));
                began.notify_one();
                if !answer {
                    std::future::pending::<()>().await;
                }
                Ok::<_, Cause>(Some(1))
            };
            cache.get_or_load("k", load).await
        })
    };
    let callers = [read(false), read(false)];
    began.notified().await;
    callers[0].abort();
    for caller in callers {
        assert!(!ended.load(Ordering::SeqCst), "somebody may still wait");
        caller.abort();
    }
    let gone = async || ended.load(Ordering::SeqCst);
    until(Duration::from_secs(5), "the load is dropped", gone)
        .await
        .expect("nobody waits");
    let hit = read(true).await.expect("no panic").expect("it is loaded");
    assert_eq!(hit.as_deref(), Some(&1), "its lease is free");
}
