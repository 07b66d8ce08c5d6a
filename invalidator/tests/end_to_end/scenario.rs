//! One run: commits, events, readers, and what came of it.

use crate::lags::Lags;
use crate::process::Process;
use crate::reader::Places;
use crate::rows::{self, ROWS};
use crate::world::World;
use cache_core::Name;
use cache_core::model::key::{Key, KeySpace};
use cache_core::testkit::until::pace;
use cache_core::tier::{Record, Remote};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How many commits one run makes.
const COMMITS: u64 = 300;

/// For how many commits an invalidator is halted before it is killed, so that it dies
/// with events in hand.
const HALTED: u64 = 9;
/// An event that somebody died with takes longer than this: until NATS's patience of
/// 2 s ends, or until the same row changes again, 20 commits later.
const IN_HAND: Duration = Duration::from_millis(250);

/// How events reach the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Feed {
    /// One a commit, in order.
    Plain,
    /// Each twice, and five at a time in another order.
    TwiceAndShuffled,
}

/// What one run does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) invalidators: usize,
    pub(crate) kill_one: bool,
    pub(crate) feed: Feed,
    /// How long after its commit a row may still be served.
    pub(crate) bound: Duration,
}

impl Scenario {
    pub(crate) fn new(name: &'static str) -> Self {
        Self {
            name,
            invalidators: 1,
            kill_one: false,
            feed: Feed::Plain,
            bound: Duration::from_millis(2_500),
        }
    }
}

pub(crate) async fn run(scenario: Scenario) {
    let mut world = World::start(scenario.invalidators).await;
    let places = world.places();
    let mut readers = start_readers(&world, &places, scenario.bound).await;
    let to_l2 = write(&scenario, &mut world, &places, &mut readers.processes).await;
    let to_l1 = readers.last_lags().await;
    assert_eq!(
        to_l1.0.len() as u64,
        COMMITS,
        "every reader saw every commit"
    );
    println!("{}: commit to L2: {}", scenario.name, to_l2.shares());
    if scenario.kill_one {
        let most = Duration::from_micros((to_l2.shares().max * 1_000.0) as u64);
        assert!(most > IN_HAND, "it died with nothing in hand");
    }
    println!(
        "{}: commit to the last L1: {}",
        scenario.name,
        to_l1.shares()
    );
    readers.finish(scenario.name).await;
    world.assert_all_done().await;
}

/// The reading processes, and the agent that one of them calls.
struct Readers {
    agent: Process,
    processes: Vec<Process>,
    _folder: tempfile::TempDir,
}

async fn start_readers(_: &World, places: &Places, bound: Duration) -> Readers {
    let folder = tempfile::tempdir().expect("a folder");
    let socket = folder.path().join("agent.sock").display().to_string();
    let (packed, bound) = (places.pack(), bound.as_millis());
    let agent = Process::start(format!("agent|{socket}|{packed}")).await;
    let mut processes = Vec::new();
    for _ in 0..2 {
        processes.push(Process::start(format!("library|{bound}|{packed}")).await);
    }
    processes.push(Process::start(format!("caller|{socket}|{bound}|{packed}")).await);
    Readers {
        agent,
        processes,
        _folder: folder,
    }
}

impl Readers {
    /// For each commit, the lag of the process that saw it last.
    async fn last_lags(&mut self) -> Lags {
        let mut last: HashMap<u64, (usize, u64)> = HashMap::new();
        for process in &mut self.processes {
            for _ in 0..COMMITS {
                let said = process.says().await;
                let numbers: Vec<u64> = said
                    .split(' ')
                    .filter_map(|number| number.parse().ok())
                    .collect();
                let [commit, lag] = numbers[..] else {
                    panic!("{said}")
                };
                let (count, most) = last.entry(commit).or_default();
                *count += 1;
                *most = lag.max(*most);
            }
        }
        let all = self.processes.len();
        Lags(
            last.values()
                .filter(|(count, _)| *count == all)
                .map(|(_, lag)| *lag)
                .collect(),
        )
    }

