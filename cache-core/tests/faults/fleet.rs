//! Readers, a writer and a ledger over real servers.

use cache_core::bus::nats::NatsBus;
use cache_core::clock::SystemClock;
use cache_core::coherence::announce::{Announced, Change};
use cache_core::coherence::listen::Timing;
use cache_core::source::{Cause, Wanted};
use cache_core::testkit::fleet::{Fleet, until_trusted};
use cache_core::testkit::ledger::Ledger;
use cache_core::testkit::until::pace;
use cache_core::tier::redis::{Deployment, RedisRemote};
use cache_core::wire::codec::Bincode;
use cache_core::{Cache, Domain, Key, Name, Policy, Position, ReadThrough, Role};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;

pub(crate) const ROWS: usize = 400;
const READERS: usize = 8;
/// How long after its commit a change may still be missing from an answer: the
/// trust's span, and one L2 timeout before the bus is told all the same.
pub(crate) const BOUND: Duration = Duration::from_millis(2_500);

/// Processes under load.
pub(crate) struct Load {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) members: Vec<Arc<Domain>>,
    pub(crate) errors: Arc<AtomicU64>,
    pub(crate) commits: Arc<AtomicU64>,
    pub(crate) fleet: Fleet,
    stop: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

pub(crate) fn key(row: usize) -> String {
    format!("row:{row}")
}

pub(crate) async fn connect(deployment: &Deployment, nats: &str) -> Fleet {
    let name = Name::new("main").expect("a name");
    let timeout = Duration::from_millis(200);
    let remote = RedisRemote::connect(name.clone(), deployment, timeout).await;
    let bus = NatsBus::connect(nats, "test", &name).await;
    let mut fleet = Fleet::over(
        Arc::new(remote.expect("Redis is up")),
        Arc::new(bus.expect("NATS is up")),
        Arc::new(SystemClock::new()),
    )
    .with_invalidator();
    fleet.timing = Timing::default();
    fleet
}

impl Load {
    /// Two members and an invalidator, each with connections of its own, eight
    /// readers and a writer.
    pub(crate) async fn start(deployment: &Deployment, nats: &str) -> Self {
        let fleet = connect(deployment, nats).await;
        let ledger = Arc::new(Ledger::new(ROWS, fleet.clock.clone()));
        let invalidator = connect(deployment, nats).await;
        let invalidator = invalidator
            .join(Role::Invalidator)
            .await
            .expect("NATS is up");
        let mut load = Self {
            ledger,
            members: Vec::new(),
            errors: Arc::default(),
            commits: Arc::default(),
            stop: Arc::default(),
            tasks: JoinSet::new(),
            fleet: fleet.clone(),
        };
        for _ in 0..2 {
            let mut own = connect(deployment, nats).await;
            own.clock = fleet.clock.clone();
            let member = own.join(Role::Member).await.expect("NATS is up");
            until_trusted(&member).await;
            let cache = load.cache(&member);
            for reader in 0..READERS / 2 {
                load.read(cache.clone(), reader);
            }
            load.members.push(member);
        }
        load.write(invalidator);
        load
    }

    fn cache(&self, member: &Arc<Domain>) -> ReadThrough<u64> {
        let mut policy = Policy::new("rows").expect("a name");
        policy.loads_max = 1_000;
        let cache: Cache<u64> = Cache::open(member, policy, Bincode::default()).expect("a policy");
        let ledger = self.ledger.clone();
        cache.read_through(move |wanted: Wanted<_>| {
            let row = wanted.text()["row:".len()..].parse().expect("a row's key");
            let ledger = ledger.clone();
            async move {
                let version = ledger.version(row);
                pace(Duration::from_millis(1)).await;
                Ok::<_, Cause>(Some(version))
            }
        })
    }

    fn read(&mut self, cache: ReadThrough<u64>, reader: usize) {
        let (ledger, errors, stop) = (self.ledger.clone(), self.errors.clone(), self.stop.clone());
        let clock = self.fleet.clock.clone();
        self.tasks.spawn(async move {
            let mut row = reader;
            while !stop.load(Ordering::Relaxed) {
                // A stride that visits every row, hot ones more often.
                row = (row * 31 + 7) % ROWS;
                let row = if row.is_multiple_of(3) { row % 10 } else { row };
                let began = clock.now();
                match cache.get(key(row)).await {
                    Ok(Some(version)) => ledger.judge(row, *version, began, BOUND),
                    Ok(None) => unreachable!("every row exists"),
                    Err(error) => {
                        errors.fetch_add(1, Ordering::Relaxed);
                        eprintln!("a reader saw: {error}");
                    }
                }
                pace(Duration::from_micros(500)).await;
            }
        });
    }

    /// Commits some 200 rows a second, and announces each until L2 has it.
    fn write(&mut self, invalidator: Arc<Domain>) {
        let (ledger, stop, commits) =
            (self.ledger.clone(), self.stop.clone(), self.commits.clone());
        let cache = Name::new("rows").expect("a name");
        self.tasks.spawn(async move {
            let mut announcing = JoinSet::new();
            let mut row = 0;
            while !stop.load(Ordering::Relaxed) {
                row = (row * 17 + 3) % ROWS;
                ledger.commit(row);
                let offset = commits.fetch_add(1, Ordering::Relaxed) + 1;
                let key = key(row);
                let key = Key::new(key.as_bytes()).expect("a key");
                let position = Position::new(0, offset, 0);
                let change = Change::key(&cache, key, Some(position));
                announcing.spawn(announce(invalidator.clone(), change));
                pace(Duration::from_millis(5)).await;
            }
            while announcing.join_next().await.is_some() {}
        });
    }

    /// Runs on for a while, under whatever has been done to the servers.
    pub(crate) async fn run_for(&self, span: Duration) {
        pace(span).await;
    }

    /// Stops everything; prints and checks what was read.
    pub(crate) async fn finish(mut self, story: &str) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        tokio::time::timeout(Duration::from_secs(30), ended)
            .await
            .expect("all tasks end");
        let verdict = self.ledger.verdict();
        println!(
            "{story}: {} commits, {} reads, {} behind their commit (worst {:?}), {} beyond {BOUND:?}, {} errors",
            self.commits.load(Ordering::Relaxed),
            verdict.reads,
            verdict.behind,
            verdict.worst,
            verdict.violations.len(),
            self.errors.load(Ordering::Relaxed),
        );
        assert!(verdict.violations.is_empty(), "{:#?}", verdict.violations);
        assert_eq!(
            self.errors.load(Ordering::Relaxed),
            0,
            "nobody sees an error"
        );
        assert!(verdict.reads > 2_000, "the test reads something");
    }
}

async fn announce(invalidator: Arc<Domain>, change: Change) {
    let announcer = invalidator.announcer();
    let mut answers = announcer.announce(std::slice::from_ref(&change)).await;
    loop {
        match answers.as_deref() {
            Ok([Announced::Everywhere(_)]) => return,
            Ok(_) => {
                pace(Duration::from_millis(50)).await;
                answers = announcer
                    .announce_again(std::slice::from_ref(&change))
                    .await;
            }
            Err(_) => {
                pace(Duration::from_millis(50)).await;
                answers = announcer.announce(std::slice::from_ref(&change)).await;
            }
        }
    }
}
