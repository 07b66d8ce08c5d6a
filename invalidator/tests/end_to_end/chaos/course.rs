//! One course of faults: strike, recover, come to rest, judge.

use super::book::Book;
use super::control;
use super::crew::Crew;
use super::faults::{ALONE, BOUND, Fault, MIXED, Scene};
use super::report::{Phase, Report};
use super::servers::Servers;
use super::{ROWS, SEATS, Seat, TEAMS, relay};
use crate::lags::Lags;
use crate::process::Process;
use crate::rows::{self, wall_us};
use cache_core::clock::{Clock, SystemClock};
use cache_core::testkit::until::{pace, until};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::Child;
use tokio::task::JoinSet;

/// How long recovering, and coming to rest, may take at the very most.
const PATIENCE: Duration = Duration::from_secs(40);
/// What the judge waits for after the last commit: the book's margin, and the way.
const SETTLE: Duration = Duration::from_millis(700);
/// How soon a fresh change reaches everybody when all is normal.
const FRESH: Duration = Duration::from_millis(150);
/// The rows whose ways to L2 stand for all shards.
const PROBED: usize = 16;
/// The commits of a long course, in a second.
const RATE: u64 = 500;

/// Everything, running.
pub(crate) struct Course {
    scene: Arc<Scene>,
    to_l2: Arc<Mutex<Lags>>,
    clock: SystemClock,
    tasks: JoinSet<()>,
    _agent: Option<Process>,
    _decoder: Child,
}

impl Course {
    /// Starts everything: the shipping cache, or a control.
    pub(crate) async fn prepare(control: Option<&'static str>) -> Self {
        let servers = Servers::start().await;
        let (book, crew) = (Book::new(), Arc::new(Crew::default()));
        let places = servers.places();
        let decoder = relay::start(&places.postgres, &places.nats, book.clone()).await;
        let standby = servers.standby.connect_string();
        let mut tasks = JoinSet::new();
        let packed = places.pack();
        let mut agent = None;
        if let Some(name) = control {
            tasks.spawn(control::carry(places));
            let role = format!("chaos|control|{name}|{standby}|{packed}");
            crew.hire(Seat::Control(name), role).await;
        } else {
            servers.start_invalidators(0).await;
            for seat in SEATS {
                // One reads the primary alone, two the standby too.
                let standby = if seat == SEATS[0] { "" } else { &standby };
                let role = format!("chaos|library|{standby}|{packed}");
                crew.hire(seat, role).await;
            }
            let socket = servers.folder.path().join("agent.sock");
            let socket = socket.display();
            agent = Some(Process::start(format!("agent|{socket}|{packed}")).await);
            let role = format!("chaos|caller|{socket}|{packed}");
            crew.hire(Seat::Caller, role).await;
        }
        let scene = Arc::new(Scene {
            servers,
            crew: crew.clone(),
            book: book.clone(),
        });
        tasks.spawn(book.tell_on(crew));
        let to_l2 = Arc::new(Mutex::new(Lags::default()));
        if control.is_none() {
            tasks.spawn(watch_l2(scene.clone(), to_l2.clone()));
        }
        Self {
            scene,
            to_l2,
            clock: SystemClock::new(),
            tasks,
            _agent: agent,
            _decoder: decoder,
        }
    }

    /// Strikes with each fault of a plan once, at so many commits a second.
    pub(crate) async fn run(mut self, plan: &[Fault], rate: u64) -> Report {
        self.write(rate).await;
        let mut phases = Vec::new();
        for fault in plan {
            phases.push(self.phase(*fault).await);
        }
        self.finish(phases)
    }

    /// Strikes round by round until the time is over, and at least once with each.
    pub(crate) async fn run_for(mut self, span: Duration) -> Report {
        self.write(RATE).await;
        let end = self.clock.now().after(span);
        let mut phases = Vec::new();
        let calm = [Fault::Calm; 3].into_iter();
        for fault in calm.chain(ALONE).chain(MIXED).cycle() {
            let rounds = phases.len() / (3 + ALONE.len() + MIXED.len());
            if rounds > 0 && self.clock.now() >= end {
                break;
            }
            phases.push(self.phase(fault).await);
        }
        self.finish(phases)
    }

    /// Strikes until the judge has found something; what, by which fault, how soon.
    pub(crate) async fn run_until_found(
        mut self,
        plan: &[Fault],
    ) -> Option<(String, Duration, String)> {
        self.write(200).await;
        let began = self.clock.now();
        let Scene { book, crew, .. } = &*self.scene;
        for fault in plan {
            crew.tell(&format!("begin {}\n", fault.bound().as_micros()));
            book.resume();
            self.scene.strike(*fault).await;
            pace(BOUND + SETTLE).await;
            let phase = self.report(*fault).await;
            if phase.violations() > 0 {
                let after = self.clock.now().since(began);
                let what = phase.told.first().cloned().unwrap_or_default();
                return Some((fault.name(), after, what));
            }
        }
        None
    }

    async fn write(&mut self, rate: u64) {
        let every = Duration::from_secs(1) * TEAMS as u32 / rate as u32;
        for team in 0..TEAMS {
            let client = rows::connect(&self.scene.servers.primary.connect_string()).await;
            let book = self.scene.book.clone();
            self.tasks.spawn(book.write_on(client, team, every));
        }
    }

