//! Everything that one run is made of, and its course: start, trouble, rest.

use crate::bus::Hub;
use crate::carrier::Carrier;
use crate::control::Subject;
use crate::count::{Count, Observed};
use crate::database::{Database, GROUPS, REST_PATIENCE, ROWS};
use crate::dice::Dice;
use crate::l2::L2;
use crate::member::Member;
use crate::nemesis;
use crate::oracle::{BOUND, Oracle, Verdict};
use crate::sky::Sky;
use crate::stream::Stream;
use crate::time::{SimClock, pause};
use crate::weather::Weather;
use cache_core::clock::Clock;
use cache_core::queue::Queue;
use cache_core::queue::memory::MemoryQueue;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The library processes.
pub(crate) const MEMBERS: usize = 3;
/// More than is ever written behind in a run.
const QUEUE_BYTES: usize = 1_000_000;
/// How long the trouble lasts.
const TROUBLE: Duration = Duration::from_millis(2_500);

/// How often and how long: faster than the defaults, so that more meets in a run.
pub(crate) struct Timing;

impl Timing {
    pub(crate) fn default() -> cache_core::coherence::listen::Timing {
        cache_core::coherence::listen::Timing {
            heartbeat: Duration::from_millis(200),
            trust: Duration::from_millis(800),
        }
    }
}

/// One run's world.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) subject: Subject,
    pub(crate) start: Instant,
    pub(crate) sky: Arc<Sky>,
    pub(crate) oracle: Arc<Oracle>,
    pub(crate) l2: Arc<L2>,
    pub(crate) hub: Arc<Hub>,
    pub(crate) database: Arc<Database>,
    pub(crate) stream: Arc<Stream>,
    pub(crate) queue: Arc<MemoryQueue>,
    pub(crate) observed: Arc<Observed>,
    pub(crate) members: Mutex<Vec<Arc<Member>>>,
    pub(crate) carriers: Mutex<Vec<Carrier>>,
}

/// Runs one seed from its start to its rest.
pub(crate) fn run(subject: Subject, seed: u64, tells: bool, count: &Count) -> Verdict {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime of one thread");
    let verdict = runtime.block_on(async {
        let world = World::new(subject, seed, tells);
        world.live().await;
        world.oracle.inspected(world.observed.count.violated());
        for broken in world.observed.broken() {
            world.oracle.violated(format!("series: {broken}"));
        }
        count.add(&world.observed.count);
        // They hold the world, and the world holds them.
        world.members.lock().clear();
        world.oracle.verdict()
    });
    // Dead processes wait for ever; nobody waits for them.
    runtime.shutdown_background();
    verdict
}

impl World {
    fn new(subject: Subject, seed: u64, tells: bool) -> Arc<Self> {
        let dice = Dice::new(seed);
        let weather = Weather::draw(&dice);
        let replica_loads = weather.replica_loads > 0.0;
        let sky = Arc::new(Sky::new(dice.clone(), weather));
        let start = Instant::now();
        let oracle = Arc::new(Oracle::new(start, replica_loads, tells));
        oracle.say(|| format!("seed {seed}: {:?}", sky.weather));
        let clock: Arc<dyn Clock> = Arc::new(SimClock::new(start));
        let database = Arc::new(Database::new(sky.clone()));
        oracle.watch(database.clone());
        Arc::new(Self {
            subject,
            start,
            l2: Arc::new(L2::new(clock.clone(), sky.clone(), oracle.clone())),
            hub: Arc::new(Hub::new(sky.clone(), oracle.clone())),
            queue: Arc::new(MemoryQueue::new(clock.clone(), QUEUE_BYTES)),
            stream: Arc::new(Stream::new(clock, sky.clone(), oracle.clone())),
            database,
            observed: Arc::new(Observed::new(seed)),
            members: Mutex::default(),
            carriers: Mutex::default(),
            oracle,
            sky,
        })
    }

    async fn live(self: &Arc<Self>) {
        if !self.sky.weather.l2_is_new {
            self.l2.begin();
        }
        for process in 0..self.sky.weather.invalidators {
            let carrier = Carrier::start(self, MEMBERS + process).await;
            self.carriers.lock().push(carrier);
        }
        for process in 0..MEMBERS {
            let member = Member::start(self, process).await;
            self.members.lock().push(member);
        }
        tokio::spawn(self.database.clone().replay());
        tokio::spawn(self.database.clone().relay(self.stream.clone()));
        let writing = tokio::spawn(self.clone().write_on());
        let striking = tokio::spawn(nemesis::strike_on(self.clone()));
        pause(TROUBLE).await;
        self.sky.clear_up();
        for task in [writing, striking] {
            task.await.expect("it ends when the sky is clear");
        }
        self.rest().await;
    }

    /// Commits now and then, until the sky clears up.
    async fn write_on(self: Arc<Self>) {
        let dice = &self.sky.dice;
        while !self.sky.is_clear() {
            let row = dice.pick(0..ROWS);
            if self.sky.weather.writers_write_through && dice.chance(0.5) {
                let writer = self.members.lock()[dice.pick(0..MEMBERS)].clone();
                tokio::spawn(async move { writer.write_through(row).await });
                pause(dice.span(1..150)).await;
                continue;
            }
            if self.sky.weather.writers_write_behind && dice.chance(0.5) {
                let writer = self.members.lock()[dice.pick(0..MEMBERS)].clone();
                tokio::spawn(async move { writer.write_behind(row).await });
                pause(dice.span(1..150)).await;
                continue;
            }
            let whole_group = !self.sky.weather.writers_invalidate && dice.chance(0.15);
            let transaction = match whole_group {
                true => self.database.commit_group(row % GROUPS),
                false => self.database.commit(row),
            };
            self.oracle
                .say(|| format!("transaction {transaction} changes row {row}"));
            if self.sky.weather.writers_invalidate {
                let writer = self.members.lock()[dice.pick(0..MEMBERS)].clone();
                tokio::spawn(async move { writer.invalidate(transaction, row).await });
            }
            pause(dice.span(1..150)).await;
        }
    }

    /// Whether the database has all that was written behind.
    async fn is_written(&self) -> bool {
        let backlog = self.queue.backlog().await;
        backlog.is_ok_and(|backlog| backlog.waiting == 0)
    }

    /// C: nobody writes, everything is handled, and then everybody has the newest, and
    /// soon in a cache. Not at once, since a bucket that only one process knows to be
    /// behind is found by its first read, and mended a heartbeat later.
    async fn rest(&self) {
        let give_up = Instant::now() + REST_PATIENCE;
        while !(self.is_written().await && self.database.is_at_rest() && self.stream.is_done()) {
            if Instant::now() > give_up {
                self.oracle
                    .violated("C: some event is not done, though nothing is wrong".to_owned());
                return;
            }
            pause(Timing::default().heartbeat).await;
        }
        pause(2 * BOUND).await;
        self.oracle.say(|| "all is at rest".to_owned());
        let members = self.members.lock().clone();
        for turn in 0..4 {
            if turn == 2 {
                pause(3 * Timing::default().heartbeat).await;
            }
            for member in &members {
                for row in 0..ROWS {
                    member.come_to_rest(row, turn == 3).await;
                }
            }
        }
    }
}
