//! What every L2 answers. Each case takes an empty L2 of the domain `main`.

use crate::model::key::{Address, BUCKETS, Bucket, Key, KeySpace, Name};
use crate::model::position::Position;
use crate::model::tag::Tag;
use crate::testkit::until::until;
use crate::tier::{
    Applied, Beat, Beaten, Filled, Invalidate, Leased, Offer, Reading, Record, Remote, Token,
    Watermark,
};
use bytes::Bytes;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const BODY: Bytes = Bytes::from_static(b"body");

/// Runs every case; `empty` makes an empty L2 for each.
///
/// # Panics
/// At the first answer that breaks the contract.
pub async fn check<R: Remote>(mut empty: impl AsyncFnMut() -> R) {
    nothing_is_stored_without_a_watermark(&empty().await).await;
    a_heartbeat_makes_and_raises_watermarks(&empty().await).await;
    a_lease_is_filled_once(&empty().await).await;
    a_lease_keeps_others_waiting_until_it_ends(&empty().await).await;
    an_invalidation_takes_the_lease(&empty().await).await;
    a_redelivery_does_not_take_a_younger_lease(&empty().await).await;
    a_value_stays_only_if_it_is_young_enough(&empty().await).await;
    an_old_event_never_lowers_a_floor(&empty().await).await;
    a_position_from_elsewhere_is_checked(&empty().await).await;
    local_invalidations_are_above_everything_stored(&empty().await).await;
    a_refused_value_gives_way(&empty().await).await;
    a_raised_bucket_refuses_older_values(&empty().await).await;
    a_tag_gets_a_floor_and_keeps_it(&empty().await).await;
    an_unleased_value_is_fenced_by_the_floor(&empty().await).await;
    a_batch_answers_in_order(&empty().await).await;
    the_first_terms_hold(&empty().await).await;
}

fn at(offset: u64) -> Position {
    Position::new(0, offset, 0)
}

fn space() -> KeySpace {
    let name = |text| Name::new(text).expect("a name within its limits");
    KeySpace::new(name("main"), name("users"))
}

fn address(key: &str) -> Address {
    space().address(Key::new(key.as_bytes()).expect("a key within its limits"))
}

fn offer(token: Option<u64>, as_of: Option<Position>) -> Offer {
    Offer {
        token: token.map(Token),
        as_of,
        body: BODY,
        ttl: MINUTE,
    }
}

fn granted(offset: u64) -> Leased {
    Leased::Granted {
        as_of: at(offset),
        floor: at(offset),
    }
}

/// All buckets begin at `applied`.
async fn begin(remote: &impl Remote, applied: u64) {
    let beat = |bucket| Beat {
        bucket,
        seen: Position::ZERO,
        known: at(applied),
    };
    let answers = remote.beat(Bucket::all().map(beat).collect()).await;
    assert_eq!(answers.len(), BUCKETS);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

async fn apply(remote: &impl Remote, key: &str, position: Option<Position>) -> Applied {
    let one = Invalidate {
        address: address(key),
        position,
        keep: MINUTE,
    };
    let mut answers = remote.apply(vec![one]).await;
    answers.pop().expect("one answer").expect("L2 answers")
}

async fn lease(remote: &impl Remote, key: &str, token: u64) -> Leased {
    let leased = remote
        .lease(&address(key), Token(token), MINUTE, None)
        .await;
    leased.expect("L2 answers")
}

async fn fill(remote: &impl Remote, key: &str, offer: Offer) -> Filled {
    remote.fill(&address(key), offer).await.expect("L2 answers")
}

async fn read(remote: &impl Remote, key: &str) -> Reading {
    remote.read(&address(key)).await.expect("L2 answers")
}

async fn value(remote: &impl Remote, key: &str) -> Option<Position> {
    match read(remote, key).await.record {
        Some(Record::Value { as_of, body }) => {
            assert_eq!(body, BODY);
            Some(as_of)
        }
        Some(Record::Mark { .. }) | None => None,
    }
}

/// Lease and fill, as a reader does.
async fn store(remote: &impl Remote, key: &str) -> Position {
    let Leased::Granted { .. } = lease(remote, key, 77).await else {
        panic!("nobody else loads");
    };
    match fill(remote, key, offer(Some(77), None)).await {
        Filled::Stored { as_of } => as_of,
        other => panic!("{other:?}"),
    }
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

async fn a_heartbeat_makes_and_raises_watermarks(remote: &impl Remote) {
    let beat = |seen, known| Beat {
        bucket: Bucket(7),
        seen: at(seen),
        known: at(known),
    };
    let beaten = async |seen, known| {
        let mut answers = remote.beat(vec![beat(seen, known)]).await;
        answers.pop().expect("one answer").expect("L2 answers")
    };
    let watermark = |applied, seen, floor| Watermark {
        applied: at(applied),
        seen: at(seen),
        floor: at(floor),
    };
    assert_eq!(
        beaten(4, 2).await,
        Beaten::Raised(watermark(4, 4, 4)),
        "made"
    );
    assert_eq!(beaten(6, 4).await, Beaten::Fine(watermark(4, 6, 4)));
    assert_eq!(
        beaten(5, 3).await,
        Beaten::Fine(watermark(4, 6, 4)),
        "never back"
    );
    assert_eq!(
        beaten(6, 9).await,
        Beaten::Raised(watermark(9, 6, 9)),
        "it lost writes"
    );
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
    let first = remote.lease(&address("b"), Token(1), short, None).await;
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
    };
    assert_eq!(apply(remote, "a", None).await, done, "above the value");
    let position = Position::new(0, 8, 2);
    let done = Applied::Done {
        position,
        floor: position,
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
            .lease(&address("a"), Token(5), MINUTE, Some(at(refused)))
            .await;
        leased.expect("L2 answers")
    };
    assert_eq!(lease(2).await, Leased::Present);
    assert_eq!(lease(3).await, granted(3));
    assert_eq!(value(remote, "a").await, None);
}

async fn a_raised_bucket_refuses_older_values(remote: &impl Remote) {
    begin(remote, 3).await;
    store(remote, "a").await;
    let beat = Beat {
        bucket: address("a").bucket,
        seen: at(3),
        known: at(7),
    };
    remote.beat(vec![beat]).await;
    assert_eq!(lease(remote, "a", 1).await, granted(7));
    let floor = at(7);
    let low = offer(Some(1), Some(at(6)));
    assert_eq!(fill(remote, "a", low).await, Filled::Superseded { floor });
}

async fn a_tag_gets_a_floor_and_keeps_it(remote: &impl Remote) {
    begin(remote, 3).await;
    let tag = space().tag_address(&Tag::all());
    let touch = async |position| {
        let one = Invalidate {
            address: tag.clone(),
            position: Some(position),
            keep: MINUTE,
        };
        let answer = remote.apply(vec![one]).await.pop().expect("one answer");
        answer.expect("L2 answers")
    };
    let is = |position, floor| Applied::Done { position, floor };
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
