//! What the atomics themselves must order, with nothing else between the threads.
//!
//! In a process there are locks all around them, which order a good deal by accident.
//! Here there are none: what holds, holds by `Acquire` and `Release` alone, and falls
//! when both are taken away.

use crate::explore::{Explored, Life, explore};
use crate::guard::fence::Fence;
use crate::guard::horizon::Horizon;
use crate::guard::owed::Owed;
use crate::guard::trust::Trust;
use crate::model::key::{Bucket, KeyHash};
use crate::process::at;
use crate::shim::relaxed;
use crate::tier::l1::L1;
use cache_core::clock::Tick;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use std::sync::Arc;
use std::time::Duration;

const KEY: KeyHash = KeyHash(1 << 48);
/// Two threads of a few steps each: all that there is is searched.
const PREEMPTIONS: usize = 8;

/// What is read after the ticket is not older than what the ticket knows of.
fn ticket_then_row(raise: fn(&Fence)) -> Life {
    let fence = Arc::new(Fence::new());
    let row = Arc::new(AtomicU64::new(1));
    let reader = thread::spawn({
        let (fence, row) = (fence.clone(), row.clone());
        move || {
            let ticket = fence.ticket(KEY);
            (ticket, row.load(Ordering::Relaxed))
        }
    });
    row.store(2, Ordering::Relaxed);
    raise(&fence);
    let (ticket, read) = reader.join().expect("it ends");
    Life::broken_if(read == 1 && fence.holds(KEY, ticket))
}

/// What ends a key's generation.
type Raise = fn(&Fence);

const RAISES: [(&str, Raise); 3] = [
    ("a key's ticket", |fence| fence.raise(KEY)),
    ("a bucket's ticket", |fence| fence.raise_bucket(Bucket(0))),
    ("everybody's ticket", Fence::raise_all),
];

#[test]
fn a_ticket_is_older_than_what_is_read_after_it() {
    for (name, raise) in RAISES {
        let life = move || ticket_then_row(raise);
        explore(name, PREEMPTIONS, life).must_hold();
        let name = format!("{name}, relaxed");
        relaxed(|| explore(&name, PREEMPTIONS, life)).must_be_found_out();
    }
}

/// A ticket is a sum of two counts, each raised by a thread of its own meanwhile.
#[test]
fn a_ticket_read_in_the_middle_of_two_raises_never_holds_again() {
    let life = || {
        let fence = Arc::new(Fence::new());
        let row = Arc::new(AtomicU64::new(0));
        let raise = |raise: fn(&Fence)| {
            let (fence, row) = (fence.clone(), row.clone());
            thread::spawn(move || {
                row.fetch_add(1, Ordering::Relaxed);
                raise(&fence);
            })
        };
        let raises = [raise(|fence| fence.raise(KEY)), raise(Fence::raise_all)];
        let ticket = fence.ticket(KEY);
        let read = row.load(Ordering::Relaxed);
        for raise in raises {
            raise.join().expect("it ends");
        }
        Life::broken_if(read < 2 && fence.holds(KEY, ticket))
    };
    explore("two raises", PREEMPTIONS, life).must_hold();
}

/// Who is trusted again knows what was dropped while it was not.
fn trust_after_a_gap() -> Life {
    let late = Tick::at(Duration::from_secs(9));
    let (fence, trust) = (Arc::new(Fence::new()), Arc::new(Trust::new()));
    trust.renew(Tick::default(), Duration::from_secs(1));
    let held = fence.ticket(KEY);
    let reader = thread::spawn({
        let (fence, trust) = (fence.clone(), trust.clone());
        move || trust.holds(late) && fence.holds(KEY, held)
    });
    trust.lapse();
    fence.raise_all();
    trust.renew(late, Duration::from_secs(1));
    Life::broken_if(reader.join().expect("it ends"))
}

#[test]
fn a_trust_renewed_after_a_gap_shows_the_gap() {
    explore("trust", PREEMPTIONS, trust_after_a_gap).must_hold();
    relaxed(|| explore("trust, relaxed", PREEMPTIONS, trust_after_a_gap)).must_be_found_out();
}

/// Who passes the fence after a change that L2 lacks finds what L2 owes, although most
/// look at a count only, without a lock.
fn debt_behind_the_fence() -> Life {
    let (fence, owed) = (Arc::new(Fence::new()), Arc::new(Owed::new()));
    let before = fence.ticket(KEY);
    let reader = thread::spawn({
        let (fence, owed) = (fence.clone(), owed.clone());
        move || fence.ticket(KEY) != before && owed.floor(KEY, Tick::default()) < at(2)
    });
    owed.owe(KEY, at(2), Tick::default());
    fence.raise(KEY);
    Life::broken_if(reader.join().expect("it ends"))
}

#[test]
fn who_passes_the_fence_finds_the_debt() {
    explore("owed", PREEMPTIONS, debt_behind_the_fence).must_hold();
    relaxed(|| explore("owed, relaxed", PREEMPTIONS, debt_behind_the_fence)).must_be_found_out();
}

/// Who sees that tags have changed finds the fence of the tag raised.
fn tags_behind_the_fence() -> Life {
    let fence = Arc::new(Fence::new());
    let l1 = Arc::new(L1::<u64>::new(1, Duration::from_secs(1), None, drop));
    let before = fence.ticket(KEY);
    let reader = thread::spawn({
        let (fence, l1) = (fence.clone(), l1.clone());
        move || l1.tag_changes() > 0 && fence.holds(KEY, before)
    });
    fence.raise(KEY);
    l1.tags_changed();
    Life::broken_if(reader.join().expect("it ends"))
}

#[test]
fn who_sees_changed_tags_finds_the_fence_raised() {
    explore("tags", PREEMPTIONS, tags_behind_the_fence).must_hold();
    relaxed(|| explore("tags, relaxed", PREEMPTIONS, tags_behind_the_fence)).must_be_found_out();
}

/// Three raise it, by reading first and writing only if it would rise.
#[test]
fn a_horizon_never_goes_back() {
    let search = |raise: fn(&Horizon, u64), reached: fn(&Horizon) -> u64| -> Explored {
        explore("horizon", PREEMPTIONS, move || {
            let horizon = Arc::new(Horizon::new());
            let others = [3, 2].map(|offset| {
                let horizon = horizon.clone();
                thread::spawn(move || raise(&horizon, offset))
            });
            raise(&horizon, 1);
            let seen = reached(&horizon);
            for other in others {
                other.join().expect("it ends");
            }
            Life::broken_if(seen < 1 || reached(&horizon) != 3)
        })
    };
    let applied = |horizon: &Horizon| horizon.applied(Bucket(0)).offset;
    search(
        |horizon, offset| horizon.raise(Bucket(0), at(offset)),
        applied,
    )
    .must_hold();
    let seen = |horizon: &Horizon| horizon.seen().offset;
    search(|horizon, offset| horizon.raise_seen(at(offset)), seen).must_hold();
}
