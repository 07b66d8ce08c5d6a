//! What every L2 answers. Each case takes an empty L2 of the domain `main`.

use super::asking::{
    MINUTE, address, apply, at, begin, fill, granted, lease, offer, read, space, store, value,
};
use super::{expired, losses, touched, writes};
use crate::model::position::Position;
use crate::model::tag::Tag;
use crate::testkit::until::until;
use crate::tier::{
    Applied, Filled, Invalidate, Known, Leased, Reading, Record, Remote, Seen, Token,
};
use std::time::Duration;

/// Runs every case; `empty` makes an empty L2 for each.
///
/// # Panics
/// At the first answer that breaks the contract.
pub async fn check<R: Remote>(mut empty: impl AsyncFnMut() -> R) {
    nothing_is_stored_without_a_watermark(&empty().await).await;
    a_lease_is_filled_once(&empty().await).await;
    a_lease_keeps_others_waiting_until_it_ends(&empty().await).await;
    an_invalidation_takes_the_lease(&empty().await).await;
    a_redelivery_does_not_take_a_younger_lease(&empty().await).await;
    a_value_stays_only_if_it_is_young_enough(&empty().await).await;
    an_old_event_never_lowers_a_floor(&empty().await).await;
    a_position_from_elsewhere_is_checked(&empty().await).await;
    local_invalidations_are_above_everything_stored(&empty().await).await;
    a_refused_value_gives_way(&empty().await).await;
    a_tag_gets_a_floor_and_keeps_it(&empty().await).await;
    an_unleased_value_is_fenced_by_the_floor(&empty().await).await;
    a_batch_answers_in_order(&empty().await).await;
    the_first_terms_hold(&empty().await).await;
    losses::check(&mut empty).await;
    writes::check(&mut empty).await;
    expired::check(&mut empty).await;
    touched::check(&mut empty).await;
}

async fn nothing_is_stored_without_a_watermark(remote: &impl Remote) {
    assert_eq!(read(remote, "a").await, Reading::default());
    assert_eq!(lease(remote, "a", 1).await, Leased::NoWatermark);
    assert_eq!(apply(remote, "a", None).await, Applied::NoWatermark);
    assert_eq!(
        apply(remote, "a", Some(Position::ZERO)).await,
        Applied::NoWatermark
    );
    assert_eq!(
        fill(remote, "a", offer(None, Some(at(9)))).await,
        Filled::LeaseLost
    );
    // A change with a position does create one, and refuses what it cannot vouch for.
    let Applied::Done { floor, .. } = apply(remote, "a", Some(at(5))).await else {
        panic!("a change is always applied");
    };
    assert_eq!(floor, at(5));
    let watermark = read(remote, "a").await.watermark.expect("it is there");
    assert_eq!((watermark.applied, watermark.floor), (at(5), at(5)));
}

async fn a_lease_is_filled_once(remote: &impl Remote) {
    begin(remote, 3).await;
    assert_eq!(lease(remote, "a", 1).await, granted(3));
    let stored = Filled::Stored { as_of: at(3) };
    assert_eq!(fill(remote, "a", offer(Some(1), None)).await, stored);
    assert_eq!(value(remote, "a").await, Some(at(3)));
    assert_eq!(
        fill(remote, "a", offer(Some(1), None)).await,
        Filled::LeaseLost,
        "twice"
    );
    assert_eq!(lease(remote, "a", 2).await, Leased::Present);
}

async fn a_lease_keeps_others_waiting_until_it_ends(remote: &impl Remote) {
    begin(remote, 3).await;
    assert_eq!(lease(remote, "a", 1).await, granted(3));
    assert!(
        matches!(lease(remote, "a", 2).await, Leased::Busy { remaining } if remaining <= MINUTE)
    );
    remote
        .release(&address("a"), Token(9))
        .await
        .expect("L2 answers");
    assert!(
        matches!(lease(remote, "a", 2).await, Leased::Busy { .. }),
        "not the holder's"
    );
    remote
        .release(&address("a"), Token(1))
        .await
        .expect("L2 answers");
    assert_eq!(lease(remote, "a", 2).await, granted(3));

    let short = Duration::from_millis(30);
    let first = remote
        .lease(&address("b"), Token(1), short, Seen::Nothing)
        .await;
    assert_eq!(first, Ok(granted(3)));
    let ended = || async { lease(remote, "b", 2).await == granted(3) };
    until(MINUTE, "the lease ends", ended)
        .await
        .expect("it lasts 30 ms");
    assert_eq!(
        fill(remote, "b", offer(Some(1), None)).await,
        Filled::LeaseLost,
        "late"
    );
}

