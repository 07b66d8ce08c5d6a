//! What every L2 does with another envelope for a value that is there.

use super::asking::{
    BODY, KEY, MINUTE, address, apply, at, begin, fill, lease, offer, read, store,
};
use crate::model::position::Position;
use crate::tier::{Beat, Known, Record, Remote, Seen, Token, Touch};
use bytes::Bytes;
use std::time::Duration;

const OTHER: Bytes = Bytes::from_static(b"other");

pub(super) async fn check<R: Remote>(empty: &mut impl AsyncFnMut() -> R) {
    a_value_gets_its_envelope_and_keeps_its_position(&empty().await).await;
    only_the_very_value_that_was_seen_is_touched(&empty().await).await;
    what_is_under_a_lease_or_was_invalidated_is_not_touched(&empty().await).await;
    a_touched_value_lives_as_long_as_it_is_told(&empty().await).await;
    nothing_below_its_buckets_floor_is_touched(&empty().await).await;
}

async fn touch(remote: &impl Remote, as_of: Position, was: Bytes, ttl: Duration) -> bool {
    let touch = Touch {
        as_of,
        was,
        body: OTHER,
        ttl,
    };
    let touched = remote.touch(&address(KEY), touch).await;
    touched.expect("L2 answers")
}

async fn held(remote: &impl Remote) -> Option<(Position, Bytes)> {
    match read(remote, KEY).await.record {
        Some(Record::Value { as_of, body }) => Some((as_of, body)),
        Some(Record::Mark { .. }) | None => None,
    }
}

async fn a_value_gets_its_envelope_and_keeps_its_position(remote: &impl Remote) {
    assert!(!touch(remote, at(3), BODY, MINUTE).await, "no watermark");
    begin(remote, 3).await;
    assert!(!touch(remote, at(3), BODY, MINUTE).await, "nothing there");
    store(remote, KEY).await;
    assert!(touch(remote, at(3), BODY, MINUTE).await);
    assert_eq!(held(remote).await, Some((at(3), OTHER)));
}

async fn only_the_very_value_that_was_seen_is_touched(remote: &impl Remote) {
    begin(remote, 3).await;
    store(remote, KEY).await;
    assert!(!touch(remote, at(2), BODY, MINUTE).await);
    assert!(!touch(remote, at(4), BODY, MINUTE).await);
    let longer = Bytes::from_static(b"body and more");
    for was in [Bytes::new(), Bytes::from_static(b"bod"), longer] {
        assert!(!touch(remote, at(3), was, MINUTE).await);
    }
    assert_eq!(held(remote).await, Some((at(3), BODY)));
}

async fn what_is_under_a_lease_or_was_invalidated_is_not_touched(remote: &impl Remote) {
    begin(remote, 3).await;
    store(remote, KEY).await;
    let seen = Seen::Expired(at(3));
    let leased = remote.lease(&address(KEY), Token(1), MINUTE, seen).await;
    leased.expect("L2 answers");
    assert!(!touch(remote, at(3), BODY, MINUTE).await, "under a lease");
    // The lease is as good as before.
    fill(remote, KEY, offer(Some(1), None)).await;
    assert_eq!(held(remote).await, Some((at(3), BODY)));
    apply(remote, KEY, Some(at(7))).await;
    assert!(!touch(remote, at(3), BODY, MINUTE).await, "invalidated");
    assert_eq!(held(remote).await, None);
    lease(remote, KEY, 2).await;
    assert!(!touch(remote, at(7), BODY, MINUTE).await, "a mark");
}

async fn a_touched_value_lives_as_long_as_it_is_told(remote: &impl Remote) {
    begin(remote, 3).await;
    store(remote, KEY).await;
    assert!(touch(remote, at(3), BODY, Duration::from_millis(1)).await);
    let is_gone = || async { held(remote).await.is_none() };
    let gone = crate::testkit::until::until(MINUTE, "the value ends", is_gone).await;
    gone.expect("it lives no longer");
}

async fn nothing_below_its_buckets_floor_is_touched(remote: &impl Remote) {
    begin(remote, 3).await;
    store(remote, KEY).await;
    let beat = Beat {
        bucket: address(KEY).bucket,
        seen: Position::ZERO,
        known: Known {
            applied: at(9),
            ..Known::NOTHING
        },
        doubted: false,
    };
    remote.beat(vec![beat]).await;
    assert!(!touch(remote, at(3), BODY, MINUTE).await);
}
