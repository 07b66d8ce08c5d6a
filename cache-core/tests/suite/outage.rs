//! A minute without the source, a time in which it is slow, and its recovery: who waits how
//! long, and how much it is asked.

use cache_core::bus::memory::MemoryBus;
use cache_core::clock::Clock;
use cache_core::source::Cause;
use cache_core::testkit::clock::RuntimeClock;
use cache_core::testkit::fleet::{Fleet, until_trusted};
use cache_core::testkit::until::pace;
use cache_core::tier::memory::MemoryRemote;
use cache_core::wire::codec::Bincode;
use cache_core::{Cache, Domain, Policy, Role};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

const KEYS: u64 = 200;
const READERS: u64 = 20;
/// The pause of each reader: 400 reads a second in all.
const PAUSE: Duration = Duration::from_millis(50);
const LOADS_MAX: usize = 8;

/// What the source does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    Well,
    Fails,
    Hangs,
    Slow,
}

#[derive(Debug)]
struct Source {
    mood: Mood,
    running: usize,
    most_running: usize,
    loads: u64,
}

/// What happened in one phase.
#[derive(Debug, Default)]
struct Phase {
    loads_by_second: Vec<u64>,
    most_running: usize,
    slowest: Duration,
    errors: u64,
}

struct World {
    source: Arc<Mutex<Source>>,
    slowest: Arc<Mutex<(Duration, u64)>>,
    policy: Policy,
    _domain: Arc<Domain>,
    readers: JoinSet<()>,
}

impl World {
    async fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(RuntimeClock::default());
        let remote = Arc::new(MemoryRemote::new(clock.clone()));
        let fleet = Fleet::over(remote, Arc::new(MemoryBus::new()), clock);
        let domain = fleet.join(Role::Member).await.expect("the bus is there");
        until_trusted(&domain).await;
        let mut policy = Policy::new("users").expect("a name");
        policy.lifetime.ttl = Duration::from_secs(10);
        policy.lifetime.l1_ttl = policy.lifetime.ttl;
        policy.loads_max = LOADS_MAX;
        let cache = Cache::open(&domain, policy.clone(), Bincode::default()).expect("a policy");
        let source = Arc::new(Mutex::new(Source {
            mood: Mood::Well,
            running: 0,
            most_running: 0,
            loads: 0,
        }));
        let mut world = Self {
            source,
            slowest: Arc::default(),
            policy,
            _domain: domain,
            readers: JoinSet::new(),
        };
        for seed in 0..READERS {
            let reading = read_on(
                cache.clone(),
                world.source.clone(),
                world.slowest.clone(),
                seed,
            );
            world.readers.spawn(reading);
        }
        world
    }

    /// Lets so many seconds pass.
    async fn phase(&self, mood: Mood, seconds: u64) -> Phase {
        let mut phase = Phase::default();
        self.source.lock().mood = mood;
        *self.slowest.lock() = Default::default();
        for _ in 0..seconds {
            let before = self.source.lock().loads;
            pace(Duration::from_secs(1)).await;
            let mut source = self.source.lock();
            phase.loads_by_second.push(source.loads - before);
            phase.most_running = phase.most_running.max(source.most_running);
            source.most_running = source.running;
        }
        (phase.slowest, phase.errors) = *self.slowest.lock();
        println!(
            "{mood:?}: slowest read {:?}, {} errors, at most {} loads at once, each second {:?}",
            phase.slowest, phase.errors, phase.most_running, phase.loads_by_second
        );
        phase
    }
}

async fn read_on(
    cache: Cache<u64>,
    source: Arc<Mutex<Source>>,
    slowest: Arc<Mutex<(Duration, u64)>>,
    seed: u64,
) {
    let mut rng = StdRng::seed_from_u64(seed);
    loop {
        let key = rng.random_range(0..KEYS).to_string();
        let source = source.clone();
        let began = Instant::now();
        let answer = cache
            .get_or_load(key, async move |_| load(&source).await)
            .await;
        {
            let mut slowest = slowest.lock();
            slowest.0 = slowest.0.max(began.elapsed());
            slowest.1 += u64::from(answer.is_err());
        }
        pace(PAUSE).await;
    }
}

/// One more that runs, until it is dropped.
struct Running(Arc<Mutex<Source>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.lock().running -= 1;
    }
}

async fn load(source: &Arc<Mutex<Source>>) -> Result<Option<u64>, Cause> {
    let mood = {
        let mut source = source.lock();
        source.loads += 1;
        source.running += 1;
        source.most_running = source.most_running.max(source.running);
        source.mood
    };
    let _running = Running(source.clone());
    match mood {
        Mood::Well => pace(Duration::from_millis(10)).await,
        Mood::Fails => return Err("the source is down".into()),
        Mood::Hangs => std::future::pending().await,
        Mood::Slow => pace(Duration::from_secs(2)).await,
    }
    Ok(Some(1))
}

#[tokio::test(start_paused = true)]
async fn a_minute_without_the_source_costs_readers_their_soft_timeout_and_its_return_no_stampede() {
    let world = World::new().await;
    let bound = world.policy.soft_timeout + Duration::from_millis(10);
    let well = world.phase(Mood::Well, 30).await;
    assert_eq!(well.errors, 0);
    let steady = well.loads_by_second[20..].iter().sum::<u64>() / 10;
    for mood in [Mood::Fails, Mood::Hangs] {
        let down = world.phase(mood, 30).await;
        assert_eq!(down.errors, 0, "an expired value is at hand");
        assert!(down.slowest <= bound, "{:?}", down.slowest);
        let last = &down.loads_by_second[20..];
        assert!(last.iter().all(|loads| *loads <= 10), "it is left alone");
    }
    let slow = world.phase(Mood::Slow, 60).await;
    assert_eq!(slow.errors, 0);
    assert!(slow.slowest <= bound, "{:?}", slow.slowest);
    assert!(slow.most_running <= LOADS_MAX, "the bulkhead holds");
    let back = world.phase(Mood::Well, 30).await;
    assert_eq!(back.errors, 0);
    assert!(back.most_running <= LOADS_MAX);
    let first = back.loads_by_second[..5].iter().sum::<u64>();
    assert!(first <= KEYS + 5 * steady, "each key once: {first}");
}
