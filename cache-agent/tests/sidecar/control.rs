//! The negative control of the demo: a checker that never found anything proves
//! nothing.

use cache_agent::caches::{Caches, Queues};
use cache_agent::demo::CACHE;
use cache_agent::demo::members::Embedded;
use cache_agent::demo::traffic::{Stage, Traffic};
use cache_agent::hot::HotKeys;
use cache_agent::observe::Watcher;
use cache_core::Policy;
use cache_core::clock::{Clock, SystemClock};
use cache_core::metrics::Metrics;
use cache_core::testkit::until::until;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_checker_counts_stale_reads_when_the_changes_go_elsewhere() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let readers = Embedded::new(clock.clone(), false).expect("a domain");
    // Another domain's invalidator: it carries every change to where nobody reads.
    let elsewhere = Embedded::new(clock.clone(), false).expect("a domain");
    let watcher = || Arc::new(Watcher::new(Metrics::new(&mut Registry::default())));
    let caches = || Arc::new(Caches::new([Policy::new(CACHE).expect("a name")]));
    let (agent, other, other_caches) = (caches(), watcher(), caches());
    let domain = readers.member(watcher()).await.expect("it joins");
    agent
        .open(&domain, &watcher().feed, &Queues::new())
        .expect("it opens");
    let second = readers.member(other.clone()).await.expect("it joins");
    other_caches
        .open(&second, &other.feed, &Queues::new())
        .expect("it opens");
    let traffic = Traffic::start(Stage {
        agent: agent.open_ones().next().cloned().expect("a cache"),
        hot: Arc::new(HotKeys::new(clock.clone())),
        domain: domain.clone(),
        other,
        other_caches,
        invalidator: elsewhere.invalidator().await.expect("it joins"),
        clock,
    });
    let traffic = traffic.expect("it starts");
    let found = || async { traffic.look().stale > 0 };
    until(Duration::from_secs(20), "a stale read is counted", found)
        .await
        .expect("without invalidations, reads go stale");
    domain.leave().await;
}
