//! Hits of L1.

use crate::load;
use crate::table::{self, Row};
use bytes::Bytes;
use cache_core::metrics::Metrics;
use cache_core::wire::codec::Raw;
use cache_core::{Cache, DomainSettings, Lookup, Policy, Role, connect};
use prometheus_client::registry::Registry;
use std::hint::black_box;
use std::sync::Arc;
use tokio::runtime::Runtime;

const READS: usize = 1 << 20;
const TURNS: usize = 7;
const VALUE: usize = 256;

/// Reads that are all answered from memory, of so many keys.
pub fn run(keys: usize) -> String {
    let names: Vec<Vec<u8>> = (0..keys)
        .map(|n| format!("user:{n}").into_bytes())
        .collect();
    let shared: Vec<Arc<[u8]>> = names.iter().map(|name| name.clone().into()).collect();
    let order = load::zipf(keys, READS, 1);
    let runtime = Runtime::new().expect("threads");
    let cache = runtime.block_on(ours(&names));
    let value: Arc<[u8]> = vec![7; VALUE].into();
    let limit = vec![value.clone(); keys];
    let moka = moka::sync::Cache::new(2 * keys as u64);
    let quick = quick_cache::sync::Cache::new(2 * keys);
    for key in &shared {
        moka.insert(key.clone(), value.clone());
        quick.insert(key.clone(), value.clone());
    }
    let at = |n: &u32| *n as usize;
    let rows = vec![
        Row {
            name: "a vector's element",
            work: Box::new(|| {
                order
                    .iter()
                    .for_each(|n| drop(black_box(limit[at(n)].clone())))
            }),
        },
        Row {
            name: "quick_cache",
            work: Box::new(|| {
                order
                    .iter()
                    .for_each(|n| drop(black_box(quick.get(&shared[at(n)]).expect("hit"))));
            }),
        },
        Row {
            name: "moka",
            work: Box::new(|| {
                order
                    .iter()
                    .for_each(|n| drop(black_box(moka.get(&shared[at(n)]).expect("hit"))));
            }),
        },
        Row {
            name: "Cache::get_at_once",
            work: Box::new(|| {
                for n in &order {
                    let found = cache.get_at_once(&names[at(n)]).expect("a key");
                    assert!(matches!(black_box(found), Some(Lookup::Hit(_))));
                }
            }),
        },
        Row {
            name: "Cache::get",
            work: Box::new(|| {
                runtime.block_on(async {
                    for n in &order {
                        let found = cache.get(&names[at(n)]).await.expect("a key");
                        assert!(matches!(black_box(found), Lookup::Hit(_)));
                    }
                });
            }),
        },
    ];
    table::run(
        &format!("L1 hits, {keys} keys, zipf 0.99, {VALUE} B"),
        READS,
        TURNS,
        rows,
    )
}

async fn ours(names: &[Vec<u8>]) -> Cache<Bytes> {
    // Counted, as a service has it.
    let metrics = Arc::new(Metrics::new(&mut Registry::default()));
    let domain = connect::open(&DomainSettings::embedded(), Role::Member, metrics).await;
    let domain = domain.expect("it needs nothing");
    let mut policy = Policy::new("users").expect("a name");
    policy.l1_bytes = 4 << 30;
    policy.unleased_set = cache_core::policy::UnleasedSet::Stores;
    let cache = Cache::open(&domain, policy, Raw).expect("a cache");
    for name in names {
        cache
            .set(name, Some(Bytes::from(vec![7; VALUE])), None)
            .await
            .expect("it is stored");
    }
    for name in names {
        cache.get(name).await.expect("a key");
    }
    cache
}
