//! What every L2 answers to those who write through the cache.

use super::asking::{
    BODY, KEY, MINUTE, NEIGHBOUR, address, applied_at, apply, at, begin, fill, granted, lease,
    offer, read, store, value,
};
use crate::model::position::Position;
use crate::testkit::until::until;
use crate::tier::{
    Applied, Beat, Filled, Known, Leased, Record, Remote, Token, Watermark, Write, Written,
};
use std::time::Duration;

pub(super) async fn check<R: Remote>(empty: &mut impl AsyncFnMut() -> R) {
    nothing_is_written_without_a_watermark(&empty().await).await;
    a_quarantine_serves_nobody_and_lets_nobody_fill(&empty().await).await;
    a_written_value_is_as_old_as_its_quarantine(&empty().await).await;
    a_commits_own_position_is_checked_and_not_applied(&empty().await).await;
    an_invalidation_ends_a_quarantine(&empty().await).await;
    an_old_event_does_not_end_a_quarantine(&empty().await).await;
    the_last_quarantine_holds(&empty().await).await;
    a_quarantine_ends_by_itself(&empty().await).await;
    a_bucket_that_lost_writes_ends_its_quarantines(&empty().await).await;
}

async fn quarantine(remote: &impl Remote, key: &str, token: u64) -> bool {
    let held = remote.quarantine(&address(key), Token(token), MINUTE).await;
    held.expect("L2 answers")
}

async fn write(remote: &impl Remote, key: &str, token: u64) -> Written {
    write_all(remote, key, token, Known::NOTHING, None).await
}

async fn write_all(
    remote: &impl Remote,
    key: &str,
    token: u64,
    known: Known,
    as_of: Option<Position>,
) -> Written {
    let write = Write {
        token: Token(token),
        as_of,
        known,
        body: BODY,
        ttl: MINUTE,
    };
    let written = remote.write(&address(key), write).await;
    written.expect("L2 answers")
}

fn local(offset: u64, tick: u32) -> Position {
    Position::new(0, offset, tick)
}

fn stored(position: Position) -> Written {
    let raised = None;
    Written::Stored { position, raised }
}

fn invalidated(position: Position) -> Written {
    let raised = None;
    Written::Invalidated { position, raised }
}

async fn nothing_is_written_without_a_watermark(remote: &impl Remote) {
    assert!(!quarantine(remote, KEY, 1).await);
    assert_eq!(write(remote, KEY, 1).await, Written::NoWatermark);
    assert_eq!(read(remote, KEY).await.record, None);
}

async fn a_quarantine_serves_nobody_and_lets_nobody_fill(remote: &impl Remote) {
    begin(remote, 3).await;
    store(remote, KEY).await;
    assert!(quarantine(remote, KEY, 1).await);
    assert_eq!(
        value(remote, KEY).await,
        None,
        "the old value is not served"
    );
    assert!(matches!(lease(remote, KEY, 2).await, Leased::Busy { .. }));
    // A load that had begun before.
    assert_eq!(lease(remote, NEIGHBOUR, 5).await, granted(3));
    assert!(quarantine(remote, NEIGHBOUR, 1).await);
    let late = fill(remote, NEIGHBOUR, offer(Some(5), None)).await;
    assert_eq!(late, Filled::LeaseLost);
    // A writer that did not write gives it back.
    let released = remote.release(&address(KEY), Token(1)).await;
    released.expect("L2 answers");
    assert_eq!(lease(remote, KEY, 2).await, granted(3));
}

async fn a_written_value_is_as_old_as_its_quarantine(remote: &impl Remote) {
    begin(remote, 3).await;
    assert!(quarantine(remote, KEY, 1).await);
    apply(remote, NEIGHBOUR, Some(at(7))).await;
    assert_eq!(write(remote, KEY, 1).await, stored(local(3, 1)));
    assert_eq!(value(remote, KEY).await, Some(local(3, 1)));
    let watermark = read(remote, KEY).await.watermark.expect("it is there");
    assert_eq!(watermark.applied, at(7));
    assert_eq!(
        write(remote, KEY, 1).await,
        invalidated(local(7, 1)),
        "twice"
    );
    // What was committed after it, and applied late.
    assert!(quarantine(remote, KEY, 2).await);
    apply(remote, NEIGHBOUR, Some(at(9))).await;
    assert_eq!(write(remote, KEY, 2).await, stored(local(7, 2)));
    apply(remote, KEY, Some(at(8))).await;
    assert_eq!(value(remote, KEY).await, None);
}

