//! A reading process: the shipping library over real servers, a caller of the agent,
//! or a cache that must fail. It reads, keeps a ledger, and answers its parent.

use super::control::Control;
use super::ear::{NotedBus, Told};
use super::history::Read;
use super::ledger::Ledger;
use super::sources::Sources;
use super::{MARK, ROWS};
use crate::reader::{Caller, Places};
use crate::rows::{key, wall_us};
use cache_core::bus::nats::NatsBus;
use cache_core::clock::{Clock, SystemClock, Tick};
use cache_core::coherence::listen::{Proof, Timing};
use cache_core::domain::Parts;
use cache_core::event::{Silent, Tier};
use cache_core::fill::Ask;
use cache_core::model::position::Position;
use cache_core::random::{Random, SystemRandom};
use cache_core::source::Wanted;
use cache_core::tier::redis::{Deployment, RedisRemote};
use cache_core::wire::codec::Bincode;
use cache_core::{Cache, Domain, Name, Policy, ReadThrough, Role};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;
use tokio::time::MissedTickBehavior;

/// The tasks that read in one process, and how many reads each makes in one go.
const READERS: usize = 2;
const BURST: usize = 8;
/// The time from one go of a reader to its next: 2,400 reads a second a process, and a
/// caller of the agent a quarter. Readers as fast as they can be would fill the machine,
/// and each lag with the time that its steps wait for a core.
const EVERY: Duration = Duration::from_micros(6_667);
/// The rows that half of all reads are about.
const HOT: u64 = 20;

/// One reading process.
pub(crate) struct Member {
    pub(crate) ledger: Ledger,
    pub(crate) told: Arc<Told>,
    pub(crate) subject: Subject,
    clock: Arc<SteppedClock>,
    /// How much slower than usual it reads.
    every: u32,
    stop: AtomicBool,
}

/// What a process reads through.
pub(crate) enum Subject {
    Library {
        domain: Arc<Domain>,
        through: ReadThrough<u64>,
    },
    Caller(Box<Caller>),
    Control(Arc<Control>),
}

/// The machine's clock, with a wall that can be turned.
#[derive(Debug, Default)]
pub(crate) struct SteppedClock {
    inner: SystemClock,
    step_ms: AtomicI64,
}

impl Clock for SteppedClock {
    fn now(&self) -> Tick {
        self.inner.now()
    }

    fn wall_ms(&self) -> u64 {
        let step = self.step_ms.load(Ordering::Relaxed);
        self.inner.wall_ms().saturating_add_signed(step)
    }
}

impl Member {
    /// The shipping library; with a standby, half of its loads are read there.
    pub(crate) async fn library(places: &Places, standby: Option<&str>) -> Arc<Self> {
        let cache = Name::new("library").expect("a name");
        let told = Arc::new(Told::new(&cache, ROWS));
        let clock = Arc::new(SteppedClock::default());
        let domain = join(places, told.clone(), clock.clone()).await;
        let mut policy = Policy::new(cache.as_str()).expect("a name");
        policy.loads_max = 1_000;
        let cache: Cache<u64> = Cache::open(&domain, policy, Bincode::default()).expect("a policy");
        let sources = Sources::connect(&places.postgres, standby).await;
        let through = cache.read_through(move |wanted: Wanted<_>| {
            let sources = sources.clone();
            async move { sources.load(wanted).await }
        });
        Self::new(told, Subject::Library { domain, through }, clock, 1)
    }

    /// A caller of the agent behind `socket`.
    pub(crate) async fn caller(places: &Places, socket: &str) -> Arc<Self> {
        let cache = Name::new("agent").expect("a name");
        let told = Arc::new(Told::new(&cache, ROWS));
        let caller = Caller::connect(socket, "agent", &places.postgres).await;
        let subject = Subject::Caller(Box::new(caller));
        Self::new(told, subject, Arc::default(), 4)
    }

    /// A cache that must fail.
    pub(crate) async fn control(places: &Places, name: &str, standby: &str) -> Arc<Self> {
        let cache = Name::new("library").expect("a name");
        let told = Arc::new(Told::new(&cache, ROWS));
        let control = Control::open(places, name, standby).await;
        Self::new(told, Subject::Control(control), Arc::default(), 1)
    }

