//! A library process: the shipping cache, and tasks that read and write through it.

use crate::bus::Wire;
use crate::control::{Control, Subject};
use crate::database::{From, ROWS, Row, group_of, is_absent, key, row_of, tag};
use crate::l2::Line;
use crate::lifeline::Lifeline;
use crate::queue::Reach;
use crate::time::{SimClock, pause};
use crate::weather::Weather;
use crate::world::{Timing, World};
use cache_core::event::Tier;
use cache_core::fill::Ask;
use cache_core::model::position::Position;
use cache_core::model::tag::Tag;
use cache_core::policy::Refresh;
use cache_core::source::{Cause, Due, Loaded, Wanted, WriteError};
use cache_core::strategy::cache_aside::Hit;
use cache_core::strategy::read_through::ReadThrough;
use cache_core::wire::codec::Bincode;
use cache_core::{Behind, Cache, Domain, Lookup, Name, Policy, Role, WriteBehind};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The tasks that read in each process.
const READERS: usize = 2;

/// One incarnation of a library process.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) life: Arc<Lifeline>,
    pub(crate) clock: Arc<SimClock>,
    world: Arc<World>,
    reads: Reads,
}

/// What a process reads through.
#[derive(Debug)]
enum Reads {
    Shipping {
        cache: Cache<Row>,
        through: ReadThrough<Row>,
        behind: Option<WriteBehind<Row>>,
    },
    Control(Arc<Control>),
}

impl Member {
    /// Starts a process; tries until it is in.
    pub(crate) async fn start(world: &Arc<World>, process: usize) -> Arc<Self> {
        loop {
            let life = Arc::new(Lifeline::new(process));
            world.oracle.started(process);
            let clock = Arc::new(SimClock::new(world.start));
            let Some(reads) = Self::open(world, &life, &clock).await else {
                life.crash();
                pause(Timing::default().heartbeat).await;
                continue;
            };
            let member = Arc::new(Self {
                life,
                clock,
                world: world.clone(),
                reads,
            });
            for _ in 0..READERS {
                tokio::spawn(member.clone().read_on());
            }
            return member;
        }
    }

    async fn open(
        world: &Arc<World>,
        life: &Arc<Lifeline>,
        clock: &Arc<SimClock>,
    ) -> Option<Reads> {
        if world.subject != Subject::Shipping {
            return Some(Reads::Control(Control::open(world, life).await));
        }
        let parts = world.parts(life, clock.clone(), Role::Member);
        let domain = Domain::join(parts).await.ok()?;
        let cache = Cache::open(&domain, policy(&world.sky.weather), Bincode::default())
            .expect("a good policy");
        let writes = world.sky.weather.writers_write_behind;
        let behind = writes.then(|| write_behind(&cache, world, life));
        let (world, life) = (world.clone(), life.clone());
        let loader = move |wanted: Wanted<_>| {
            let (world, life) = (world.clone(), life.clone());
            async move {
                let from = world.draw_source(wanted.at_least);
                let row = row_of(&wanted.text());
                let loaded = world.database.load(&life, row, from).await?;
                let stale = wanted.stale.map(|stale| stale.value().copied());
                // Rows hold their versions: the same content is the same version.
                match stale == Some(loaded.value) && world.sky.dice.chance(0.5) {
                    true => Ok(Loaded::unchanged().read_at(loaded.as_of)),
                    false => Ok::<_, Cause>(loaded),
                }
            }
        };
        Some(Reads::Shipping {
            through: cache.read_through(loader),
            cache,
            behind,
        })
    }

    /// Reads in every way there is, until the sky clears up.
    async fn read_on(self: Arc<Self>) {
        let dice = &self.world.sky.dice;
        while !self.world.sky.is_clear() {
            self.life.gate().await;
            let row = dice.pick(0..ROWS);
            match &self.reads {
                Reads::Control(control) => self.read_control(control, row).await,
                Reads::Shipping { cache, through, .. } => match dice.pick(0..7) {
                    0..=2 => self.read_through(through, row, 0).await,
                    3 => {
                        let at_least = self.world.database.last_place(row).unwrap_or(0);
                        self.read_through(through, row, at_least).await;
                    }
                    4 => self.get_or_load(cache, row).await,
                    5 => self.get_many(cache, row).await,
                    _ => self.look_aside(cache, row).await,
                },
            }
            pause(dice.span(0..30)).await;
        }
    }

    async fn read_control(&self, control: &Control, row: usize) {
        let begun = self.world.oracle.begin(self.life.process, row, 0);
        let from = self.world.draw_source(Position::ZERO);
        if let Some((value, tier)) = control.read(row, from).await
            && (tier != Tier::None || from == From::Primary)
        {
            let version = value.map(|(_, version)| version);
            self.world.oracle.judge(&begun, version, None, tier);
        }
    }

    async fn read_through(&self, through: &ReadThrough<Row>, row: usize, at_least: u64) {
        let begun = self.world.oracle.begin(self.life.process, row, at_least);
        let ask = Ask {
            at_least: Position::new(0, at_least, 0),
            ..Ask::default()
        };
        if let Ok(answer) = through.get_with(key(row), &ask).await {
            self.judge(&begun, answer.as_ref());
        }
    }

