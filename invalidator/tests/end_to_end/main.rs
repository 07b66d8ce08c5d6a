//! A row changes in Postgres; a moment later nobody is served the old one. Real
//! servers and real processes: a 3 + 3 Redis Cluster, NATS JetStream, Postgres,
//! two library processes, the agent and a caller of it, and one or more
//! invalidators.
//!
//! The test makes its processes out of itself: with [`ROLE`] set, it is one of them.

mod behind;
mod capture;
mod chaos;
mod cost;
mod judge;
mod lags;
mod process;
mod reader;
mod rows;
mod scenario;
mod service;
mod throughput;
mod world;

use scenario::{Feed, Scenario};
use std::time::Duration;

/// The variable that says which process this is, and what it needs.
const ROLE: &str = "CACHEASIDE_TEST_ROLE";
/// The only test that runs as another process.
const TEST: &str = "the_old_row_is_refused_everywhere_with_one_invalidator";

/// One after the other: lags are times.
static ALONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_old_row_is_refused_everywhere_with_one_invalidator() {
    if let Ok(role) = std::env::var(ROLE) {
        return process::be(&role).await;
    }
    let _alone = ALONE.lock().await;
    scenario::run(Scenario::new("one invalidator")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_old_row_is_refused_everywhere_with_three_invalidators() {
    let _alone = ALONE.lock().await;
    scenario::run(Scenario {
        invalidators: 3,
        ..Scenario::new("three invalidators")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_old_row_is_refused_everywhere_with_an_invalidator_killed() {
    let _alone = ALONE.lock().await;
    scenario::run(Scenario {
        invalidators: 3,
        kill_one: true,
        // What the dead one had in hand comes again when NATS's patience ends (2 s).
        bound: Duration::from_millis(6_000),
        ..Scenario::new("three invalidators, one killed")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_old_row_is_refused_everywhere_with_events_twice_and_out_of_order() {
    let _alone = ALONE.lock().await;
    scenario::run(Scenario {
        invalidators: 2,
        feed: Feed::TwiceAndShuffled,
        ..Scenario::new("events twice and out of order")
    })
    .await;
}