async fn an_invalidation_takes_the_lease(remote: &impl Remote) {
    begin(remote, 3).await;
    assert_eq!(lease(remote, "a", 1).await, granted(3));
    let done = Applied::Done {
        position: at(4),
        floor: at(4),
        raised: None,
    };
    assert_eq!(apply(remote, "a", Some(at(4))).await, done);
    assert_eq!(
        fill(remote, "a", offer(Some(1), None)).await,
        Filled::LeaseLost
    );
    assert_eq!(value(remote, "a").await, None);
    assert_eq!(store(remote, "a").await, at(4), "a later load is welcome");
}

async fn a_redelivery_does_not_take_a_younger_lease(remote: &impl Remote) {
    begin(remote, 3).await;
    apply(remote, "a", Some(at(5))).await;
    assert_eq!(lease(remote, "a", 1).await, granted(5));
    apply(remote, "a", Some(at(5))).await;
    apply(remote, "a", Some(at(4))).await;
    let stored = Filled::Stored { as_of: at(5) };
    assert_eq!(fill(remote, "a", offer(Some(1), None)).await, stored);
}

async fn a_value_stays_only_if_it_is_young_enough(remote: &impl Remote) {
    begin(remote, 3).await;
    assert_eq!(store(remote, "a").await, at(3));
    for stays in [2, 3] {
        let done = Applied::Done {
            position: at(stays),
            floor: at(3),
            raised: None,
        };
        assert_eq!(apply(remote, "a", Some(at(stays))).await, done);
        assert_eq!(value(remote, "a").await, Some(at(3)));
    }
    apply(remote, "a", Some(at(4))).await;
    assert_eq!(
        read(remote, "a").await.record,
        Some(Record::Mark { floor: at(4) })
    );
}

async fn an_old_event_never_lowers_a_floor(remote: &impl Remote) {
    begin(remote, 1).await;
    // Another key of the bucket moves its watermark, and nothing else.
    let (moved, absent) = ("key-0", "key-608");
    assert_eq!(address(moved).bucket, address(absent).bucket);
    apply(remote, moved, Some(at(9))).await;
    assert_eq!(
        lease(remote, absent, 1).await,
        granted(9),
        "absence is no permission"
    );
    remote
        .release(&address(absent), Token(1))
        .await
        .expect("L2 answers");
    let (moved, absent) = ("key-1", "key-126");
    assert_eq!(address(moved).bucket, address(absent).bucket);
    apply(remote, moved, Some(at(9))).await;
    let done = Applied::Done {
        position: at(2),
        floor: at(9),
        raised: None,
    };
    assert_eq!(
        apply(remote, absent, Some(at(2))).await,
        done,
        "the bucket's floor"
    );
    apply(remote, "a", Some(at(12))).await;
    apply(remote, "a", Some(at(11))).await;
    assert_eq!(
        read(remote, "a").await.record,
        Some(Record::Mark { floor: at(12) })
    );
}

async fn a_position_from_elsewhere_is_checked(remote: &impl Remote) {
    begin(remote, 5).await;
    let refused = Filled::Superseded { floor: at(5) };
    for bad in [at(4), at(1 << 42), Position::new(1, 5, 0)] {
        assert_eq!(lease(remote, "a", 1).await, granted(5));
        assert_eq!(
            fill(remote, "a", offer(Some(1), Some(bad))).await,
            refused,
            "{bad}"
        );
    }
    assert_eq!(lease(remote, "a", 1).await, granted(5));
    let stored = Filled::Stored { as_of: at(8) };
    assert_eq!(fill(remote, "a", offer(Some(1), Some(at(8)))).await, stored);
    // What a local invalidation raised has no place among a replica's positions.
    apply(remote, "b", None).await;
    let floor = Position::new(0, 5, 1);
    let leased = Leased::Granted {
        as_of: floor,
        floor,
    };
    assert_eq!(lease(remote, "b", 1).await, leased);
    let refused = Filled::Superseded { floor };
    assert_eq!(
        fill(remote, "b", offer(Some(1), Some(at(8)))).await,
        refused
    );
}

