//! `redis-benchmark` at the RESP door and at Redis itself, turn by turn in one run.
//! `deploy/resp-bench` runs it with figures that mean something.

use crate::serving::Serving;
use cache_core::testkit::servers::redis::RedisServer;
use tokio::process::Command;

/// What a usual run asks for: enough to see that it is answered.
const REQUESTS: u64 = 2_000;
const ROUNDS: u64 = 1;
/// Keys that are written and read: all of them fit into L1.
const KEYS: &str = "100";
/// A SET comes first in each turn, so that a GET has something to find.
const COMMANDS: [&[&str]; 3] = [
    &["SET", "notes:__rand_int__", "a value"],
    &["GET", "notes:__rand_int__"],
    &["PING"],
];
const PIPELINES: [&str; 2] = ["1", "16"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_door_answers_what_redis_answers_and_so_fast() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>());
    let number = |name| number(name).map(|parsed| parsed.expect("a whole number"));
    let requests = number("RESP_BENCH_REQUESTS").unwrap_or(REQUESTS);
    let rounds = number("RESP_BENCH_ROUNDS").unwrap_or(ROUNDS);
    let agent = Serving::start().await;
    let redis = RedisServer::start().await.expect("a Redis");
    let ports = [redis.port(), agent.resp.port()];
    println!("            requests a second: least, median, most          agent");
    println!("            Redis                   agent                   to Redis");
    for pipeline in PIPELINES {
        let mut taken = COMMANDS.map(|_| [Vec::new(), Vec::new()]);
        for _ in 0..rounds {
            for (of, port) in ports.into_iter().enumerate() {
                for (command, taken) in COMMANDS.iter().zip(&mut taken) {
                    let rate = rate(port, requests, pipeline, command).await;
                    taken[of].push(rate);
                }
            }
        }
        for (command, mut taken) in COMMANDS.iter().zip(taken) {
            let [redis, agent] = taken.each_mut().map(|rates| spread(rates));
            let ratio = agent[1] / redis[1];
            assert!(ratio.is_finite() && ratio > 0.0, "{redis:?} {agent:?}");
            let shown = [redis, agent]
                .map(|[least, median, most]| format!("{least:>7.0} {median:>7.0} {most:>7.0}"));
            let (name, [redis, agent]) = (command[0], shown);
            println!("{name:<4} -P {pipeline:<2}  {redis} {agent} {ratio:>9.2}");
        }
    }
}

fn spread(rates: &mut [f64]) -> [f64; 3] {
    rates.sort_by(f64::total_cmp);
    [rates[0], rates[rates.len() / 2], rates[rates.len() - 1]]
}

/// How many of these requests a second 50 clients were answered.
async fn rate(port: u16, requests: u64, pipeline: &str, command: &[&str]) -> f64 {
    let (port, requests) = (port.to_string(), requests.to_string());
    let how = ["-p", &port, "-n", &requests, "-P", pipeline, "-r", KEYS];
    let mut run = Command::new("redis-benchmark");
    let run = run.args(how).arg("--csv").args(command).output().await;
    let run = run.expect("redis-benchmark is installed");
    let said = String::from_utf8_lossy(&run.stdout);
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(
        run.status.success() && !errors.contains("rror"),
        "{said}{errors}"
    );
    // The head, and then one line: the command, and how many a second.
    let line = said.lines().nth(1).expect("a figure");
    let fields: Vec<_> = line.split("\",\"").collect();
    fields[1].parse().expect("a number")
}
