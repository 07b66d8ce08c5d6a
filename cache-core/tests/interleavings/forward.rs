//! An entry on its way into L1's front against another that is put in its place.

use crate::explore::{Explored, Life, explore};
use crate::process::{Habit, Process, at, key_hash};
use crate::shim::Cache;
use crate::tier::front::Front;
use loom::thread;
use std::collections::hash_map::RandomState;
use std::sync::Arc;

/// How many times a thread is made to wait.
const PREEMPTIONS: usize = 3;

/// A store and a front of entries that are told apart by their numbers.
struct Both {
    store: Cache<u64, Arc<u64>, RandomState>,
    front: Front<u64>,
}

/// How a reader brings forward what it found.
type Bring = fn(&Both, &Arc<u64>);

fn confirm(both: &Both, entry: &Arc<u64>) {
    let is_there = both.store.get(&0);
    if !is_there.is_some_and(|is| Arc::ptr_eq(&is, entry)) {
        both.front.forget(key_hash(), entry);
    }
}

/// As L1 does.
fn looks_again(both: &Both, found: &Arc<u64>) {
    if both.front.offer(key_hash(), |_| true, found) {
        confirm(both, found);
    }
}

fn trusts_itself(both: &Both, found: &Arc<u64>) {
    both.front.offer(key_hash(), |_| true, found);
}

/// A reader brings an old entry forward while a newer one is put; what the front has at the
/// end is the newer one, or nothing.
fn meet(bring: Bring) -> Life {
    let store = Cache::builder().build_with_hasher(RandomState::new());
    let both = Arc::new(Both {
        store,
        front: Front::for_bytes(0),
    });
    both.store.insert(0, Arc::new(1));
    let reader = thread::spawn({
        let both = both.clone();
        move || {
            if let Some(found) = both.store.get(&0) {
                bring(&both, &found);
            }
        }
    });
    both.store.insert(0, Arc::new(2));
    let in_store = both.store.get(&0).expect("it was put");
    if both.front.replace(key_hash(), |_| true, &in_store) {
        confirm(&both, &in_store);
    }
    reader.join().expect("it ends");
    let in_front = both.front.get(key_hash(), |_| true);
    Life::broken_if(in_front.is_some_and(|is| *is == 1))
}

/// Two are put at once, over a third that the front has.
fn meet_putters(put: Bring) -> Life {
    let both = Arc::new(Both {
        store: Cache::builder().build_with_hasher(RandomState::new()),
        front: Front::for_bytes(0),
    });
    both.store.insert(0, Arc::new(1));
    both.front.offer(key_hash(), |_| true, &Arc::new(1));
    let put = move |both: &Both, number: u64| {
        let entry = Arc::new(number);
        both.store.insert(0, entry.clone());
        put(both, &entry);
    };
    let other = thread::spawn({
        let both = both.clone();
        move || put(&both, 2)
    });
    put(&both, 3);
    other.join().expect("it ends");
    let (in_store, in_front) = (both.store.get(&0), both.front.get(key_hash(), |_| true));
    Life::broken_if(in_front.is_some() && in_front != in_store)
}

/// As L1 does.
fn replaces_and_confirms(both: &Both, entry: &Arc<u64>) {
    if both.front.replace(key_hash(), |_| true, entry) {
        confirm(both, entry);
    }
}

fn replaces(both: &Both, entry: &Arc<u64>) {
    both.front.replace(key_hash(), |_| true, entry);
}

#[test]
fn of_two_that_are_put_at_once_the_front_has_the_stores() {
    let life = || meet_putters(replaces_and_confirms);
    explore("two putters", PREEMPTIONS, life).must_hold();
}

#[test]
fn a_putter_that_does_not_look_again_is_found_out() {
    let life = || meet_putters(replaces);
    explore("two putters, unseen", PREEMPTIONS, life).must_be_found_out();
}

fn search(name: &str, bring: Bring) -> Explored {
    explore(name, PREEMPTIONS, move || meet(bring))
}

#[test]
fn what_is_brought_forward_is_not_older_than_what_was_put() {
    search("brought forward", looks_again).must_hold();
}

#[test]
fn a_reader_that_does_not_look_again_is_found_out() {
    search("brought forward unseen", trusts_itself).must_be_found_out();
}

/// The same through L1 itself, with a fresher value of the same key.
#[test]
fn l1_answers_the_newer_of_two_that_the_fence_holds_for() {
    let life = || {
        let process = Arc::new(Process::new(Habit::Shipped, false));
        let reader = thread::spawn({
            let process = process.clone();
            move || process.look()
        });
        process.put_row(2, at(2));
        reader.join().expect("it ends");
        Life::broken_if(process.look() != Some(2))
    };
    explore("two that are valid", PREEMPTIONS, life).must_hold();
}