async fn local_invalidations_are_above_everything_stored(remote: &impl Remote) {
    begin(remote, 5).await;
    lease(remote, "a", 1).await;
    fill(remote, "a", offer(Some(1), Some(at(8)))).await;
    let position = Position::new(0, 8, 1);
    let done = Applied::Done {
        position,
        floor: position,
        raised: None,
    };
    assert_eq!(apply(remote, "a", None).await, done, "above the value");
    let position = Position::new(0, 8, 2);
    let done = Applied::Done {
        position,
        floor: position,
        raised: None,
    };
    assert_eq!(apply(remote, "a", None).await, done, "above the last one");
    apply(remote, "a", Some(Position::new(0, 8, u32::MAX))).await;
    assert_eq!(apply(remote, "a", None).await, Applied::TicksExhausted);
}

async fn a_refused_value_gives_way(remote: &impl Remote) {
    begin(remote, 3).await;
    store(remote, "a").await;
    let lease = async |refused| {
        let leased = remote
            .lease(&address("a"), Token(5), MINUTE, Seen::Refused(at(refused)))
            .await;
        leased.expect("L2 answers")
    };
    assert_eq!(lease(2).await, Leased::Present);
    assert_eq!(lease(3).await, granted(3));
    assert_eq!(value(remote, "a").await, None);
}

async fn a_tag_gets_a_floor_and_keeps_it(remote: &impl Remote) {
    begin(remote, 3).await;
    let tag = space().tag_address(&Tag::all());
    let touch = async |position| {
        let one = Invalidate {
            address: tag.clone(),
            position: Some(position),
            known: Known::NOTHING,
            keep: MINUTE,
        };
        let answer = remote.apply(vec![one]).await.pop().expect("one answer");
        answer.expect("L2 answers")
    };
    let is = |position, floor| Applied::Done {
        position,
        floor,
        raised: None,
    };
    assert_eq!(touch(Position::ZERO).await, is(Position::ZERO, at(3)));
    assert_eq!(touch(at(6)).await, is(at(6), at(6)));
    assert_eq!(touch(Position::ZERO).await, is(Position::ZERO, at(6)));
}

async fn an_unleased_value_is_fenced_by_the_floor(remote: &impl Remote) {
    begin(remote, 5).await;
    let floor = at(5);
    let below = offer(None, Some(at(4)));
    assert_eq!(fill(remote, "a", below).await, Filled::Superseded { floor });
    let stored = |offset| Filled::Stored { as_of: at(offset) };
    assert_eq!(fill(remote, "a", offer(None, Some(at(6)))).await, stored(6));
    let floor = at(6);
    let below = offer(None, Some(at(5)));
    assert_eq!(
        fill(remote, "a", below).await,
        Filled::Superseded { floor },
        "older"
    );
    assert_eq!(fill(remote, "b", offer(None, None)).await, stored(5));
}

async fn a_batch_answers_in_order(remote: &impl Remote) {
    begin(remote, 0).await;
    let one = |n: u64| Invalidate {
        address: address(&format!("key-{n}")),
        position: Some(at(n)),
        known: Known::NOTHING,
        keep: MINUTE,
    };
    let answers = remote.apply((1..=1_000).map(one).collect()).await;
    for (n, answer) in (1..=1_000).zip(answers) {
        let Ok(Applied::Done { position, .. }) = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(position, at(n));
    }
}

async fn the_first_terms_hold(remote: &impl Remote) {
    for terms in [b"first", b"other"] {
        let held = remote.agree(terms).await.expect("L2 answers");
        assert_eq!(held, &b"first"[..]);
    }
}
