//! Puts the local stack to work; `deploy/local/demo` runs it. Rows change in Postgres,
//! the changes are published, callers read through the agent, and every read is judged.

#[path = "../../tests/end_to_end/judge.rs"]
mod judge;
#[allow(dead_code, reason = "the library's readers are the end-to-end test's")]
#[path = "../../tests/end_to_end/reader.rs"]
mod reader;
#[path = "../../tests/end_to_end/rows.rs"]
mod rows;

use cache_core::testkit::until::pace;
use reader::Reader;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinSet;

const COMMITS: u64 = 600;

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [socket, nats, postgres] = &args[..] else {
        panic!("socket, NATS, Postgres")
    };
    let client = rows::connect(postgres).await;
    rows::create(&client, rows::ROWS).await;
    let stream = async_nats::connect(nats).await.expect("NATS is up");
    let stream = async_nats::jetstream::new(stream);
    let reader = Reader::agent(socket, "users", postgres).await;
    let judge = judge::Judge::new(Duration::from_millis(2_500));
    let (mut readers, mut watchers) = (JoinSet::new(), JoinSet::new());
    (0..8).for_each(|n| drop(readers.spawn(judge.clone().read(reader.clone(), n * 3))));
    for commit in 0..COMMITS {
        let row = commit as i64 * 7 % rows::ROWS;
        let (version, at_us) = rows::change(&client, row).await;
        judge.committed(row, version, at_us);
        let event = rows::event(row, version, at_us).into();
        let taken = stream
            .publish("cdc.public.users", event)
            .await
            .expect("NATS is up");
        taken.await.expect("the stream takes it");
        let (judge, reader) = (judge.clone(), reader.clone());
        watchers.spawn(async move { judge.watch(&reader, row, version, at_us).await });
        pace(Duration::from_millis(20)).await;
    }
    let mut lags = watchers.join_all().await;
    lags.sort_unstable();
    let lag = |share: f64| lags[((lags.len() - 1) as f64 * share) as usize] as f64 / 1e3;
    let verdict = judge.finish(readers).await;
    let numbers: Vec<u64> = verdict.split(' ').filter_map(|n| n.parse().ok()).collect();
    let Reader::Agent(caller) = &reader else {
        unreachable!("it was made above")
    };
    let hits = caller.hits.load(Ordering::Relaxed) as f64 / numbers[0] as f64;
    println!(
        "{COMMITS} commits, {} reads, hit rate {:.1} %, {} stale beyond 2.5 s, {} errors",
        numbers[0],
        hits * 100.0,
        numbers[4],
        numbers[3]
    );
    println!(
        "commit to L1: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
        lag(0.5),
        lag(0.99),
        lag(1.0)
    );
}
