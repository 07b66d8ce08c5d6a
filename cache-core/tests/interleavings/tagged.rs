//! An entry in L1 against an invalidation of one of its tags.

use crate::explore::{Explored, Life, explore};
use crate::process::{Habit, Process, at, key_hash, of_other, of_tag, tag_hash};
use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use std::sync::Arc;

const PREEMPTIONS: usize = 2;

type Change = fn(&Process);

fn usual(process: &Process) {
    process.apply_in_l2(&of_tag(true), at(2));
    process.applier.apply(&of_tag(true));
}

fn early(process: &Process) {
    process.apply_in_l2(&of_other(), at(3));
    process.applier.apply(&of_tag(false));
}

fn lost(process: &Process) {
    process.applier.apply(&of_tag(true));
}

/// Two readers meet a change of the tag, whose floor is known.
fn meet(in_l1: bool, change: Change) -> Life {
    let process = Arc::new(Process::new(Habit::Shipped, true));
    if !in_l1 {
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

fn search(name: &str, in_l1: bool, change: Change) -> Explored {
    explore(name, PREEMPTIONS, move || meet(in_l1, change))
}

#[test]
fn no_entry_outlives_an_invalidation_of_its_tag() {
    let changes: [(&str, Change); 3] = [
        ("a tag", usual),
        ("a tag that L2 does not have", early),
        ("a tag that L2 has lost", lost),
    ];
    for (name, change) in changes {
        search(name, false, change).must_hold();
        search(&format!("{name}, held in L1"), true, change).must_hold();
    }
}

/// 1. the count of tag changes rises, and a reader checks the tags against it
/// 2. the floor that is known of the tag still has its ticket, and admits the entry
/// 3. the entry counts as checked for ever; the fence is raised too late
#[test]
fn tags_counted_before_the_fence_are_found_out() {
    let late: Change = |process| {
        process.apply_in_l2(&of_tag(true), at(2));
        process.l1.tags_changed();
        process.fence.raise(tag_hash());
        process.horizon.raise(tag_hash().bucket(), at(2));
    };
    search("the count before the fence", true, late).must_be_found_out();
}
