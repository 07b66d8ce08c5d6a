//! What every L2 answers to those who load over a value that has only expired.

use super::asking::{
    KEY, MINUTE, NEIGHBOUR, address, apply, at, begin, fill, granted, offer, store, value,
};
use crate::model::position::Position;
use crate::tier::{Beat, Filled, Known, Leased, Remote, Seen, Token};

pub(super) async fn check<R: Remote>(empty: &mut impl AsyncFnMut() -> R) {
    an_expired_value_stays_until_it_is_replaced(&empty().await).await;
    a_younger_value_is_no_reason_to_load(&empty().await).await;
    a_load_that_fails_leaves_the_expired_value(&empty().await).await;
    nothing_older_replaces_an_expired_value(&empty().await).await;
    an_invalidation_ends_an_expired_value_like_any(&empty().await).await;
    a_raised_bucket_ends_an_expired_value_like_any(&empty().await).await;
}

async fn lease(remote: &impl Remote, token: u64, expired: Position) -> Leased {
    let (address, seen) = (address(KEY), Seen::Expired(expired));
    let leased = remote.lease(&address, Token(token), MINUTE, seen).await;
    leased.expect("L2 answers")
}

fn stored(offset: u64) -> Filled {
    Filled::Stored { as_of: at(offset) }
}

async fn an_expired_value_stays_until_it_is_replaced(remote: &impl Remote) {
    begin(remote, 3).await;
    store(remote, KEY).await;
    apply(remote, NEIGHBOUR, Some(at(7))).await;
    let leased = Leased::Granted {
        as_of: at(7),
        floor: at(3),
    };
    assert_eq!(lease(remote, 1, at(3)).await, leased);
    assert_eq!(value(remote, KEY).await, Some(at(3)));
    assert!(matches!(lease(remote, 2, at(3)).await, Leased::Busy { .. }));
    assert_eq!(
        fill(remote, KEY, offer(Some(2), None)).await,
        Filled::LeaseLost
    );
    assert_eq!(fill(remote, KEY, offer(Some(1), None)).await, stored(7));
    assert_eq!(value(remote, KEY).await, Some(at(7)));
}

async fn a_younger_value_is_no_reason_to_load(remote: &impl Remote) {
    begin(remote, 3).await;
    store(remote, KEY).await;
    assert_eq!(lease(remote, 1, at(2)).await, Leased::Present);
}

async fn a_load_that_fails_leaves_the_expired_value(remote: &impl Remote) {
    begin(remote, 3).await;
    store(remote, KEY).await;
    assert_eq!(lease(remote, 1, at(3)).await, granted(3));
    for holder in [9, 1] {
        let released = remote.release(&address(KEY), Token(holder)).await;
        released.expect("L2 answers");
        assert_eq!(value(remote, KEY).await, Some(at(3)));
    }
    assert_eq!(lease(remote, 2, at(3)).await, granted(3));
}

async fn nothing_older_replaces_an_expired_value(remote: &impl Remote) {
    begin(remote, 3).await;
    store(remote, KEY).await;
    assert_eq!(lease(remote, 1, at(3)).await, granted(3));
    let floor = at(3);
    let below = offer(Some(1), Some(at(2)));
    assert_eq!(fill(remote, KEY, below).await, Filled::Superseded { floor });
    assert_eq!(value(remote, KEY).await, Some(at(3)), "it stays");
    assert_eq!(
        lease(remote, 2, at(3)).await,
        granted(3),
        "the lease is free"
    );
    assert_eq!(
        fill(remote, KEY, offer(Some(2), Some(at(4)))).await,
        stored(4)
    );
    // One that is ahead of what was applied.
    let leased = Leased::Granted {
        as_of: at(4),
        floor: at(4),
    };
    assert_eq!(lease(remote, 3, at(4)).await, leased);
}

async fn an_invalidation_ends_an_expired_value_like_any(remote: &impl Remote) {
    begin(remote, 3).await;
    store(remote, KEY).await;
    apply(remote, NEIGHBOUR, Some(at(7))).await;
    lease(remote, 1, at(3)).await;
    apply(remote, KEY, Some(at(3))).await;
    assert_eq!(value(remote, KEY).await, Some(at(3)));
    // The load that began at 7 holds change 5 as well.
    apply(remote, KEY, Some(at(5))).await;
    assert_eq!(value(remote, KEY).await, None);
    assert_eq!(fill(remote, KEY, offer(Some(1), None)).await, stored(7));
    lease(remote, 2, at(7)).await;
    apply(remote, KEY, Some(at(8))).await;
    assert_eq!(value(remote, KEY).await, None);
    assert_eq!(
        fill(remote, KEY, offer(Some(2), None)).await,
        Filled::LeaseLost
    );
}

async fn a_raised_bucket_ends_an_expired_value_like_any(remote: &impl Remote) {
    begin(remote, 3).await;
    store(remote, KEY).await;
    assert_eq!(lease(remote, 1, at(3)).await, granted(3));
    let beat = Beat {
        bucket: address(KEY).bucket,
        seen: at(6),
        known: Known::NOTHING,
        doubted: true,
    };
    apply(remote, NEIGHBOUR, Some(at(6))).await;
    remote.beat(vec![beat]).await;
    assert_eq!(lease(remote, 2, at(3)).await, granted(6), "whoever loads");
    assert_eq!(
        fill(remote, KEY, offer(Some(1), None)).await,
        Filled::LeaseLost
    );
    assert_eq!(fill(remote, KEY, offer(Some(2), None)).await, stored(6));
}