    async fn get_or_load(&self, cache: &Cache<Row>, row: usize) {
        let begun = self.world.oracle.begin(self.life.process, row, 0);
        let (database, life) = (self.world.database.clone(), self.life.clone());
        let load = move |_| async move { database.load(&life, row, From::Primary).await };
        if let Ok(answer) = cache.get_or_load(key(row), load).await {
            self.judge(&begun, answer.as_ref());
        }
    }

    async fn get_many(&self, cache: &Cache<Row>, row: usize) {
        let rows = [row, (row + 1) % ROWS, (row + 3) % ROWS];
        let begin = |row| self.world.oracle.begin(self.life.process, row, 0);
        let begun = rows.map(begin);
        let (database, life) = (self.world.database.clone(), self.life.clone());
        let load = move |wanted: Vec<Wanted<Row>>| {
            let (database, life) = (database.clone(), life.clone());
            async move {
                let mut all = Vec::new();
                for one in wanted {
                    let row = row_of(&one.text());
                    all.push(database.load(&life, row, From::Primary).await?);
                }
                Ok::<_, Cause>(all)
            }
        };
        let answers = cache.get_many_or_load(&rows.map(key), load).await;
        for (begun, answer) in begun.iter().zip(answers.expect("good keys")) {
            if let Ok(hit) = answer {
                self.judge(begun, hit.as_ref());
            }
        }
    }

    /// Looks, and on a miss loads and fills by itself, or forgets to.
    async fn look_aside(&self, cache: &Cache<Row>, row: usize) {
        let begun = self.world.oracle.begin(self.life.process, row, 0);
        match cache.get(key(row)).await.expect("a good key") {
            Lookup::Hit(hit) => self.judge(&begun, Some(&hit)),
            // It does not say whether a tier had it, or a flight that was joined.
            Lookup::Absent => self.judge(&begun, None),
            Lookup::Miss(ticket) => {
                let loaded: Result<Loaded<Row>, Cause> = self
                    .world
                    .database
                    .load(&self.life, row, From::Primary)
                    .await;
                if let Ok(loaded) = loaded
                    && !self.world.sky.strikes(0.2)
                {
                    let _ = ticket.fill(loaded, None).await;
                }
            }
        }
    }

    fn judge(&self, begun: &crate::oracle::Begun, answer: Option<&Hit<Row>>) {
        let tier = answer.map_or(Tier::None, Hit::tier);
        // The source's own answer is the cache's business only if it is the primary's.
        if tier != Tier::None || self.world.sky.weather.replica_loads == 0.0 {
            let version = answer.map(|hit| hit.1);
            let as_of = answer.map(Hit::as_of);
            self.world.oracle.judge(begun, version, as_of, tier);
        }
    }

    /// Invalidates what a transaction changed, without waiting for its event: the row
    /// alone, its group, or everything.
    pub(crate) async fn invalidate(&self, transaction: usize, row: usize) {
        let Reads::Shipping { cache, .. } = &self.reads else {
            return;
        };
        self.life.gate().await;
        let World {
            sky,
            database,
            oracle,
            hub,
            ..
        } = &*self.world;
        let standing = |row: usize| (row, database.version(row));
        let group = (0..ROWS).filter(|other| group_of(*other) == group_of(row));
        let (hit, done) = match sky.dice.pick(0..4) {
            0 => {
                let hit: Vec<_> = (0..ROWS).map(standing).collect();
                (hit, cache.clear().await)
            }
            1 => {
                let hit: Vec<_> = group.map(standing).collect();
                let tag = Tag::new(tag(group_of(row))).expect("a tag within its limits");
                (hit, cache.invalidate_tag(tag).await)
            }
            _ => (vec![standing(row)], cache.invalidate(key(row)).await),
        };
        // What a line that is cut swallows, nobody can know.
        if let Ok(in_l2) = done {
            let everywhere = in_l2 && !hub.is_cut(self.life.process);
            oracle.invalidated_itself(self.life.process, &hit, transaction, everywhere);
        }
    }

    /// Writes the next version of a row through the cache.
    pub(crate) async fn write_through(&self, row: usize) {
        let Reads::Shipping { cache, .. } = &self.reads else {
            return;
        };
        self.life.gate().await;
        let committed = Arc::new(OnceLock::new());
        let (world, life, notes) = (self.world.clone(), self.life.clone(), committed.clone());
        let through = cache.write_through(move |_, _: Option<Row>| {
            let (world, life, notes) = (world.clone(), life.clone(), notes.clone());
            async move { world.database.write(&life, row, &notes).await }
        });
        let receipt = through.put(key(row), (0, 0)).await;
        let World {
            oracle,
            hub,
            database,
            ..
        } = &*self.world;
        if let (Ok(receipt), Some(transaction)) = (receipt, committed.get()) {
            let version = database.version_by(row, *transaction).unwrap_or_default();
            let everywhere = receipt.position.is_some() && !hub.is_cut(self.life.process);
            let written = [(row, version)];
            oracle.invalidated_itself(self.life.process, &written, *transaction, everywhere);
        }
    }

