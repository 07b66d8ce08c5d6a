//! What moves in the demo: readers on two processes, a writer, and the stream of
//! changes from the writer to everybody.

use crate::caches::Caches;
use crate::demo::database::{Commit, Database};
use crate::demo::{BOUND, CACHE, ROWS, key};
use crate::hot::HotKeys;
use crate::observe::Watcher;
use crate::stats::{Demo, Member, millis};
use bytes::Bytes;
use cache_core::clock::Clock;
use cache_core::coherence::announce::{Announced, Change};
use cache_core::random::{Random, SystemRandom};
use cache_core::{Cache, Domain, Error, Key, Name, Position, ReadThrough, Wanted};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// Readers on each process.
const READERS: usize = 4;
/// The pause of a reader between two reads; the timer makes it at least 1 ms.
const READ_PAUSE: Duration = Duration::from_millis(1);
/// The pause of the writer between two commits.
const WRITE_PAUSE: Duration = Duration::from_millis(20);
/// How many commits may wait for the invalidator.
const LOG_MAX: usize = 1_024;
/// The pause before a change that L2 did not take is announced again.
const AGAIN: Duration = Duration::from_millis(50);
/// Reads crowd on the first rows: a row's share falls with the cube of its number.
const SKEW: i32 = 3;

/// The running demo.
#[derive(Debug)]
pub struct Traffic {
    database: Arc<Database>,
    checked: AtomicU64,
    stale: AtomicU64,
    failed: AtomicU64,
    other: Arc<Watcher>,
    other_caches: Arc<Caches>,
}

/// The processes that the demo runs on.
#[derive(Debug)]
pub struct Stage {
    /// The agent's own cache.
    pub agent: Cache<Bytes>,
    /// What counts the keys that are read through it most.
    pub hot: Arc<HotKeys>,
    /// The domain of the agent: the demo ends with it.
    pub domain: Arc<Domain>,
    /// What the second process counts.
    pub other: Arc<Watcher>,
    /// The second process's caches, opened.
    pub other_caches: Arc<Caches>,
    /// The invalidator's part.
    pub invalidator: Arc<Domain>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Traffic {
    /// Starts it all. It ends when the agent leaves its domain.
    ///
    /// # Errors
    /// [`cache_core::Kind::Invalid`] for a cache's name outside its limits.
    pub fn start(stage: Stage) -> Result<Arc<Self>, Error> {
        let (log, commits) = mpsc::channel(LOG_MAX);
        let database = Arc::new(Database::new(ROWS, stage.clock.clone(), log));
        let traffic = Arc::new(Self {
            database: database.clone(),
            checked: AtomicU64::new(0),
            stale: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            other: stage.other,
            other_caches: stage.other_caches,
        });
        let name = Name::new(CACHE)?;
        stage.domain.run(carry(stage.invalidator, name, commits));
        stage.domain.run(write(database));
        let other = traffic.other_caches.open_ones().next().cloned();
        let other = other.map(|cache| (cache, None));
        for (cache, hot) in std::iter::once((stage.agent, Some(stage.hot))).chain(other) {
            for _ in 0..READERS {
                let (cache, hot, clock) = (cache.clone(), hot.clone(), stage.clock.clone());
                let reader = traffic.clone().read(cache, hot, clock);
                stage.domain.run(reader);
            }
        }
        Ok(traffic)
    }

    /// One look at it.
    pub fn look(&self) -> Demo {
        let (commits, database_reads) = self.database.counts();
        Demo {
            rows: ROWS,
            commits,
            database_reads,
            checked: self.checked.load(Ordering::Relaxed),
            stale: self.stale.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            bound_ms: millis(BOUND),
            other: Member::of(&self.other, &self.other_caches),
        }
    }

    /// Reads row after row through the cache, and checks each answer.
    async fn read(
        self: Arc<Self>,
        cache: Cache<Bytes>,
        hot: Option<Arc<HotKeys>>,
        clock: Arc<dyn Clock>,
    ) {
        let reading = self.through(&cache);
        loop {
            let row = draw();
            if let Some(hot) = &hot {
                hot.saw(&cache.policy().name, key(row).as_bytes());
            }
            let began = clock.now();
            match reading.get(key(row)).await {
                Ok(value) => {
                    let value = value.as_deref().map_or(&[][..], |value| value);
                    self.checked.fetch_add(1, Ordering::Relaxed);
                    if self.database.is_stale(row, value, began) {
                        self.stale.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Err(_) => {
                    self.failed.fetch_add(1, Ordering::Relaxed);
                }
            }
            tokio::time::sleep(READ_PAUSE).await;
        }
    }

    fn through(&self, cache: &Cache<Bytes>) -> ReadThrough<Bytes> {
        let database = self.database.clone();
        cache.read_through(move |wanted: Wanted<_>| {
            let database = database.clone();
            async move {
                let row = row_of(&wanted.text());
                let value = match row {
                    Some(row) => Some(database.read(row, share()).await),
                    None => None,
                };
                Ok::<_, Infallible>(value)
            }
        })
    }
}

/// Changes one row after the other.
async fn write(database: Arc<Database>) {
    loop {
        database.commit(draw()).await;
        tokio::time::sleep(WRITE_PAUSE).await;
    }
}

/// Carries the commits to L2 and every process, as the invalidator does with a
/// real stream: each one is announced until L2 has it.
async fn carry(invalidator: Arc<Domain>, cache: Name, mut commits: mpsc::Receiver<Commit>) {
    while let Some(commit) = commits.recv().await {
        let key = key(commit.row);
        let Ok(key) = Key::new(key.as_bytes()) else {
            continue;
        };
        let position = Position::new(1, commit.offset, 0);
        let change = Change::key(&cache, key, Some(position)).dated(Some(commit.wall_ms));
        loop {
            let announced = invalidator
                .announcer()
                .announce(std::slice::from_ref(&change))
                .await;
            if matches!(announced.as_deref(), Ok([Announced::Everywhere(_)])) {
                // One after the other, so everything before is done as well.
                invalidator.done_up_to(position);
                break;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }
}

fn row_of(key: &str) -> Option<usize> {
    let row = key.strip_prefix("user:")?.parse().ok()?;
    (row < ROWS).then_some(row)
}

fn draw() -> usize {
    let row = share().powi(SKEW) * ROWS as f64;
    (row as usize).min(ROWS - 1)
}

fn share() -> f64 {
    let random: &dyn Random = &SystemRandom;
    random.share()
}