    async fn phase(&self, fault: Fault) -> Phase {
        let Scene { book, crew, .. } = &*self.scene;
        let began = self.clock.now();
        crew.tell(&format!("begin {}\n", fault.bound().as_micros()));
        book.resume();
        self.scene.strike(fault).await;
        let healed = self.clock.now();
        let normal = until(PATIENCE, "everything is normal again", || self.is_normal()).await;
        let recovery = self.clock.now().since(healed);
        book.pause().await;
        let wrong = self.come_to_rest().await;
        pace(SETTLE).await;
        let mut phase = self.report(fault).await;
        phase.seconds = self.clock.now().since(began).as_secs_f64();
        phase.recovery_ms = normal.is_ok().then_some(recovery.as_millis() as u64);
        phase.wrong = wrong;
        println!("{}", phase.line());
        phase
    }

    /// Whether all L1s are trusted, a change made just now has reached them, and every
    /// shard answers.
    async fn is_normal(&self) -> bool {
        let Scene {
            servers,
            crew,
            book,
        } = &*self.scene;
        let (place, _) = book.newest_event();
        pace(FRESH).await;
        if book.newest_event().0 == place {
            return false;
        }
        for (seat, state) in crew.ask("state").await {
            let fresh = match state.split_once(' ') {
                Some(("1", newest)) => newest.parse().is_ok_and(|newest: u64| newest >= place),
                _ => false,
            };
            if !fresh && seat != Seat::Caller {
                return false;
            }
        }
        for row in 0..PROBED {
            if servers.reached("library", row).await.is_none() {
                return false;
            }
        }
        true
    }

    /// C: nobody writes, everything is handled, and then everybody holds the newest or
    /// nothing. Returns what does not.
    async fn come_to_rest(&self) -> Vec<String> {
        let Scene {
            servers,
            crew,
            book,
        } = &*self.scene;
        let handled = || async { book.all_stored() && servers.all_done().await };
        if let Err(error) = until(PATIENCE, "every change is handled", handled).await {
            return vec![error.to_string()];
        }
        // The last messages are on their way.
        pace(FRESH).await;
        let mut wrong = Vec::new();
        for (seat, answer) in crew.ask("rest").await {
            let (count, first) = answer.split_once(' ').unwrap_or((&answer, ""));
            if count != "0" {
                wrong.push(format!("C: {seat:?} answers {count} rows wrongly: {first}"));
            }
        }
        let mut epoch = 0;
        for row in 0..ROWS {
            let newest = book.last_place(row);
            for cache in ["library", "agent"] {
                let reached = servers.reached(cache, row).await;
                epoch = epoch.max(reached.map_or(0, |reached| reached.epoch));
                if reached.is_none_or(|reached| reached < newest) {
                    wrong.push(format!(
                        "I1: L2 admits {reached:?} of row {row} in {cache}, below {newest}"
                    ));
                }
            }
        }
        servers.replicas_go_on_in(epoch).await;
        book.goes_on_in(epoch);
        wrong.truncate(5);
        wrong
    }

    /// What the processes say of the phase that ends here.
    async fn report(&self, fault: Fault) -> Phase {
        let Scene { crew, book, .. } = &*self.scene;
        let committed = book.take_committed();
        let mut phase = Phase::new(fault, book.commits());
        let mut last: HashMap<u64, (usize, u64)> = HashMap::new();
        for (seat, answer) in crew.ask("report").await {
            let answer: serde_json::Value = serde_json::from_str(&answer).expect("a report");
            phase.add(seat, &answer);
            for (place, at_us) in answer["done"].as_object().into_iter().flatten() {
                let place = place.parse().expect("a place");
                let (count, latest) = last.entry(place).or_default();
                *count += 1;
                *latest = at_us.as_u64().unwrap_or_default().max(*latest);
            }
        }
        let everywhere = last.iter().filter(|(_, (count, _))| *count == SEATS.len());
        let lag = |(place, (_, at_us)): (&u64, &(usize, u64))| {
            let committed_us = committed.get(place)?;
            Some(at_us.saturating_sub(*committed_us))
        };
        phase.to_l1 = Lags(everywhere.filter_map(lag).collect());
        phase.to_l2 = std::mem::take(&mut *self.to_l2.lock());
        phase
    }

    fn finish(self, phases: Vec<Phase>) -> Report {
        self.scene.book.stop();
        self.scene.crew.tell("end\n");
        Report { phases }
    }
}

/// Looks at L2 until it refuses everything before a change, one change in so many.
async fn watch_l2(scene: Arc<Scene>, lags: Arc<Mutex<Lags>>) {
    let mut watching = JoinSet::new();
    loop {
        for (row, place, committed_us) in scene.book.take_to_watch() {
            let (scene, lags) = (scene.clone(), lags.clone());
            watching.spawn(async move {
                let looks = async {
                    let reached = || scene.servers.reached("library", row);
                    while reached().await.is_none_or(|reached| reached.offset < place) {
                        pace(Duration::from_millis(1)).await;
                    }
                };
                if tokio::time::timeout(PATIENCE, looks).await.is_ok() {
                    lags.lock().0.push(wall_us().saturating_sub(committed_us));
                }
            });
        }
        while watching.try_join_next().is_some() {}
        pace(Duration::from_millis(2)).await;
    }
}
