//! A thousand callers, or four processes, miss one key at once.

use cache_core::connect::{self, BusAt, RemoteAt};
use cache_core::event::Silent;
use cache_core::source::Cause;
use cache_core::testkit::fleet::Fleet;
use cache_core::testkit::servers::nats::NatsServer;
use cache_core::testkit::servers::redis::RedisServer;
use cache_core::testkit::until::pace;
use cache_core::tier::redis::Deployment;
use cache_core::wire::codec::Bincode;
use cache_core::{Cache, Domain, DomainSettings, Policy, Role};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

const CALLERS: usize = 1_000;
const LOAD: Duration = Duration::from_millis(20);
/// Set in the processes that this test makes of itself: `redis url,nats url`.
const CHILD: &str = "CACHE_CORE_TEST_HERD";

/// Lets a thousand tasks get one key, and returns how often it was loaded.
async fn stampede(domain: &Arc<Domain>) -> u64 {
    let policy = Policy::new("users").expect("a name");
    let cache: Cache<u64> = Cache::open(domain, policy, Bincode::default()).expect("a policy");
    let loads = Arc::new(AtomicU64::new(0));
    let callers = (0..CALLERS).map(|_| {
        let (cache, loads) = (cache.clone(), loads.clone());
        tokio::spawn(async move {
            let load = move |_| async move {
                loads.fetch_add(1, Ordering::SeqCst);
                pace(LOAD).await;
                Ok::<_, Cause>(Some(42))
            };
            let hit = cache.get_or_load("k", load).await;
            assert_eq!(*hit.expect("no error").expect("a row"), 42);
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.expect("no panic");
    }
    loads.load(Ordering::SeqCst)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_tasks_that_miss_one_key_load_it_once() {
    let fleet = Fleet::in_memory();
    let domain = fleet.join(Role::Member).await.expect("the bus is there");
    assert_eq!(stampede(&domain).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_goes_away_does_not_cost_a_second_load() {
    let fleet = Fleet::in_memory();
    let domain = fleet.join(Role::Member).await.expect("the bus is there");
    let policy = Policy::new("users").expect("a name");
    let cache: Cache<u64> = Cache::open(&domain, policy, Bincode::default()).expect("a policy");
    let loads = Arc::new(AtomicU64::new(0));
    let get = || {
        let (cache, loads) = (cache.clone(), loads.clone());
        async move {
            let load = move |_| async move {
                loads.fetch_add(1, Ordering::SeqCst);
                pace(LOAD).await;
                Ok::<_, Cause>(Some(42))
            };
            cache
                .get_or_load("k", load)
                .await
                .map(|hit| hit.map(|hit| *hit))
        }
    };
    // The first caller leads and is dropped in the middle of its load.
    let leader = tokio::time::timeout(LOAD / 2, get()).await;
    assert!(leader.is_err(), "it went away");
    assert_eq!(get().await.expect("no error"), Some(42));
    assert_eq!(loads.load(Ordering::SeqCst), 1, "the load went on");
}

/// How many loads of one cache run at the same time.
#[derive(Debug, Default)]
struct Crowd {
    running: AtomicU64,
    /// The most at once since this was last asked.
    most: AtomicU64,
}

impl Crowd {
    async fn load(&self) {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        pace(LOAD).await;
        self.running.fetch_sub(1, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cleared_cache_is_refilled_by_few_loads_first_and_then_by_more() {
    let fleet = Fleet::in_memory();
    let domain = fleet.join(Role::Member).await.expect("the bus is there");
    let mut policy = Policy::new("users").expect("a name");
    policy.loads_ramp = Duration::from_secs(3);
    policy.load_queue = Duration::from_secs(30);
    let cache: Cache<u64> = Cache::open(&domain, policy, Bincode::default()).expect("a policy");
    let crowd = Arc::new(Crowd::default());
    for _ in 0..2 {
        // Everything at once, as after a raised epoch or a lost L2.
        cache.clear().await.expect("L2 and the bus are there");
        let readers = (0..CALLERS).map(|row| {
            let (cache, crowd) = (cache.clone(), crowd.clone());
            tokio::spawn(async move {
                let load = move |_| async move {
                    crowd.load().await;
                    Ok::<_, Cause>(Some(row as u64))
                };
                let hit = cache.get_or_load(format!("user:{row}"), load).await;
                assert_eq!(*hit.expect("no error").expect("a row"), row as u64);
            })
        });
        let readers: Vec<_> = readers.collect();
        let mut most = Vec::new();
        while !readers.iter().all(|reader| reader.is_finished()) {
            pace(Duration::from_millis(500)).await;
            most.push(crowd.most.swap(0, Ordering::SeqCst));
        }
        for reader in readers {
            reader.await.expect("no panic");
        }
        let ramps = most.starts_with(&[8, 8]) && most[2..4].iter().all(|most| *most <= 16);
        assert!(ramps, "{most:?} loads at once, by half seconds");
        assert!(most.iter().all(|most| *most <= 64), "{most:?}");
        // A quiet time, after which few may load again.
        pace(Duration::from_secs(10)).await;
    }
}

struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// This test, run by a process of its own.
    fn start(at: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this test runs"))
            .args([
                "--exact",
                "herd::four_processes_that_miss_one_key_load_it_once",
                "--nocapture",
            ])
            .env(CHILD, at)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("a process starts");
        let stdout = child.stdout.take().expect("it is piped");
        Self {
            child,
            lines: BufReader::new(stdout).lines(),
        }
    }

    /// The word that it says in its next such line.
    async fn says(&mut self) -> String {
        let hears = async {
            while let Some(line) = self.lines.next_line().await.expect("it is text") {
                if let Some((_, word)) = line.split_once("process says ") {
                    return word.to_owned();
                }
            }
            panic!("the process ended");
        };
        tokio::time::timeout(Duration::from_secs(30), hears)
            .await
            .expect("it says something")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_processes_that_miss_one_key_load_it_once() {
    if let Ok(at) = std::env::var(CHILD) {
        return be_one_of_four(&at).await;
    }
    let redis = RedisServer::start().await.expect("redis-server starts");
    let nats = NatsServer::start().await.expect("nats-server starts");
    let at = format!("{},{}", redis.url(), nats.url());
    let mut four: Vec<_> = (0..4).map(|_| Process::start(&at)).collect();
    for process in &mut four {
        assert_eq!(process.says().await, "ready");
    }
    for process in &mut four {
        let stdin = process.child.stdin.as_mut().expect("it is piped");
        stdin.write_all(b"go\n").await.expect("it listens");
    }
    let mut loads = 0;
    for process in &mut four {
        loads += process.says().await.parse::<u64>().expect("a number");
    }
    assert_eq!(loads, 1, "4 processes of {CALLERS} callers each");
}

async fn be_one_of_four(at: &str) {
    let (redis, nats) = at.split_once(',').expect("two addresses");
    let settings = DomainSettings {
        remote: RemoteAt::Redis {
            deployment: Deployment::Single {
                url: redis.to_owned(),
            },
            access: Box::default(),
            timeout: Duration::from_secs(2),
        },
        bus: BusAt::Nats {
            at: nats.into(),
            prefix: "test".to_owned(),
        },
        ..DomainSettings::embedded()
    };
    let domain = connect::open(&settings, Role::Member, Arc::new(Silent)).await;
    let domain = domain.expect("the servers are up");
    println!("process says ready");
    let mut go = String::new();
    BufReader::new(tokio::io::stdin())
        .read_line(&mut go)
        .await
        .expect("it is text");
    println!("process says {}", stampede(&domain).await);
}