async fn a_commits_own_position_is_checked_and_not_applied(remote: &impl Remote) {
    begin(remote, 3).await;
    let write = async |as_of| {
        assert!(quarantine(remote, KEY, 1).await);
        write_all(remote, KEY, 1, Known::NOTHING, Some(as_of)).await
    };
    assert_eq!(write(at(5)).await, stored(at(5)));
    let watermark = read(remote, KEY).await.watermark.expect("it is there");
    assert_eq!(watermark.applied, at(3), "its event is still to come");
    apply(remote, KEY, Some(at(5))).await;
    assert_eq!(value(remote, KEY).await, Some(at(5)));
    let lies = [at(5), local(6, 1), at(1 << 42), Position::new(1, 6, 0)];
    for (tick, lie) in (1..).zip(lies) {
        assert_eq!(write(lie).await, invalidated(local(5, tick)), "{lie}");
    }
}

async fn an_invalidation_ends_a_quarantine(remote: &impl Remote) {
    begin(remote, 3).await;
    for position in [Some(at(4)), None] {
        assert!(quarantine(remote, KEY, 1).await);
        let Applied::Done { position, .. } = apply(remote, KEY, position).await else {
            panic!("the bucket has a watermark");
        };
        let next = position.next_tick().expect("ticks are left");
        assert_eq!(write(remote, KEY, 1).await, invalidated(next));
        let mark = Some(Record::Mark { floor: next });
        assert_eq!(read(remote, KEY).await.record, mark);
    }
}

async fn an_old_event_does_not_end_a_quarantine(remote: &impl Remote) {
    begin(remote, 3).await;
    apply(remote, KEY, Some(at(5))).await;
    assert!(quarantine(remote, KEY, 1).await);
    apply(remote, KEY, Some(at(5))).await;
    apply(remote, KEY, Some(at(4))).await;
    assert_eq!(write(remote, KEY, 1).await, stored(local(5, 1)));
}

async fn the_last_quarantine_holds(remote: &impl Remote) {
    begin(remote, 3).await;
    assert!(quarantine(remote, KEY, 1).await);
    assert!(quarantine(remote, KEY, 2).await);
    assert_eq!(write(remote, KEY, 1).await, invalidated(local(3, 1)));
    assert_eq!(write(remote, KEY, 2).await, invalidated(local(3, 2)));
    assert_eq!(value(remote, KEY).await, None, "neither value stays");
    // A value that is there is gone when the slower writer comes.
    assert!(quarantine(remote, KEY, 3).await);
    assert!(quarantine(remote, KEY, 4).await);
    assert_eq!(write(remote, KEY, 4).await, stored(local(3, 3)));
    assert_eq!(write(remote, KEY, 3).await, invalidated(local(3, 4)));
    assert_eq!(value(remote, KEY).await, None);
}

async fn a_quarantine_ends_by_itself(remote: &impl Remote) {
    begin(remote, 3).await;
    let short = Duration::from_millis(30);
    let held = remote.quarantine(&address(KEY), Token(1), short).await;
    assert_eq!(held, Ok(true));
    let ended = || async { lease(remote, KEY, 2).await == granted(3) };
    until(MINUTE, "the quarantine ends", ended)
        .await
        .expect("it lasts 30 ms");
    assert_eq!(write(remote, KEY, 1).await, invalidated(local(3, 1)));
    let late = fill(remote, KEY, offer(Some(2), None)).await;
    assert_eq!(
        late,
        Filled::LeaseLost,
        "the load may have missed the write"
    );
}

async fn a_bucket_that_lost_writes_ends_its_quarantines(remote: &impl Remote) {
    begin(remote, 3).await;
    assert!(quarantine(remote, KEY, 1).await);
    let raised = Some(at(6));
    let position = local(6, 1);
    assert_eq!(
        write_all(remote, KEY, 1, applied_at(6), None).await,
        Written::Invalidated { position, raised }
    );
    assert!(quarantine(remote, KEY, 2).await);
    let beat = Beat {
        bucket: address(KEY).bucket,
        seen: at(6),
        known: applied_at(8),
        doubted: false,
    };
    remote.beat(vec![beat]).await;
    assert_eq!(write(remote, KEY, 2).await, invalidated(local(8, 1)));
    let watermark = Watermark {
        applied: local(8, 1),
        seen: at(6),
        floor: at(8),
    };
    assert_eq!(read(remote, KEY).await.watermark, Some(watermark));
}
