//! The equations between counters, as `docs/series.md` states them, in a crowd of readers
//! whose loads fail, whose leases are lost, and whose L1 is too small.

use cache_core::metrics::Metrics;
use cache_core::source::Cause;
use cache_core::testkit::equations::broken;
use cache_core::testkit::fleet::{Fleet, until_trusted};
use cache_core::testkit::scrape::Scrape;
use cache_core::testkit::until::until;
use cache_core::wire::codec::Bincode;
use cache_core::{Cache, Loaded, Lookup, Policy, Role};
use prometheus_client::registry::Registry;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use std::time::Duration;

const READERS: u64 = 16;
const STEPS: u32 = 300;
const KEYS: u64 = 300;

/// One reader's steps, drawn by lot from its seed; how many reads it made.
async fn read_on(cache: Cache<u64>, seed: u64) -> u64 {
    let mut dice = StdRng::seed_from_u64(seed);
    let mut reads = 0;
    for _ in 0..STEPS {
        let key = format!("k{}", dice.random_range(0..KEYS));
        reads += 1;
        match dice.random_range(0..10) {
            0 => {
                cache.invalidate(&key).await.expect("L2 is there");
                reads -= 1;
            }
            1..=4 => match cache.get(&key).await.expect("a good key") {
                Lookup::Hit(_) | Lookup::Absent => {}
                // A ticket is used, or dropped.
                Lookup::Miss(ticket) if dice.random_bool(0.7) => {
                    tokio::task::yield_now().await;
                    ticket
                        .fill(Loaded::value(1), None)
                        .await
                        .expect("a small value");
                }
                Lookup::Miss(_) => {}
            },
            lot => {
                let load = async move |_| {
                    tokio::task::yield_now().await;
                    match lot {
                        5 => Err(Cause::from("the source is away")),
                        6 => Ok(Loaded::absent()),
                        _ => Ok(Loaded::value(2)),
                    }
                };
                // Its error is the source's, or that of whoever loads the key just then.
                let _ = cache.get_or_load(&key, load).await;
            }
        }
    }
    reads
}

#[tokio::test]
async fn counters_add_up() {
    let mut registry = Registry::default();
    let metrics = Arc::new(Metrics::new(&mut registry));
    let domain = Fleet::in_memory()
        .join_observed(Role::Member, metrics)
        .await;
    let domain = domain.expect("the bus is there");
    until_trusted(&domain).await;
    let policy = Policy {
        l1_bytes: 20_000,
        breaker_keys: 1_000,
        ..Policy::new("users").expect("a name")
    };
    let cache = Cache::open(&domain, policy, Bincode::default()).expect("a policy");
    let readers = (0..READERS).map(|n| tokio::spawn(read_on(cache.clone(), n)));
    let mut reads = 0;
    for reader in readers.collect::<Vec<_>>() {
        // The one thread that there is: no reader is in the middle of a count.
        assert_eq!(broken(&Scrape::of(&registry), false), Vec::<String>::new());
        reads += reader.await.expect("no panic");
    }
    let rests = || async { broken(&Scrape::of(&registry), true).is_empty() };
    let waited = until(Duration::from_secs(10), "everything adds up", rests).await;
    let scrape = Scrape::of(&registry);
    assert!(waited.is_ok(), "{:?}", broken(&scrape, true));
    assert_eq!(scrape.sum("cacheaside_gets_total", &[]), reads as f64);
    for (name, label, value) in [
        ("gets", "result", "hit"),
        ("gets", "result", "negative"),
        ("gets", "result", "miss"),
        ("gets", "result", "error"),
        ("loads", "result", "error"),
        ("leases", "outcome", "released"),
        ("leases", "outcome", "superseded"),
        ("l1_drops", "cause", "size"),
        ("l1_drops", "cause", "invalidated"),
    ] {
        let count = scrape.sum(&format!("cacheaside_{name}_total"), &[(label, value)]);
        assert!(count > 0.0, "{name} {value}: it never happened");
    }
    drop(cache);
    domain.leave().await;
}

/// The judge finds it out when something is not counted.
#[test]
fn what_does_not_add_up_is_found_out() {
    let text = "cacheaside_gets_total{cache=\"a\",tier=\"l2\",result=\"hit\"} 3\n\
                cacheaside_get_duration_seconds_count{cache=\"a\",tier=\"l2\"} 2\n\
                cacheaside_leases_total{cache=\"a\",outcome=\"granted\"} 2\n\
                cacheaside_leases_total{cache=\"a\",outcome=\"filled\"} 1\n\
                cacheaside_puts_total{cache=\"a\",tier=\"l2\"} 1\n";
    let scrape = Scrape::read(text);
    let said = broken(&scrape, false);
    assert_eq!(said, ["a: gets beyond L1, timed: 3 and 2"]);
    let said = broken(&scrape, true);
    assert_eq!(said.len(), 2, "{said:?}");
    assert_eq!(said[1], "a: leases granted, and ended: 2 and 1");
}
