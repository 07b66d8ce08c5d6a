//! L1's front: what it keeps, what it lets go of, and what it costs in hits.

use cache_core::Position;
use cache_core::clock::{Clock, SystemClock, Tick};
use cache_core::guard::fence::Fence;
use cache_core::model::entry::Entry;
use cache_core::model::key::KeyHash;
use cache_core::tier::front::Front;
use cache_core::tier::l1::{Held, L1, Look};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Weak};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(3600);

/// Hashes of a few bits would all lie in one set.
fn hash(n: u64) -> KeyHash {
    KeyHash((n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn held(n: u64, fence: &Fence) -> Arc<Held<u64>> {
    Arc::new(Held {
        key: n.to_be_bytes().into(),
        ticket: fence.ticket(hash(n)),
        expires: Tick::default().after(LONG),
        refresh_at: Tick::default().after(LONG),
        refresh_off_ms: AtomicU64::new(0),
        stale_until: Tick::default().after(LONG),
        held_over_ms: AtomicU64::new(0),
        tags_checked: AtomicU64::new(0),
        weight: 1,
        entry: Entry {
            value: Some(n),
            as_of: Position::ZERO,
            stamps: Vec::new(),
            stored_ms: 0,
            ttl: LONG,
            validator: None,
            fleeting: false,
        },
    })
}

fn look(l1: &L1<u64>, n: u64, fence: &Fence, now: Tick) -> Option<u64> {
    match l1.look(hash(n), &n.to_be_bytes(), fence, now) {
        Look::Hit(held) => held.entry.value,
        Look::CheckTags(_) | Look::Miss(_) => None,
    }
}

/// How many of them are in memory once L1 has tidied up as far as it will. moka frees what it
/// let go of when none of its readers can see it any more, which takes some more steps of it.
fn kept(l1: &L1<u64>, all: &[Weak<Held<u64>>], most: usize) -> usize {
    let count = || all.iter().filter(|one| one.upgrade().is_some()).count();
    for _ in 0..10_000 {
        l1.tidy_up();
        if count() <= most {
            break;
        }
        l1.drop_key(hash(u64::MAX - 1));
    }
    count()
}

#[test]
fn what_l1_lets_go_of_the_front_keeps_no_memory_for() {
    let fence = Fence::new();
    let l1 = L1::new(1_000, LONG, None, drop);
    let put = |n: u64| -> Weak<Held<u64>> {
        let entry = held(n, &fence);
        l1.put(hash(n), entry.clone());
        // The first read brings it forward, unless the store has refused it.
        for _ in 0..2 {
            let _ = look(&l1, n, &fence, Tick::default());
        }
        Arc::downgrade(&entry)
    };
    let all: Vec<_> = (0..10_000).map(put).collect();
    let in_memory = kept(&l1, &all, 1_000);
    assert!((1..=1_000).contains(&in_memory), "evicted: {in_memory}");
    for n in 0..10_000 {
        l1.drop_key(hash(n));
    }
    assert_eq!(kept(&l1, &all, 0), 0, "dropped one by one");
    let all: Vec<_> = (0..500).map(put).collect();
    l1.drop_all();
    assert_eq!(kept(&l1, &all, 0), 0, "dropped as a whole");
}

#[test]
fn what_is_read_once_drives_out_nothing_that_is_read_often() {
    let front = Front::for_bytes(0);
    let (a, b, once) = (Arc::new(1), Arc::new(2), Arc::new(3));
    let same = |one: &Arc<u64>| {
        let one = **one;
        move |other: &u64| *other == one
    };
    assert!(front.offer(hash(0), same(&a), &a) && front.offer(hash(0), same(&b), &b));
    for one in [&a, &b] {
        assert_eq!(front.get(hash(0), same(one)).as_ref(), Some(one));
    }
    assert!(!front.offer(hash(0), same(&once), &once), "both were read");
    assert_eq!(front.get(hash(0), same(&a)), Some(a.clone()), "and again");
    assert!(
        front.offer(hash(0), same(&once), &once),
        "one was not read since"
    );
    assert_eq!(front.get(hash(0), same(&b)), None, "that one");
    assert_eq!(front.get(hash(0), same(&a)), Some(a));
}

#[test]
fn another_key_of_the_same_hash_is_not_answered() {
    let fence = Fence::new();
    let l1 = L1::new(1 << 20, LONG, None, drop);
    l1.put(hash(7), held(7, &fence));
    let now = Tick::default();
    (0..2).for_each(|_| assert_eq!(look(&l1, 7, &fence, now), Some(7)));
    let other = l1.look(hash(7), b"another", &fence, now);
    assert!(matches!(other, Look::Miss(_)), "{other:?}");
    fence.raise(hash(7));
    assert_eq!(
        look(&l1, 7, &fence, now),
        None,
        "the fence decides in the front too"
    );
}

/// How many of the reads hit an L1 that has room for a tenth of the keys.
fn hit_rate(l1: &L1<u64>, reads: &[u64]) -> f64 {
    let (fence, clock) = (Fence::new(), SystemClock::new());
    let hit = |n: &&u64| {
        let hit = look(l1, **n, &fence, clock.now()).is_some();
        if !hit {
            l1.put(hash(**n), held(**n, &fence));
        }
        hit
    };
    // The first half fills it.
    let (first, second) = reads.split_at(reads.len() / 2);
    first.iter().filter(hit).count();
    second.iter().filter(hit).count() as f64 / second.len() as f64
}

/// Zipf's law with exponent 0.99; of a hundred reads, `once` are of keys that are read once.
fn reads(keys: u64, count: usize, once: u32, seed: u64) -> Vec<u64> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut sums: Vec<f64> = (1..=keys).map(|rank| (rank as f64).powf(-0.99)).collect();
    (1..sums.len()).for_each(|at| sums[at] += sums[at - 1]);
    let all = sums[sums.len() - 1];
    let draw = |at: usize| match random.random_ratio(once, 100) {
        true => keys + at as u64,
        false => {
            let drawn = random.random_range(0.0..all);
            sums.partition_point(|sum| *sum < drawn) as u64
        }
    };
    (0..count).map(draw).collect()
}

/// moka alone is an L1 that hears of every read, for the sake of an idle time.
#[test]
fn the_front_costs_no_hits() {
    const KEYS: u64 = 100_000;
    for once in [0, 20] {
        let reads = reads(KEYS, 1_000_000, once, 1);
        let of = |idle| hit_rate(&L1::new(KEYS / 10, LONG, idle, drop), &reads);
        let (with, without) = (of(None), of(Some(LONG)));
        println!(
            "{once} of 100 read once: {:.2} % with the front, {:.2} % without",
            with * 1e2,
            without * 1e2
        );
        assert!(with > without - 0.005, "more than half a point");
    }
}
