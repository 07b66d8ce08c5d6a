//! One load per key per process, step by step.

use cache_core::Position;
use cache_core::flight::single::{Flights, Part, Since};
use cache_core::guard::fence::Fence;
use cache_core::model::key::KeyHash;
use std::sync::Arc;

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
