//! The source of record of a run: a primary, a replica that lags, and the relay that
//! brings commits into the stream.

use crate::lifeline::Lifeline;
use crate::sky::Sky;
use crate::stream::Stream;
use crate::time::pause;
use cache_core::model::as_of::AsOf;
use cache_core::model::key::{Key, KeySpace, Name};
use cache_core::model::position::Position;
use cache_core::model::tag::Tag;
use cache_core::source::{Cause, Loaded, WriteError};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::Notify;

/// The rows of the database.
pub(crate) const ROWS: usize = 6;
/// The buckets that all rows are in.
const SHARED_BUCKETS: usize = 2;
/// The groups that rows are in, each with a tag.
pub(crate) const GROUPS: usize = 2;

/// A row as it is cached: its number and its version.
pub(crate) type Row = (u64, u64);

/// One transaction.
#[derive(Clone, Debug)]
struct Commit {
    rows: Vec<usize>,
    payload: String,
    /// Its first place in the stream.
    place: Option<u64>,
}

#[derive(Debug, Default)]
struct State {
    log: Vec<Commit>,
    /// How much of the log the relay has published.
    relayed: usize,
    /// How much of the log the replica has replayed.
    replayed: usize,
}

/// The database.
#[derive(Debug)]
pub(crate) struct Database {
    state: Mutex<State>,
    stalled: AtomicBool,
    committed: Notify,
    sky: Arc<Sky>,
}

/// Where a loader reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    Primary,
    Replica,
}

impl Database {
    pub(crate) fn new(sky: Arc<Sky>) -> Self {
        Self {
            state: Mutex::default(),
            stalled: AtomicBool::new(false),
            committed: Notify::new(),
            sky,
        }
    }

    /// Commits one row's next version; returns the transaction's number.
    pub(crate) fn commit(&self, row: usize) -> usize {
        let payload = format!(
            r#"{{"cacheaside": 1, "cache": "rows", "keys": ["{}"]}}"#,
            key(row)
        );
        self.push(vec![row], payload)
    }

    /// Commits the next version of every row of a group, which the event names by
    /// its tag.
    pub(crate) fn commit_group(&self, group: usize) -> usize {
        let payload = format!(
            r#"{{"cacheaside": 1, "cache": "rows", "tags": ["{}"]}}"#,
            tag(group)
        );
        self.push(
            (0..ROWS).filter(|row| group_of(*row) == group).collect(),
            payload,
        )
    }

    fn push(&self, rows: Vec<usize>, payload: String) -> usize {
        let mut state = self.state.lock();
        state.log.push(Commit {
            rows,
            payload,
            place: None,
        });
        self.committed.notify_one();
        state.log.len() - 1
    }

    /// Stops the replica's replay, or lets it go on.
    pub(crate) fn stall(&self, stalled: bool) {
        self.stalled.store(stalled, Ordering::Relaxed);
    }

    pub(crate) fn version(&self, row: usize) -> u64 {
        let state = self.state.lock();
        state.version(row, state.log.len())
    }

    /// The version of a row that contains every change up to an offset.
    pub(crate) fn version_at(&self, row: usize, offset: u64) -> u64 {
        let state = self.state.lock();
        let upto = state
            .log
            .partition_point(|one| one.place.is_some_and(|place| place <= offset));
        state.version(row, upto)
    }

    /// The version that a transaction made of a row, if it changed it.
    pub(crate) fn version_by(&self, row: usize, transaction: usize) -> Option<u64> {
        let state = self.state.lock();
        let changed = state.log[transaction].rows.contains(&row);
        changed.then(|| state.version(row, transaction + 1))
    }

    /// The transactions whose event came to a place by the relay's first attempt.
    pub(crate) fn transaction_at(&self, place: u64) -> Option<usize> {
        let state = self.state.lock();
        state.log.iter().position(|one| one.place == Some(place))
    }

    /// The offset of the last commit of a row that is in the stream.
    pub(crate) fn last_place(&self, row: usize) -> Option<u64> {
        let state = self.state.lock();
        let mut commits = state.log.iter().rev();
        commits.find_map(|one| one.place.filter(|_| one.rows.contains(&row)))
    }

    /// How far the replica has come.
    pub(crate) fn replica_is_at(&self) -> Position {
        self.state.lock().replay_position()
    }

    /// Whether every commit is in the stream and in the replica.
    pub(crate) fn is_at_rest(&self) -> bool {
        let state = self.state.lock();
        state.relayed == state.log.len() && state.replayed == state.log.len()
    }

    /// Reads one row, as a loader does: on its way, at one moment, and back.
    pub(crate) async fn load(
        &self,
        life: &Lifeline,
        row: usize,
        from: From,
    ) -> Result<Loaded<Row>, Cause> {
        let Sky { dice, weather, .. } = &*self.sky;
        pause(dice.span(0..weather.load_millis)).await;
        life.gate().await;
        if self.sky.strikes(0.01) {
            return Err("the simulated source refused".into());
        }
        let (version, as_of) = {
            let state = self.state.lock();
            match from {
                From::Primary => (state.version(row, state.log.len()), AsOf::Leased),
                From::Replica => (
                    state.version(row, state.replayed),
                    AsOf::Position(state.replay_position()),
                ),
            }
        };
        pause(dice.span(0..weather.load_millis)).await;
        life.gate().await;
        Ok(row_at(row, version).read_at(as_of))
    }

