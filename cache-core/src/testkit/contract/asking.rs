//! The few words in which the cases of L2's contract are written.

use crate::model::key::{Address, BUCKETS, Bucket, Key, KeySpace, Name};
use crate::model::position::Position;
use crate::tier::{
    Applied, Beat, Filled, Invalidate, Known, Leased, Offer, Reading, Record, Remote, Seen, Token,
};
use bytes::Bytes;
use std::time::Duration;

/// Two keys of one bucket.
pub(super) const KEY: &str = "key-0";
pub(super) const NEIGHBOUR: &str = "key-608";
pub(super) const MINUTE: Duration = Duration::from_secs(60);
pub(super) const BODY: Bytes = Bytes::from_static(b"body");

pub(super) fn at(offset: u64) -> Position {
    Position::new(0, offset, 0)
}

pub(super) fn space() -> KeySpace {
    let name = |text| Name::new(text).expect("a name within its limits");
    KeySpace::new(name("main"), name("users"))
}

pub(super) fn address(key: &str) -> Address {
    space().address(Key::new(key.as_bytes()).expect("a key within its limits"))
}

pub(super) fn offer(token: Option<u64>, as_of: Option<Position>) -> Offer {
    Offer {
        token: token.map(Token),
        as_of,
        body: BODY,
        ttl: MINUTE,
    }
}

pub(super) fn granted(offset: u64) -> Leased {
    Leased::Granted {
        as_of: at(offset),
        floor: at(offset),
    }
}

pub(super) fn applied_at(offset: u64) -> Known {
    Known {
        applied: at(offset),
        ..Known::NOTHING
    }
}

/// All buckets begin at `applied`.
pub(super) async fn begin(remote: &impl Remote, applied: u64) {
    let beat = |bucket| Beat {
        bucket,
        seen: Position::ZERO,
        known: applied_at(applied),
        doubted: false,
    };
    let answers = remote.beat(Bucket::all().map(beat).collect()).await;
    assert_eq!(answers.len(), BUCKETS);
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
}

pub(super) async fn apply(remote: &impl Remote, key: &str, position: Option<Position>) -> Applied {
    let one = Invalidate {
        address: address(key),
        position,
        known: Known::NOTHING,
        keep: MINUTE,
    };
    let mut answers = remote.apply(vec![one]).await;
    answers.pop().expect("one answer").expect("L2 answers")
}

pub(super) async fn lease(remote: &impl Remote, key: &str, token: u64) -> Leased {
    let leased = remote
        .lease(&address(key), Token(token), MINUTE, Seen::Nothing)
        .await;
    leased.expect("L2 answers")
}

pub(super) async fn fill(remote: &impl Remote, key: &str, offer: Offer) -> Filled {
    remote.fill(&address(key), offer).await.expect("L2 answers")
}

pub(super) async fn read(remote: &impl Remote, key: &str) -> Reading {
    remote.read(&address(key)).await.expect("L2 answers")
}

pub(super) async fn value(remote: &impl Remote, key: &str) -> Option<Position> {
    match read(remote, key).await.record {
        Some(Record::Value { as_of, body }) => {
            assert_eq!(body, BODY);
            Some(as_of)
        }
        Some(Record::Mark { .. }) | None => None,
    }
}

/// Lease and fill, as a reader does.
pub(super) async fn store(remote: &impl Remote, key: &str) -> Position {
    let Leased::Granted { .. } = lease(remote, key, 77).await else {
        panic!("nobody else loads");
    };
    match fill(remote, key, offer(Some(77), None)).await {
        Filled::Stored { as_of } => as_of,
        other => panic!("{other:?}"),
    }
}