    /// Queues a write of the next version of a row.
    pub(crate) async fn write_behind(&self, row: usize) {
        if let Reads::Shipping { behind, .. } = &self.reads
            && let Some(behind) = behind
        {
            self.life.gate().await;
            behind.put(key(row), (0, 0)).await.expect("there is room");
        }
    }

    /// What it answers when everything rests: the newest, and at `last` from a cache.
    pub(crate) async fn come_to_rest(&self, row: usize, last: bool) {
        let through = match &self.reads {
            Reads::Control(control) => return self.read_control(control, row).await,
            Reads::Shipping { through, .. } => through,
        };
        let World {
            oracle, database, ..
        } = &*self.world;
        let newest = database.version(row);
        let expected = (!is_absent(newest)).then_some((row as u64, newest));
        let process = self.life.process;
        let answer = through.get(key(row)).await;
        let found = answer.as_ref().ok().map(|hit| hit.as_deref().copied());
        if found != Some(expected) {
            oracle.violated(format!(
                "C: process {process} answers {found:?} for row {row}, not {expected:?}"
            ));
        }
        let tier = answer.ok().flatten().map(|hit| hit.tier());
        // What a writer told of and L2 took unheard is owed for longer than a run.
        let weather = &self.world.sky.weather;
        let writes = weather.writers_write_through || weather.writers_write_behind;
        let owed = weather.writers_invalidate || writes;
        let stays = !owed && !weather.short_lives;
        if last && tier == Some(Tier::None) && stays {
            oracle.violated(format!(
                "C: process {process} does not cache row {row}, though nothing is wrong"
            ));
        }
    }
}

impl World {
    /// Where the next load reads. Some loaders look whether the replica has come far
    /// enough, and some do not.
    fn draw_source(&self, at_least: Position) -> From {
        let looks = self.sky.dice.chance(0.5);
        let far_enough = !looks || self.database.replica_is_at() >= at_least;
        match self.sky.strikes(self.sky.weather.replica_loads) && far_enough {
            true => From::Replica,
            false => From::Primary,
        }
    }

    /// What a process of this world is made of.
    pub(crate) fn parts(
        &self,
        life: &Arc<Lifeline>,
        clock: Arc<SimClock>,
        role: Role,
    ) -> cache_core::domain::Parts {
        cache_core::domain::Parts {
            name: Name::new("main").expect("a name within its limits"),
            remote: Arc::new(Line::new(self.l2.clone(), life.clone())),
            bus: Arc::new(Wire {
                hub: self.hub.clone(),
                life: life.clone(),
            }),
            clock,
            random: Arc::new(self.sky.dice.clone()),
            observer: self.observed.clone(),
            role,
            proof: cache_core::coherence::listen::Proof::Invalidator,
            timing: Timing::default(),
        }
    }
}

/// Row by row, each by a commit of its own: what breaks off leaves some of them written.
fn write_behind(cache: &Cache<Row>, world: &Arc<World>, life: &Arc<Lifeline>) -> WriteBehind<Row> {
    let queue = Arc::new(Reach {
        queue: world.queue.clone(),
        life: life.clone(),
    });
    let (world, life) = (world.clone(), life.clone());
    let writer = move |all: Vec<Due<Row>>| {
        let (world, life) = (world.clone(), life.clone());
        async move {
            let mut written = Vec::new();
            for due in all {
                let row = row_of(&String::from_utf8_lossy(&due.key));
                let loaded = world.database.write(&life, row, &OnceLock::new()).await;
                match loaded {
                    Ok(loaded) => {
                        let tells = world.sky.dice.chance(0.7);
                        written.push(tells.then_some(loaded));
                    }
                    Err(WriteError::NotWritten(cause)) if !written.is_empty() => {
                        return Err(WriteError::Uncertain(cause));
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(written)
        }
    };
    let settings = Behind {
        batch: 3,
        age: Duration::from_millis(30),
        backoff: Duration::from_millis(20),
        backoff_max: Duration::from_millis(200),
        ..Behind::default()
    };
    let behind = cache.write_behind(queue, writer, settings);
    behind.expect("good settings")
}

fn policy(weather: &Weather) -> Policy {
    let mut policy = Policy::new("rows").expect("a name within its limits");
    if weather.short_lives {
        policy.lifetime.ttl = Duration::from_millis(300);
        policy.lifetime.negative_ttl = Duration::from_millis(200);
        policy.lifetime.l1_ttl = Duration::from_millis(150);
        policy.lifetime.stale_ttl = Duration::from_secs(1);
        policy.soft_timeout = Duration::from_millis(20);
        policy.refresh = Some(Refresh::default());
        policy.load_backoff = Duration::from_millis(100);
    }
    policy.load_timeout = Duration::from_millis(500);
    policy.write_timeout = Duration::from_millis(500);
    policy.lease = Duration::from_millis(700);
    policy.wait = Duration::from_millis(150);
    policy
}
