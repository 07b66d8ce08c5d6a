//! A value on its way into L1 against an invalidation of its key.

use crate::explore::{Explored, Life, explore};
use crate::process::{Habit, Process, at, key_hash, of_bucket, of_key, of_other};
use crate::store;
use cache_core::clock::Tick;
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use std::sync::Arc;

/// How many times a thread is made to wait.
const PREEMPTIONS: usize = 2;

/// A change at position 2 on its way through this process.
type Change = fn(&Process);

/// L2 has the change, then this process hears of it.
fn usual(process: &Process) {
    process.apply_in_l2(&of_key(true), at(2));
    process.applier.apply(&of_key(true));
}

/// L2 could not be reached, and the bus tells all the same. The bucket's watermark does
/// not show it, since the next change of the bucket has lifted that.
fn early(process: &Process) {
    process.apply_in_l2(&of_other(), at(3));
    process.applier.apply(&of_key(false));
}

/// L2 had the change and has lost it in a failover, before this process hears of it.
fn lost(process: &Process) {
    process.applier.apply(&of_key(true));
}

/// L2 lost the change, and the bucket is raised by who noticed: but L2 fails over once
/// more before this process hears of that.
fn bucket(process: &Process) {
    process.applier.apply(&of_bucket());
}

/// The message about the change was lost, and the loss is noticed.
fn gap(process: &Process) {
    process.apply_in_l2(&of_key(true), at(2));
    process.applier.gap("a message was lost");
}

/// Two readers meet a change. Nothing from before it may be served by a read that
/// begins after this process has handled it.
fn meet(habit: Habit, in_l1: bool, change: Change) -> Life {
    let process = Arc::new(Process::new(habit, false));
    if !in_l1 {
        // The copy in L1 is worthless, and both readers go to L2.
        process.fence.raise(key_hash());
    }
    let handled = Arc::new(AtomicBool::new(false));
    let reader = thread::spawn({
        let (process, handled) = (process.clone(), handled.clone());
        move || {
            process.get();
            handled.load(Ordering::Acquire) && process.look().is_some_and(|row| row < 2)
        }
    });
    let other = thread::spawn({
        let process = process.clone();
        move || process.get()
    });
    process.commit();
    change(&process);
    handled.store(true, Ordering::Release);
    let served_old = reader.join().expect("it ends");
    other.join().expect("it ends");
    let serves_old = || process.get().is_some_and(|row| row < 2);
    Life::broken_if(served_old || serves_old() || serves_old())
}

fn search(name: &str, habit: Habit, in_l1: bool, change: Change) -> Explored {
    explore(name, PREEMPTIONS, move || meet(habit, in_l1, change))
}

const CHANGES: [(&str, Change); 5] = [
    ("a change", usual),
    ("a change that L2 does not have", early),
    ("a change that L2 has lost", lost),
    ("a raised bucket", bucket),
    ("a gap", gap),
];

#[test]
fn no_put_outlives_an_invalidation() {
    for (name, change) in CHANGES {
        search(name, Habit::Shipped, false, change).must_hold();
        let name = format!("{name}, held in L1");
        search(&name, Habit::Shipped, true, change).must_hold();
    }
}

/// "The fence decides; moka only stores."
#[test]
fn no_put_outlives_an_invalidation_in_a_store_that_drops_nothing() {
    for (name, change) in CHANGES {
        let name = format!("{name}, nothing dropped");
        store::drops_lost(|| search(&name, Habit::Shipped, true, change)).must_hold();
    }
}

/// Where the horizon tells nothing: at a gap, nobody knows what was missed.
#[test]
fn a_ticket_taken_after_the_read_is_found_out() {
    let name = "the ticket after the read";
    search(name, Habit::TicketAfterRead, false, gap).must_be_found_out();
}

#[test]
fn a_ticket_taken_at_the_put_is_found_out() {
    let name = "the ticket at the put";
    search(name, Habit::TicketAtPut, false, usual).must_be_found_out();
}

#[test]
fn a_cache_that_only_drops_is_found_out() {
    let only_drops: Change = |process| {
        process.apply_in_l2(&of_key(true), at(2));
        process.l1.drop_key(key_hash());
    };
    search("no fence", Habit::Shipped, false, only_drops).must_be_found_out();
}

/// 1. the fence is raised, and a reader takes the new ticket
/// 2. it reads the old value from L2, and finds that L2 owes nothing
/// 3. it keeps the value; the debt is noted too late
#[test]
fn a_debt_noted_after_the_fence_is_found_out() {
    let late: Change = |process| {
        process.apply_in_l2(&of_other(), at(3));
        process.horizon.raise(key_hash().bucket(), at(2));
        process.fence.raise(key_hash());
        process.owed.owe(key_hash(), at(2), Tick::default());
        process.l1.drop_key(key_hash());
    };
    search("the debt after the fence", Habit::Shipped, false, late).must_be_found_out();
}

/// The same with what was heard, where L2 has lost the change.
#[test]
fn a_horizon_raised_after_the_fence_is_found_out() {
    let late: Change = |process| {
        process.fence.raise(key_hash());
        process.horizon.raise(key_hash().bucket(), at(2));
        process.l1.drop_key(key_hash());
    };
    search("the horizon after the fence", Habit::Shipped, false, late).must_be_found_out();
}