    /// Writes the next version of a row, as a writer does: on its way, by one commit, and
    /// back. `committed` is the transaction.
    pub(crate) async fn write(
        &self,
        life: &Lifeline,
        row: usize,
        committed: &OnceLock<usize>,
    ) -> Result<Loaded<Row>, WriteError> {
        let Sky { dice, weather, .. } = &*self.sky;
        pause(dice.span(0..weather.load_millis)).await;
        life.gate().await;
        if self.sky.strikes(0.05) {
            return Err(WriteError::not_written("the simulated source refused"));
        }
        let hangs = self.sky.strikes(0.05);
        if hangs && dice.chance(0.5) {
            return std::future::pending().await;
        }
        let transaction = self.commit(row);
        if hangs {
            return std::future::pending().await;
        }
        if self.sky.strikes(0.05) {
            return Err(WriteError::Uncertain(
                "the simulated source broke off".into(),
            ));
        }
        let version = self.version_by(row, transaction).unwrap_or_default();
        let _ = committed.set(transaction);
        pause(dice.span(0..weather.load_millis)).await;
        life.gate().await;
        // Some sources tell where in the stream a commit is, a little later.
        let mut as_of = AsOf::Leased;
        if dice.chance(0.3) {
            while as_of == AsOf::Leased {
                pause(Duration::from_millis(5)).await;
                let place = self.state.lock().log[transaction].place;
                as_of = place.map_or(as_of, |at| AsOf::Position(Position::new(0, at, 0)));
            }
        }
        Ok(row_at(row, version).read_at(as_of))
    }

    /// Replays on the replica, for ever.
    pub(crate) async fn replay(self: Arc<Self>) {
        loop {
            pause(self.sky.dice.span(1..self.sky.weather.replica_millis)).await;
            if self.stalled.load(Ordering::Relaxed) && !self.sky.is_clear() {
                continue;
            }
            let mut state = self.state.lock();
            state.replayed = match self.sky.strikes(0.5) {
                true => state.log.len().min(state.replayed + 1),
                false => state.log.len(),
            };
        }
    }

    /// Brings commits into the stream, in their order, for ever.
    pub(crate) async fn relay(self: Arc<Self>, stream: Arc<Stream>) {
        loop {
            let next = {
                let state = self.state.lock();
                state.log.get(state.relayed).cloned()
            };
            let Some(commit) = next else {
                self.committed.notified().await;
                continue;
            };
            pause(self.sky.dice.span(1..self.sky.weather.relay_millis)).await;
            let place = stream.publish(commit.payload);
            let mut state = self.state.lock();
            let at = state.relayed;
            state.log[at].place = Some(place);
            state.relayed += 1;
        }
    }

    /// The relay lost its own place and publishes its last events again.
    pub(crate) fn repeat(&self, stream: &Stream, count: usize) {
        let state = self.state.lock();
        let from = state.relayed.saturating_sub(count);
        for commit in &state.log[from..state.relayed] {
            stream.publish(commit.payload.clone());
        }
    }
}

impl State {
    fn version(&self, row: usize, upto: usize) -> u64 {
        let commits = self.log[..upto].iter();
        commits.filter(|one| one.rows.contains(&row)).count() as u64
    }

    /// Commits come into the stream in their order, so the last one that has a
    /// place stands for all before it.
    fn replay_position(&self) -> Position {
        let mut replayed = self.log[..self.replayed].iter().rev();
        let place = replayed.find_map(|one| one.place).unwrap_or(0);
        Position::new(0, place, 0)
    }
}

/// A version of a row as it is cached.
fn row_at(row: usize, version: u64) -> Loaded<Row> {
    let value = (!is_absent(version)).then_some((row as u64, version));
    let tag = Tag::new(tag(group_of(row))).expect("a tag within its limits");
    Loaded::from(value).tagged([tag])
}

/// Some versions of every row are its absence: deleted, and inserted again.
pub(crate) fn is_absent(version: u64) -> bool {
    version % 5 == 3
}

/// The key of a row. Rows share two buckets between them, since much that can go
/// wrong with one key only shows when its neighbour changes.
pub(crate) fn key(row: usize) -> &'static str {
    static KEYS: OnceLock<Vec<String>> = OnceLock::new();
    let keys = KEYS.get_or_init(|| (0..ROWS).map(key_in_shared_bucket).collect());
    &keys[row]
}

fn key_in_shared_bucket(row: usize) -> String {
    let mut keys = (0..).map(|turn| format!("row:{row}:{turn}"));
    let shared = |key: &String| {
        let key = Key::new(key.as_bytes()).expect("a key within its limits");
        space().hash(key).bucket().index() == row % SHARED_BUCKETS
    };
    keys.find(shared).expect("every bucket has keys")
}

/// The row of a key.
pub(crate) fn row_of(key: &str) -> usize {
    let row = key.split(':').nth(1).expect("a key of a row");
    row.parse().expect("a key of a row")
}

/// The keys of the one cache.
pub(crate) fn space() -> KeySpace {
    let name = |text| Name::new(text).expect("a name within its limits");
    KeySpace::new(name("main"), name("rows"))
}

pub(crate) fn group_of(row: usize) -> usize {
    row % GROUPS
}

pub(crate) fn tag(group: usize) -> String {
    format!("group:{group}")
}

/// How long the relay and the replica need at most, once the sky is clear.
pub(crate) const REST_PATIENCE: Duration = Duration::from_secs(30);
