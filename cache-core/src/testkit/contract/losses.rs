//! What every L2 answers when it has lost writes, and to changes of another epoch.

use super::asking::{
    KEY, MINUTE, NEIGHBOUR, address, applied_at, apply, at, begin, fill, granted, lease, offer,
    read, store, value,
};
use crate::model::key::Bucket;
use crate::model::position::Position;
use crate::tier::{Applied, Beat, Beaten, Filled, Invalidate, Known, Leased, Remote, Watermark};

pub(super) async fn check<R: Remote>(empty: &mut impl AsyncFnMut() -> R) {
    a_heartbeat_makes_and_raises_watermarks(&empty().await).await;
    a_lost_heartbeat_gives_a_loss_away(&empty().await).await;
    a_raised_bucket_refuses_older_values(&empty().await).await;
    a_change_does_not_hide_that_others_were_lost(&empty().await).await;
    a_bucket_in_doubt_refuses_what_may_lack_something(&empty().await).await;
    a_local_change_is_above_every_heartbeat(&empty().await).await;
    a_change_of_an_older_epoch_is_refused(&empty().await).await;
}

async fn a_heartbeat_makes_and_raises_watermarks(remote: &impl Remote) {
    let beat = |seen, known| Beat {
        bucket: Bucket(7),
        seen: at(seen),
        known: applied_at(known),
        doubted: false,
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

async fn a_lost_heartbeat_gives_a_loss_away(remote: &impl Remote) {
    begin(remote, 3).await;
    let known = Known {
        applied: at(3),
        seen: at(2),
    };
    let beat = Beat {
        bucket: Bucket(7),
        seen: at(9),
        known,
        doubted: false,
    };
    let beaten = remote.beat(vec![beat]).await.pop().expect("one answer");
    let watermark = Watermark {
        applied: at(3),
        seen: at(9),
        floor: at(3),
    };
    assert_eq!(beaten.expect("L2 answers"), Beaten::Raised(watermark));
}

async fn a_raised_bucket_refuses_older_values(remote: &impl Remote) {
    begin(remote, 3).await;
    store(remote, "a").await;
    let beat = Beat {
        bucket: address("a").bucket,
        seen: at(3),
        known: applied_at(7),
        doubted: false,
    };
    remote.beat(vec![beat]).await;
    assert_eq!(lease(remote, "a", 1).await, granted(7));
    let floor = at(7);
    let low = offer(Some(1), Some(at(6)));
    assert_eq!(fill(remote, "a", low).await, Filled::Superseded { floor });
}

async fn a_change_does_not_hide_that_others_were_lost(remote: &impl Remote) {
    begin(remote, 3).await;
    store(remote, KEY).await;
    assert_eq!(address(KEY).bucket, address(NEIGHBOUR).bucket);
    let one = Invalidate {
        address: address(NEIGHBOUR),
        position: Some(at(8)),
        known: applied_at(7),
        keep: MINUTE,
    };
    let answer = remote.apply(vec![one]).await.pop().expect("one answer");
    let Ok(Applied::Done { raised, .. }) = answer else {
        panic!("{answer:?}");
    };
    assert_eq!(raised, Some(at(7)), "7 was lost");
    let watermark = read(remote, KEY).await.watermark.expect("it is there");
    assert_eq!((watermark.applied, watermark.floor), (at(8), at(7)));
    assert!(value(remote, KEY).await.is_none_or(|as_of| as_of < at(7)));
    assert_ne!(lease(remote, KEY, 1).await, Leased::Present);
}

async fn a_bucket_in_doubt_refuses_what_may_lack_something(remote: &impl Remote) {
    begin(remote, 3).await;
    store(remote, "a").await;
    apply(remote, "b", Some(at(36))).await;
    let beat = Beat {
        bucket: address("a").bucket,
        seen: at(3),
        known: applied_at(36),
        doubted: true,
    };
    let beaten = remote.beat(vec![beat]).await.pop().expect("one answer");
    let watermark = Watermark {
        applied: at(36),
        seen: at(3),
        floor: at(36),
    };
    assert_eq!(beaten.expect("L2 answers"), Beaten::Raised(watermark));
    assert_eq!(lease(remote, "a", 1).await, granted(36));
}

async fn a_local_change_is_above_every_heartbeat(remote: &impl Remote) {
    begin(remote, 3).await;
    let beat = Beat {
        bucket: address("a").bucket,
        seen: at(20),
        known: Known::NOTHING,
        doubted: false,
    };
    remote.beat(vec![beat]).await;
    let Applied::Done { position, .. } = apply(remote, "a", None).await else {
        panic!("a change is always applied");
    };
    assert_eq!(position, Position::new(0, 20, 1));
}

async fn a_change_of_an_older_epoch_is_refused(remote: &impl Remote) {
    begin(remote, 3).await;
    let newer = Position::new(1, 1, 0);
    apply(remote, "a", Some(newer)).await;
    assert_eq!(apply(remote, "a", Some(at(9))).await, Applied::OldEpoch);
    let watermark = read(remote, "a").await.watermark.expect("it is there");
    assert_eq!(watermark.applied, newer);
}
