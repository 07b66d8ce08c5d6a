//! A process that writes behind: it puts, it may lead, and it may die at any moment.

use super::book::{KEYS, Page, TASKS};
use super::table::Writer;
use crate::process::MARK;
use cache_core::bus::memory::MemoryBus;
use cache_core::clock::SystemClock;
use cache_core::domain::{Parts, Role};
use cache_core::event::Silent;
use cache_core::queue::nats::{NatsQueue, QueueSettings};
use cache_core::random::SystemRandom;
use cache_core::testkit::fleet::Fleet;
use cache_core::testkit::until::pace;
use cache_core::tier::memory::MemoryRemote;
use cache_core::wire::codec::Bincode;
use cache_core::{Behind, Cache, Domain, Name, Policy, WriteBehind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::JoinSet;

pub(crate) const CACHE: &str = "orders";
pub(crate) const DOMAIN: &str = "main";

/// Where the queue is.
pub(crate) fn queue(nats: &str) -> QueueSettings {
    QueueSettings {
        at: nats.into(),
        prefix: "behind".to_owned(),
        bytes_max: 256 * 1024 * 1024,
        replicas: 1,
    }
}

/// Runs as `seat|life|nats|postgres|folder`.
pub(crate) async fn be(role: &str) {
    let parts: Vec<_> = role.splitn(5, '|').collect();
    let [seat, life, nats, postgres, folder] = parts[..] else {
        panic!("no role {role}");
    };
    let number = |text: &str| text.parse().expect("a number");
    let (seat, life): (u64, u64) = (number(seat), number(life));
    let behind = open(nats, postgres).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let page = Page::create(Path::new(folder), life, task);
        tasks.spawn(write(
            behind.clone(),
            page,
            seat * TASKS + task,
            life,
            stop.clone(),
        ));
    }
    println!("{MARK}ready");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    if !matches!(lines.next_line().await, Ok(Some(_))) {
        return;
    }
    stop.store(true, Ordering::Relaxed);
    tasks.join_all().await;
    println!("{MARK}stopped");
    // It goes on leading until it is ended.
    let _ = lines.next_line().await;
}

/// A cache whose tiers are this process's own: what is judged is the source.
async fn open(nats: &str, postgres: &str) -> WriteBehind<u64> {
    let name = |text| Name::new(text).expect("a name");
    let fleet = Fleet::in_memory();
    let domain = Domain::join(Parts {
        name: name(DOMAIN),
        remote: Arc::new(MemoryRemote::new(fleet.clock.clone())),
        bus: Arc::new(MemoryBus::new()),
        clock: fleet.clock.clone(),
        random: Arc::new(SystemRandom),
        observer: Arc::new(Silent),
        role: Role::Member,
        proof: fleet.proof,
        timing: fleet.timing,
    })
    .await
    .expect("the bus is there");
    let mut policy = Policy::new(CACHE).expect("a name");
    policy.write_timeout = Duration::from_secs(2);
    let cache: Cache<u64> = Cache::open(&domain, policy, Bincode::default()).expect("a policy");
    let (clock, random) = (Arc::new(SystemClock::new()), Arc::new(SystemRandom));
    let opened = loop {
        let (domain, cache) = (name(DOMAIN), name(CACHE));
        let (clock, random) = (clock.clone(), random.clone());
        match NatsQueue::open(&queue(nats), &domain, &cache, clock, random).await {
            Ok(opened) => break opened,
            // It may have been killed just then.
            Err(_) => pace(Duration::from_millis(100)).await,
        }
    };
    let writer = Writer::connect(postgres).await;
    let behind = cache.write_behind(Arc::new(opened), writer, Behind::default());
    behind.expect("settings")
}

/// Writes one task's keys by turns, each value above the one before.
async fn write(
    behind: WriteBehind<u64>,
    mut page: Page,
    task: u64,
    life: u64,
    stop: Arc<AtomicBool>,
) {
    let mut value = life << 32;
    while !stop.load(Ordering::Relaxed) {
        value += 1;
        let key = task * KEYS + value % KEYS;
        let put = behind.put(key.to_string(), value).await;
        page.write(key, value, put.is_ok());
        if put.is_err() {
            pace(Duration::from_millis(50)).await;
        }
    }
}
