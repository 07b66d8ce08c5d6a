//! What stands between an old value and an answer, piece by piece. How the pieces
//! behave when threads meet in them is searched by the test `interleavings`.

use cache_core::Position;
use cache_core::clock::Tick;
use cache_core::guard::fence::Fence;
use cache_core::guard::horizon::Horizon;
use cache_core::guard::owed::{KEEP, Owed};
use cache_core::guard::trust::Trust;
use cache_core::model::key::{Bucket, KeyHash};
use cache_core::tier::Watermark;
use std::time::Duration;

const B: Bucket = Bucket(3);
const KEY: KeyHash = KeyHash(7);

fn at(offset: u64) -> Position {
    Position::new(0, offset, 0)
}

fn watermark(applied: u64, seen: u64) -> Watermark {
    Watermark {
        applied: at(applied),
        seen: at(seen),
        floor: Position::ZERO,
    }
}

#[test]
fn a_ticket_holds_until_its_key_its_bucket_or_everything_is_invalidated() {
    let fence = Fence::new();
    let key = KeyHash(0x1234_5678_9abc_def0);
    let neighbour = KeyHash(0x1235_0000_0000_0000);
    let stranger = KeyHash(0xff00_0000_0000_0000);

    let (before, other) = (fence.ticket(key), fence.ticket(neighbour));
    fence.raise(key);
    assert!(!fence.holds(key, before));
    assert!(fence.holds(neighbour, other), "another stripe is untouched");

    let far = fence.ticket(stranger);
    fence.raise_bucket(neighbour.bucket());
    assert!(!fence.holds(neighbour, other));
    assert!(fence.holds(stranger, far), "another bucket is untouched");

    fence.raise_all();
    assert!(!fence.holds(stranger, far));
}

#[test]
fn a_bucket_that_went_back_is_not_admitted() {
    let horizon = Horizon::new();
    horizon.raise(B, at(10));
    assert!(horizon.admits(B, &watermark(10, 0)));
    assert!(!horizon.admits(B, &watermark(9, 0)), "lost an apply");
    horizon.raise_seen(at(12));
    assert!(!horizon.admits(B, &watermark(10, 11)), "lost a heartbeat");
    assert!(horizon.admits(B, &watermark(10, 12)));
}

#[test]
fn what_was_read_once_is_expected_ever_after() {
    let horizon = Horizon::new();
    assert!(horizon.admits(B, &watermark(20, 0)));
    assert!(!horizon.admits(B, &watermark(19, 0)));
    assert_eq!(horizon.applied(B), at(20));
}

#[test]
fn a_snapshot_keeps_what_was_known_then() {
    let horizon = Horizon::new();
    horizon.raise(B, at(5));
    let then = horizon.snapshot();
    horizon.raise(B, at(9));
    assert_eq!(then.as_of(B), at(5));
    horizon.raise_seen(at(7));
    assert_eq!(horizon.snapshot().as_of(Bucket(0)), at(7));
    assert_eq!(horizon.snapshot().as_of(B), at(9));
}

#[test]
fn a_debt_is_paid_by_its_own_change_or_a_later_one() {
    let (owed, now) = (Owed::new(), Tick::default());
    owed.owe(KEY, at(35), now);
    owed.pay(KEY, at(34));
    owed.pay(KeyHash(8), at(99));
    assert_eq!(owed.floor(KEY, now), at(35));
    owed.pay(KEY, at(36));
    assert_eq!(owed.floor(KEY, now), at(36));
    let later = now.after(2 * KEEP);
    assert_eq!(owed.floor(KEY, later), at(36), "L2 may lose it again");
}

#[test]
fn what_was_told_last_is_remembered_and_the_oldest_forgotten() {
    let owed = Owed::new();
    // As good as hashes of keys: the parts fill unevenly.
    let hash = |told: u64| KeyHash(told.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32));
    let floor = |told: u64| owed.floor(hash(told), Tick::default());
    for told in 1..100_000 {
        owed.pay(hash(told), at(told));
    }
    assert_eq!(floor(1), Position::ZERO);
    let remembered = (1..100_000)
        .filter(|told| floor(*told) == at(*told))
        .count();
    assert!((16_000..=32_768).contains(&remembered), "{remembered}");
    let last = (88_000..100_000)
        .filter(|told| floor(*told) < at(*told))
        .count();
    assert_eq!(last, 0, "of the last 12,000 none is forgotten");
    owed.pay(hash(99_999), at(5));
    assert_eq!(floor(99_999), at(99_999), "an old event came again");
}

#[test]
fn a_local_change_is_paid_by_what_got_a_tick() {
    let (owed, now) = (Owed::new(), Tick::default());
    owed.owe(KEY, Position::ZERO, now);
    owed.pay(KEY, at(99));
    assert_eq!(owed.floor(KEY, now), Position::MAX);
    owed.pay(KEY, Position::new(0, 99, 1));
    assert_eq!(owed.floor(KEY, now), Position::new(0, 99, 1));
}

#[test]
fn a_debt_that_nobody_pays_is_forgotten() {
    let owed = Owed::new();
    owed.owe(KEY, at(35), Tick::default());
    let later = Tick::default().after(KEEP);
    assert_eq!(owed.floor(KEY, later), Position::ZERO);
}

#[test]
fn trust_is_renewed_lapses_by_time_and_at_once() {
    let at = |ms| Tick::at(Duration::from_millis(ms));
    let trust = Trust::new();
    assert!(!trust.holds(at(0)), "nothing was heard yet");
    trust.renew(at(10), Duration::from_millis(100));
    assert!(trust.holds(at(110)) && !trust.holds(at(111)));
    trust.renew(at(50), Duration::from_millis(100));
    assert!(trust.holds(at(150)));
    trust.lapse();
    assert!(!trust.holds(at(51)));
}