    async fn finish(mut self, name: &str) {
        let kinds = ["library", "library", "agent"];
        for (process, kind) in self.processes.iter_mut().zip(kinds) {
            process.tell("end\n").await;
            let said = process.says().await;
            let mut words = said.splitn(7, ' ').skip(1);
            let mut number = || {
                words
                    .next()
                    .and_then(|n| n.parse::<u64>().ok())
                    .expect("a number")
            };
            let (reads, behind, worst) = (number(), number(), number());
            let (errors, violations) = (number(), number());
            println!(
                "{name}: {kind}: {reads} reads, {behind} behind their commit (worst {:.1} ms), \
                 {violations} beyond the bound, {errors} errors",
                worst as f64 / 1_000.0
            );
            assert_eq!(violations, 0, "{said}");
            assert_eq!(errors, 0, "{said}");
            assert!(reads > COMMITS, "{said}");
        }
        for process in self.processes {
            process.end().await;
        }
        self.agent.end().await;
    }
}

/// Commits, publishes, tells the readers; returns the lags to L2.
async fn write(
    scenario: &Scenario,
    world: &mut World,
    places: &Places,
    readers: &mut [Process],
) -> Lags {
    let client = rows::connect(&places.postgres).await;
    let remote: Arc<dyn Remote> = world.remote().await;
    let mut waiting = Vec::new();
    let mut lags = JoinSet::new();
    for commit in 0..COMMITS {
        if scenario.kill_one && commit == COMMITS / 2 {
            world.halt_an_invalidator().await;
        }
        if scenario.kill_one && commit == COMMITS / 2 + HALTED {
            world.kill_an_invalidator().await;
        }
        let row = (commit as i64 * 7) % ROWS;
        let (version, at_us) = rows::change(&client, row).await;
        for reader in readers.iter_mut() {
            reader
                .tell(&format!("{commit} {row} {version} {at_us}\n"))
                .await;
        }
        waiting.push((row, version, at_us));
        let enough = match scenario.feed {
            Feed::Plain => 1,
            Feed::TwiceAndShuffled => 5,
        };
        if waiting.len() >= enough {
            for (row, at_us, offset) in publish(scenario.feed, world, &mut waiting).await {
                lags.spawn(lag_to_l2(remote.clone(), row, offset, at_us));
            }
        }
        pace(Duration::from_millis(20)).await;
    }
    let mut all = Lags::default();
    while let Some(lag) = lags.join_next().await {
        all.0.push(lag.expect("no panic"));
    }
    all
}

async fn publish(
    feed: Feed,
    world: &World,
    waiting: &mut Vec<(i64, u64, u64)>,
) -> Vec<(i64, u64, u64)> {
    let mut published = Vec::new();
    if feed == Feed::TwiceAndShuffled {
        waiting.reverse();
        waiting.swap(0, 2);
    }
    for (row, version, at_us) in waiting.iter() {
        let offset = world.publish(&rows::event(*row, *version, *at_us)).await;
        published.push((*row, *at_us, offset));
    }
    if feed == Feed::TwiceAndShuffled {
        for (row, version, at_us) in waiting.iter().rev() {
            world.publish(&rows::event(*row, *version, *at_us)).await;
        }
    }
    waiting.clear();
    published
}

/// Looks at L2 until it refuses everything before `offset`.
async fn lag_to_l2(remote: Arc<dyn Remote>, row: i64, offset: u64, at_us: u64) -> u64 {
    let name = |text| Name::new(text).expect("a name");
    let key = rows::key(row);
    let key = Key::new(key.as_bytes()).expect("a key");
    let address = KeySpace::new(name("main"), name("library")).address(key);
    loop {
        let reading = remote.read(&address).await.expect("Redis is up");
        let reached = match reading.record {
            Some(Record::Value { as_of, .. }) => as_of.offset,
            Some(Record::Mark { floor }) => floor.offset,
            None => 0,
        };
        if reached >= offset {
            return rows::wall_us().saturating_sub(at_us);
        }
        pace(Duration::from_micros(300)).await;
    }
}
