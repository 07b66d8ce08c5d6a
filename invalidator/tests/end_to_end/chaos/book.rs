//! The parent's book: every commit, told to all reading processes in one order, with
//! the word up to when all is told.

use super::crew::Crew;
use super::history::{Commit, History};
use super::{ROWS, TEAMS};
use crate::rows::{self, wall_us};
use cache_core::model::position::Position;
use cache_core::testkit::until::pace;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;
use tokio_postgres::Client;

/// How often processes are told.
const TOLD_EVERY: Duration = Duration::from_millis(50);
/// How often a writer that is held back looks whether it may go on.
const EVERY: Duration = Duration::from_millis(10);
/// What a commit may take from the database's answer into the book.
const MARGIN_US: u64 = 300_000;
/// The share of commits whose way to L2 is watched: one in so many.
pub(crate) const WATCHED: u64 = 25;

/// The book.
#[derive(Debug)]
pub(crate) struct Book {
    state: Mutex<State>,
    epoch: AtomicU32,
    versions: AtomicU64,
    commits: AtomicU64,
    paused: AtomicBool,
    stopped: AtomicBool,
    /// How many writers are between two commits.
    resting: AtomicU64,
}

#[derive(Debug)]
struct State {
    history: History,
    lines: String,
    /// For each event, when its commit was, since lags were last asked for.
    committed: HashMap<u64, u64>,
    newest: (u64, u64),
    to_watch: Vec<(usize, u64, u64)>,
}

impl Book {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::new(State {
                history: History::new(ROWS),
                lines: String::new(),
                committed: HashMap::new(),
                newest: (0, 0),
                to_watch: Vec::new(),
            }),
            epoch: AtomicU32::new(0),
            // 1 is what every row begins with.
            versions: AtomicU64::new(2),
            commits: AtomicU64::new(0),
            paused: AtomicBool::new(true),
            stopped: AtomicBool::new(false),
            resting: AtomicU64::new(0),
        })
    }

    /// Tells the crew what was written, for ever.
    pub(crate) async fn tell_on(self: Arc<Self>, crew: Arc<Crew>) {
        while !self.stopped.load(Ordering::Relaxed) {
            let until_us = wall_us() - MARGIN_US;
            let mut lines = std::mem::take(&mut self.state.lock().lines);
            let _ = writeln!(lines, "known {until_us}");
            crew.tell(&lines);
            pace(TOLD_EVERY).await;
        }
    }

    /// Commits rows of its share, one every `every`.
    pub(crate) async fn write_on(self: Arc<Self>, client: Client, team: usize, every: Duration) {
        let update = "UPDATE users SET version = $2 WHERE id = $1";
        let update = client.prepare(update).await.expect("the table is there");
        let mut tick = tokio::time::interval(every);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut turn = team;
        while !self.stopped.load(Ordering::Relaxed) {
            tick.tick().await;
            if self.paused.load(Ordering::Acquire) {
                self.resting.fetch_add(1, Ordering::AcqRel);
                while self.paused.load(Ordering::Acquire) && !self.stopped.load(Ordering::Relaxed) {
                    pace(EVERY).await;
                }
                self.resting.fetch_sub(1, Ordering::AcqRel);
                continue;
            }
            turn = (turn + 7 * TEAMS) % ROWS;
            let version = self.versions.fetch_add(1, Ordering::Relaxed);
            let arguments: [&(dyn tokio_postgres::types::ToSql + Sync); 2] =
                [&(turn as i64), &(version as i64)];
            let updated = client.execute(&update, &arguments).await;
            updated.expect("the primary is never touched");
            self.committed(turn, version, wall_us());
        }
    }

    fn committed(&self, row: usize, version: u64, at_us: u64) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state.lock();
        state.history.committed(row, version, at_us);
        let _ = writeln!(state.lines, "committed {row} {version} {at_us}");
    }

    /// The stream has the event of a commit.
    pub(crate) fn stored(&self, version: u64, place: u64, at_us: u64) {
        let at = Position::new(self.epoch(), place, 0);
        let mut state = self.state.lock();
        let committed_us = state.history.stored(version, at, at_us);
        // The relay may be faster than the writer's own answer.
        let committed_us = committed_us.unwrap_or(at_us);
        state.committed.insert(place, committed_us);
        state.newest = (place, at_us);
        let _ = writeln!(state.lines, "stored {version} {} {place} {at_us}", at.epoch);
        if version.is_multiple_of(WATCHED)
            && let Some(row) = state.history.row_of(version)
        {
            state.to_watch.push((row, place, committed_us));
        }
    }

    /// Every row went back to what it was at `to_us`; this epoch begins.
    pub(crate) fn restored(&self, to_us: u64, epoch: u32) {
        let now = wall_us();
        let mut state = self.state.lock();
        for row in 0..ROWS {
            let version = state.history.version_at(row, to_us);
            state.history.committed(row, version, now);
            let _ = writeln!(state.lines, "committed {row} {version} {now}");
        }
        self.epoch.store(epoch, Ordering::Release);
    }

    /// From here on the restored rows are due: somebody carries the new epoch.
    pub(crate) fn restored_is_due(&self) {
        let (now, epoch) = (wall_us(), self.epoch());
        let mut state = self.state.lock();
        for row in 0..ROWS {
            let Commit { version, .. } = state.history.newest(row);
            let at = Position::new(epoch, 0, 0);
            state.history.stored(version, at, now);
            let _ = writeln!(state.lines, "stored {version} {epoch} 0 {now}");
        }
    }

    /// Events are of this epoch from here on: those who carry them have raised it.
    pub(crate) fn goes_on_in(&self, epoch: u32) {
        self.epoch.fetch_max(epoch, Ordering::AcqRel);
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(crate) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    /// The newest event's place, and when the stream had it.
    pub(crate) fn newest_event(&self) -> (u64, u64) {
        self.state.lock().newest
    }

    /// Whether every commit's event is in the stream.
    pub(crate) fn all_stored(&self) -> bool {
        self.state.lock().history.all_stored()
    }

    /// When the commit of each event was, since this was last asked.
    pub(crate) fn take_committed(&self) -> HashMap<u64, u64> {
        std::mem::take(&mut self.state.lock().committed)
    }

    /// The events whose way to L2 is to be watched: row, place, time of the commit.
    pub(crate) fn take_to_watch(&self) -> Vec<(usize, u64, u64)> {
        std::mem::take(&mut self.state.lock().to_watch)
    }

    /// The place below which nothing of a row may be held when all is at rest.
    pub(crate) fn last_place(&self, row: usize) -> Position {
        let newest = self.state.lock().history.newest(row);
        newest.stored.map_or(Position::ZERO, |(at, _)| at)
    }

    /// Lets the writers write.
    pub(crate) fn resume(&self) {
        self.paused.store(false, Ordering::Release);
    }

    /// Holds the writers back; on return none is about to commit.
    pub(crate) async fn pause(&self) {
        self.paused.store(true, Ordering::Release);
        while self.resting.load(Ordering::Acquire) < TEAMS as u64 {
            pace(EVERY).await;
        }
    }

    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
    }
}

/// Makes the tables.
pub(crate) async fn create(client: &Client) {
    rows::create(client, ROWS as i64).await;
    super::sources::create_progress(client).await;
    let made = "CREATE TABLE restored (at timestamptz)";
    client.batch_execute(made).await.expect("the table is made");
}
