//! Callers that meet in singleflight, with invalidations and leaders that go away.

use crate::explore::{Life, explore};
use crate::flight::single::{Flights, Part, Since};
use crate::guard::fence::Fence;
use crate::model::key::KeyHash;
use crate::remote::answer;
use cache_core::Position;
use loom::sync::atomic::{AtomicBool, AtomicU64};
use loom::thread;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const KEY: KeyHash = KeyHash(1 << 48);
const PREEMPTIONS: usize = 2;
/// Set in the process that this test makes of itself.
const CHILD: &str = "CACHE_CORE_TEST_FORGETS";

fn since(fence: &Fence) -> Since {
    Since {
        ticket: fence.ticket(KEY),
        tag_changes: 0,
    }
}

fn join(flights: &Arc<Flights<u64>>, since: Since) -> Part<u64> {
    let key: Arc<[u8]> = b"k".as_slice().into();
    flights.join(&key, KEY, since, Position::ZERO)
}

/// How a leader ends its flight.
#[derive(Clone, Copy)]
enum Leads {
    ToTheEnd,
    /// The first one goes away, by a panic or because its caller is gone.
    GoesAway,
    /// The first one forgets its duty.
    Forgets,
}

/// Counts outside of what is searched: one thread runs at a time.
#[derive(Default)]
struct Seen {
    leading: AtomicUsize,
    led: AtomicUsize,
    two_at_once: std::sync::atomic::AtomicBool,
    left_twice: std::sync::atomic::AtomicBool,
}

/// A caller of one key that nobody invalidates: until it has a value.
fn call(flights: &Arc<Flights<u64>>, fence: &Fence, leads: Leads, seen: &Seen) -> u64 {
    let mut left = 0;
    loop {
        match join(flights, since(fence)) {
            Part::Lead(lead) => {
                let together = seen.leading.fetch_add(1, Ordering::Relaxed) > 0;
                seen.two_at_once.fetch_or(together, Ordering::Relaxed);
                let first = seen.led.fetch_add(1, Ordering::Relaxed) == 0;
                thread::yield_now();
                seen.leading.fetch_sub(1, Ordering::Relaxed);
                match leads {
                    Leads::GoesAway if first => drop(lead),
                    Leads::Forgets if first => std::mem::forget(lead),
                    _ => {
                        lead.finish(42);
                        return 42;
                    }
                }
            }
            Part::Follow(follow) => match answer(follow.wait()) {
                Some(found) => return found,
                None => left += 1,
            },
            Part::Full => unreachable!("three callers"),
        }
        // One leader goes away once: whoever is left twice was given its flight again.
        seen.left_twice.fetch_or(left > 1, Ordering::Relaxed);
    }
}

fn three_callers(leads: Leads) -> Life {
    let (flights, fence) = (Flights::new(), Arc::new(Fence::new()));
    let seen = Arc::new(Seen::default());
    let others = [(); 2].map(|()| {
        let (flights, fence, seen) = (flights.clone(), fence.clone(), seen.clone());
        thread::spawn(move || call(&flights, &fence, leads, &seen))
    });
    let mut found = vec![call(&flights, &fence, leads, &seen)];
    found.extend(others.map(|other| other.join().expect("it ends")));
    Life::broken_if(
        found != [42; 3]
            || !flights.is_empty()
            || seen.two_at_once.load(Ordering::Relaxed)
            || seen.left_twice.load(Ordering::Relaxed),
    )
}

#[test]
fn one_leads_at_a_time_and_all_get_what_it_found() {
    let life = || three_callers(Leads::ToTheEnd);
    explore("three callers", PREEMPTIONS, life).must_hold();
}

#[test]
fn a_leader_that_goes_away_leaves_nobody_waiting() {
    let life = || three_callers(Leads::GoesAway);
    explore("a leader that goes away", PREEMPTIONS, life).must_hold();
}

#[test]
fn a_leader_that_forgets_its_duty_is_found_out() {
    if std::env::var_os(CHILD).is_some() {
        explore("a forgotten duty", PREEMPTIONS, || {
            three_callers(Leads::Forgets)
        });
        return;
    }
    // In a process of its own: it aborts when the destructors of those who wait find
    // that the search is over.
    let child = Command::new(std::env::current_exe().expect("this test runs"))
        .args([
            "--exact",
            "flights::a_leader_that_forgets_its_duty_is_found_out",
        ])
        .args(["--nocapture", "--test-threads=1"])
        .env(CHILD, "")
        .output()
        .expect("a process starts");
    assert!(!child.status.success(), "nobody waited for ever");
    let said = String::from_utf8_lossy(&child.stderr);
    assert!(said.contains("deadlock"), "{said}");
}

/// A caller that begins after an invalidation meets one that began before. `since` is
/// what they take for the flight's identity.
fn calls_around_a_change(since: fn(&Fence) -> Since) -> Life {
    let (flights, fence) = (Flights::new(), Arc::new(Fence::new()));
    let row = Arc::new(AtomicU64::new(1));
    let handled = Arc::new(AtomicBool::new(false));
    let caller = |_| {
        let (flights, fence) = (flights.clone(), fence.clone());
        let (row, handled) = (row.clone(), handled.clone());
        thread::spawn(move || {
            let after = handled.load(Ordering::Acquire);
            let found = match join(&flights, since(&fence)) {
                Part::Lead(lead) => {
                    let found = row.load(Ordering::Relaxed);
                    lead.finish(found);
                    Some(found)
                }
                Part::Follow(follow) => answer(follow.wait()),
                Part::Full => unreachable!("two callers"),
            };
            after && found == Some(1)
        })
    };
    let callers = [0, 1].map(caller);
    row.store(2, Ordering::Relaxed);
    fence.raise(KEY);
    handled.store(true, Ordering::Release);
    let old = callers.map(|caller| caller.join().expect("it ends"));
    Life::broken_if(old.contains(&true) || !flights.is_empty())
}

#[test]
fn no_caller_joins_a_flight_from_before_an_invalidation() {
    let life = || calls_around_a_change(since);
    explore("calls around a change", PREEMPTIONS, life).must_hold();
}

#[test]
fn a_flight_without_a_ticket_is_found_out() {
    let alike: fn(&Fence) -> Since = |_| since(&Fence::new());
    let life = move || calls_around_a_change(alike);
    explore("flights without a ticket", PREEMPTIONS, life).must_be_found_out();
}