    fn new(told: Arc<Told>, subject: Subject, clock: Arc<SteppedClock>, every: u32) -> Arc<Self> {
        let member = Arc::new(Self {
            ledger: Ledger::new(ROWS),
            told,
            subject,
            clock,
            every,
            stop: AtomicBool::new(false),
        });
        for _ in 0..READERS {
            tokio::spawn(member.clone().read_on());
        }
        member
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    /// Turns the wall clock.
    pub(crate) fn step(&self, ms: i64) {
        self.clock.step_ms.store(ms, Ordering::Relaxed);
    }

    /// Whether L1 answers, and the newest change that this process was done with.
    pub(crate) fn state(&self) -> (bool, u64) {
        let trusted = match &self.subject {
            Subject::Library { domain, .. } => domain.trust().holds(domain.clock().now()),
            Subject::Caller(_) | Subject::Control(_) => true,
        };
        (trusted, self.told.newest().offset)
    }

    /// How many rows it answers otherwise than the database, and the first of them.
    pub(crate) async fn wrong_rows(&self) -> (usize, String) {
        let mut wrong = Vec::new();
        for row in 0..ROWS {
            let newest = self.ledger.newest(row);
            match self.answer(row, Position::ZERO).await {
                Ok((version, ..)) if version == newest => {}
                other => wrong.push(format!("row {row}: {other:?} instead of {newest}")),
            }
        }
        let first = wrong.first().cloned().unwrap_or_default();
        (wrong.len(), first)
    }

    async fn read_on(self: Arc<Self>) {
        let mut go = tokio::time::interval(EVERY * self.every);
        // What a fault held up is not read twice as fast.
        go.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while !self.stop.load(Ordering::Relaxed) {
            go.tick().await;
            for _ in 0..BURST {
                self.read_one().await;
            }
        }
    }

    async fn read_one(&self) {
        let draw = SystemRandom.next();
        let among = if draw & 1 == 0 { HOT } else { ROWS as u64 };
        let row = ((draw >> 8) % among) as usize;
        // Some readers have just written, and ask for that.
        let at_least = match (&self.subject, (draw >> 4) % 16) {
            // What nobody promises, nobody breaks.
            (Subject::Control(_), _) | (_, 1..) => Position::ZERO,
            (_, 0) => self.ledger.last_place(row),
        };
        let (invalidated, beaten) = self.told.of(row);
        let began_us = wall_us();
        match self.answer(row, at_least).await {
            Ok((version, tier, as_of)) => self.ledger.read(Read {
                row,
                version,
                began_us,
                tier,
                as_of,
                invalidated,
                beaten,
                at_least,
            }),
            Err(error) => self.ledger.failed(&error),
        }
    }

    async fn answer(
        &self,
        row: usize,
        at_least: Position,
    ) -> Result<(u64, Tier, Position), String> {
        match &self.subject {
            Subject::Library { through, .. } => {
                let ask = Ask {
                    at_least,
                    ..Ask::default()
                };
                let answer = through.get_with(key(row as i64), &ask).await;
                let hit = answer.map_err(|error| error.to_string())?;
                let hit = hit.ok_or("the row is gone")?;
                Ok((*hit, hit.tier(), hit.as_of()))
            }
            Subject::Caller(caller) => caller.clone().answer(row as i64, at_least).await,
            Subject::Control(control) => control.read(row).await,
        }
    }
}

async fn join(places: &Places, told: Arc<Told>, clock: Arc<dyn Clock>) -> Arc<Domain> {
    let name = Name::new("main").expect("a name");
    let deployment = Deployment::Cluster {
        urls: places.redis.clone(),
    };
    let timeout = Duration::from_millis(200);
    let remote = RedisRemote::connect(name.clone(), &deployment, timeout).await;
    let bus = NatsBus::connect(&places.nats, "cacheaside", &name).await;
    let parts = Parts {
        name,
        remote: Arc::new(remote.expect("the cluster is up")),
        bus: Arc::new(NotedBus {
            inner: bus.expect("NATS is up"),
            told,
        }),
        clock,
        random: Arc::new(SystemRandom),
        observer: Arc::new(Silent),
        role: Role::Member,
        proof: Proof::Invalidator,
        timing: Timing::default(),
    };
    Domain::join(parts)
        .await
        .expect("NATS carries a round trip")
}

/// Answers its parent until that has no more to say.
pub(crate) async fn obey(member: Arc<Member>, mut lines: impl AsyncFnMut() -> Option<String>) {
    println!("{MARK}ready");
    while let Some(line) = lines().await {
        let words: Vec<_> = line.split(' ').collect();
        let number = |at: usize| -> u64 { words[at].parse().expect("a number") };
        match words[0] {
            "committed" => {
                let row = number(1) as usize;
                member.ledger.committed(row, number(2), number(3));
            }
            "stored" => {
                let at = Position::new(number(2) as u32, number(3), 0);
                member.ledger.stored(number(1), at, number(4));
            }
            "known" => member.ledger.known_up_to(number(1)),
            "begin" => member.ledger.begin(number(1)),
            "step" => member.step(words[1].parse().expect("milliseconds")),
            "state" => {
                let (trusted, newest) = member.state();
                println!("{MARK}state {} {newest}", u8::from(trusted));
            }
            "rest" => {
                let (wrong, first) = member.wrong_rows().await;
                println!("{MARK}rest {wrong} {first}");
            }
            "report" => {
                let mut report = member.ledger.report();
                report["done"] = serde_json::json!(member.told.take_done());
                println!("{MARK}report {report}");
            }
            "end" => break,
            other => panic!("what is {other}?"),
        }
    }
    member.stop();
}
