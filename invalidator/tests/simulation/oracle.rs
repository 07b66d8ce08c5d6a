//! The oracle: it knows every commit and everything that every process was told, and
//! judges every read by it.
//!
//! | | a cached answer of a read that began after … holds at least |
//! | --- | --- |
//! | I2, I4 | this process was done with an invalidation: the change it was about |
//! | I3 | this process heard heartbeat W: what L2 had applied when W was written |
//! | own | this process invalidated by itself: what was committed before that (1) |
//! | I5 | the reader asked for a position: every change up to it |
//! | as-of | (always): every change up to its own as-of |
//! | B | a change was announced, and the bound passed without a fault: that change |
//!
//! (1) A value that may be a replica's, only while its as-of is not past the offset beside
//! which that change was placed: no replica can tell whether it has it (decision 5).
//!
//! I1 is looked at in [`crate::l2`] after every step, and C when everything rests.

use crate::database::{Database, ROWS, group_of, is_absent, key, space, tag};
use cache_core::event::Tier;
use cache_core::model::key::{Address, BUCKETS, Bucket, Key};
use cache_core::model::position::Position;
use cache_core::model::tag::Tag;
use cache_core::wire::invalidation::{Content, Message, Target};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long after its announcement a change may go unnoticed while nothing is broken:
/// trust (800 ms) runs out, then a heartbeat (200 ms) and two ways over the bus.
pub(crate) const BOUND: Duration = Duration::from_millis(1_400);
/// The most violations told of one run.
const TOLD_MAX: usize = 5;

/// What one process has been told and was done with.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Told {
    /// The offset of the highest invalidation of each row.
    invalidated: [u64; ROWS],
    /// What L2 held of each row when the highest heartbeat was written.
    beaten: [u64; ROWS],
    /// The version of each row when this process last invalidated it by itself.
    own: [u64; ROWS],
}

/// A read that was begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    process: usize,
    row: usize,
    at: Instant,
    told: Told,
    /// The offset of the row's last change without one.
    local: u64,
    at_least: u64,
}

#[derive(Debug, Default)]
struct State {
    told: HashMap<usize, Told>,
    /// The offset beside which L2 placed the last change of each row that had none.
    locals: [u64; ROWS],
    /// For each heartbeat, the floors that L2 had when it was first written.
    beats: HashMap<u64, [Option<u64>; ROWS]>,
    /// When each transaction was announced, in L2 and on the bus.
    announced: HashMap<usize, Instant>,
    /// Until when something was broken that the bound does not cover.
    broken: Option<Instant>,
    violations: Vec<String>,
    /// Whether L2 ever lost writes.
    lost_writes: bool,
    story: Vec<String>,
    reads: u64,
}

/// The oracle of one run.
#[derive(Debug)]
pub(crate) struct Oracle {
    start: Instant,
    state: Mutex<State>,
    database: Mutex<Option<Arc<Database>>>,
    rows: [Address; ROWS],
    in_rows: [bool; BUCKETS],
    /// The tags of each row.
    tags: [[Address; 2]; ROWS],
    replica_loads: bool,
    /// Whether the story is written down: it costs more than the run itself.
    tells: bool,
}

/// What a run ended with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) reads: u64,
    pub(crate) violations: Vec<String>,
    pub(crate) story: Vec<String>,
}

impl Oracle {
    pub(crate) fn new(start: Instant, replica_loads: bool, tells: bool) -> Self {
        let space = space();
        let all = space.tag_address(&Tag::all());
        let group = |row| Tag::new(tag(group_of(row))).expect("a tag within its limits");
        let rows: [Address; ROWS] = std::array::from_fn(|row| {
            space.address(Key::new(key(row).as_bytes()).expect("a key within its limits"))
        });
        let mut in_rows = [false; BUCKETS];
        rows.iter()
            .for_each(|row| in_rows[row.bucket.index()] = true);
        Self {
            in_rows,
            rows,
            tags: std::array::from_fn(|row| [space.tag_address(&group(row)), all.clone()]),
            replica_loads,
            start,
            state: Mutex::default(),
            database: Mutex::default(),
            tells,
        }
    }

    /// The database whose commits it knows.
    pub(crate) fn watch(&self, database: Arc<Database>) {
        *self.database.lock() = Some(database);
    }

    fn database(&self) -> Arc<Database> {
        self.database.lock().clone().expect("a database is watched")
    }

    pub(crate) fn address(&self, row: usize) -> &Address {
        &self.rows[row]
    }

    pub(crate) fn has_rows(&self, bucket: Bucket) -> bool {
        self.in_rows[bucket.index()]
    }

    /// Writes down what happened, if this run is told.
    pub(crate) fn say(&self, line: impl FnOnce() -> String) {
        if self.tells {
            let at = self.start.elapsed().as_millis();
            let line = format!("{at:>6} ms  {}", line());
            self.state.lock().story.push(line);
        }
    }

    pub(crate) fn violated(&self, what: String) {
        self.say(|| format!("VIOLATED {what}"));
        let at = self.start.elapsed().as_millis();
        let mut state = self.state.lock();
        if state.violations.len() < TOLD_MAX {
            state.violations.push(format!("at {at} ms: {what}"));
        }
    }

    /// L2 lost writes: the bound counts from here again.
    pub(crate) fn l2_lost_writes(&self) {
        self.state.lock().lost_writes = true;
        self.broken_until(Instant::now());
    }

    /// The inspectors found so much too old, in L2 and in L1s: only an L2 that lost
    /// writes explains it.
    pub(crate) fn inspected(&self, violated: u64) {
        if violated > 0 && !self.state.lock().lost_writes {
            self.violated(format!("inspectors found {violated} too old in a sound L2"));
        }
    }

    /// A heartbeat did not reach all of L2: damage is mended by the next one.
    pub(crate) fn mending_failed(&self) {
        self.broken_until(Instant::now());
    }

    /// Something is broken until then that the bound does not cover.
    pub(crate) fn broken_until(&self, until: Instant) {
        let mut state = self.state.lock();
        state.broken = state.broken.max(Some(until));
    }

    /// A heartbeat is about to be written to a bucket.
    pub(crate) fn told(
        &self,
        bucket: Bucket,
        seen: Position,
        floor: impl Fn(&Address) -> Position,
    ) {
        for (row, address) in self.rows.iter().enumerate() {
            if address.bucket == bucket {
                let mut state = self.state.lock();
                let beat = state.beats.entry(seen.offset).or_default();
                beat[row].get_or_insert_with(|| floor(address).offset);
            }
        }
    }

    /// The invalidator answers for an event: L2 has it, and the bus carries it.
    pub(crate) fn announced(&self, sequence: u64) {
        if let Some(transaction) = self.database().transaction_at(sequence) {
            let mut state = self.state.lock();
            state
                .announced
                .entry(transaction)
                .or_insert_with(Instant::now);
        }
    }

    /// A process has invalidated rows by itself, which stood at these versions when it
    /// began; `everywhere` if L2 and the bus took it.
    pub(crate) fn invalidated_itself(
        &self,
        process: usize,
        versions: &[(usize, u64)],
        transaction: usize,
        everywhere: bool,
    ) {
        self.say(|| format!("process {process} has invalidated {versions:?} by itself"));
        let mut state = self.state.lock();
        let told = state.told.entry(process).or_default();
        for (row, version) in versions {
            told.own[*row] = told.own[*row].max(*version);
        }
        if everywhere {
            state
                .announced
                .entry(transaction)
                .or_insert_with(Instant::now);
        }
    }

    /// L2 placed a change that had no offset beside this one.
    pub(crate) fn placed(&self, address: &Address, position: Position) {
        let mut state = self.state.lock();
        for row in 0..ROWS {
            if self.rows[row] == *address || self.tags[row].contains(address) {
                state.locals[row] = state.locals[row].max(position.offset);
            }
        }
    }

    /// A process starts and knows nothing.
    pub(crate) fn started(&self, process: usize) {
        self.say(|| format!("process {process} starts"));
        self.state.lock().told.insert(process, Told::default());
    }

    /// A process is done with a message.
    pub(crate) fn handled(&self, process: usize, bytes: &[u8]) {
        let Some(message) = Message::decode(bytes) else {
            return;
        };
        match &message.content {
            Content::Invalidate(all) => {
                for one in all {
                    self.heard_invalidation(process, &one.target, one.position.offset);
                }
            }
            Content::Heartbeat { seen, .. } => self.heard_heartbeat(process, seen.offset),
            Content::Farewell
            | Content::Inspect { .. }
            | Content::Violated(_)
            | Content::Landmark(_) => {}
        }
    }

    fn heard_invalidation(&self, process: usize, target: &Target, offset: u64) {
        self.say(|| format!("process {process} is done with {target:?} at {offset}"));
        let hit = |row: usize| match target {
            Target::Key { key: hit, .. } => **hit == *key(row).as_bytes(),
            Target::Tag { tag: hit, .. } => {
                *hit == Tag::all() || hit.as_str() == tag(group_of(row))
            }
            Target::Bucket(bucket) => self.rows[row].bucket == *bucket,
        };
        let mut state = self.state.lock();
        let told = state.told.entry(process).or_default();
        for row in (0..ROWS).filter(|row| hit(*row)) {
            told.invalidated[row] = told.invalidated[row].max(offset);
        }
    }

    fn heard_heartbeat(&self, process: usize, seen: u64) {
        let mut state = self.state.lock();
        let Some(beat) = state.beats.get(&seen).copied() else {
            return;
        };
        let told = state.told.entry(process).or_default();
        for (beaten, floor) in told.beaten.iter_mut().zip(beat) {
            *beaten = (*beaten).max(floor.unwrap_or(0));
        }
    }

    /// A read begins.
    pub(crate) fn begin(&self, process: usize, row: usize, at_least: u64) -> Begun {
        let state = self.state.lock();
        Begun {
            process,
            row,
            at: Instant::now(),
            told: state.told.get(&process).copied().unwrap_or_default(),
            local: state.locals[row],
            at_least,
        }
    }

    /// A read was answered by a tier: with a version, or with nothing there. The
    /// as-of is known of values only.
    pub(crate) fn judge(
        &self,
        begun: &Begun,
        version: Option<u64>,
        as_of: Option<Position>,
        tier: Tier,
    ) {
        let database = self.database();
        let row = begun.row;
        let newest = database.version(row);
        // An absence says no version: the newest absent one is the best it can be.
        let served = version.or_else(|| (0..=newest).rev().find(|one| is_absent(*one)));
        let cached = tier != Tier::None;
        self.say(|| {
            let process = begun.process;
            format!("process {process} reads row {row}: {version:?} from {tier} as of {as_of:?}")
        });
        self.state.lock().reads += 1;
        let mut demands: Vec<(&str, u64)> = Vec::with_capacity(6);
        demands.push(("B", self.bound(begun, newest)));
        let may_be_a_replicas =
            self.replica_loads && as_of.is_some_and(|as_of| as_of.offset > begun.local);
        if !may_be_a_replicas {
            demands.push(("own", begun.told.own[row]));
        }
        if cached {
            let at = |offset| database.version_at(row, offset);
            demands.push(("I2/I4", at(begun.told.invalidated[row])));
            if tier == Tier::L2 {
                demands.push(("I3", at(begun.told.beaten[row])));
            }
            demands.push(("I5", at(begun.at_least)));
            demands.push(("as-of", at(as_of.unwrap_or_default().offset)));
        }
        for (name, demanded) in demands {
            if served.is_none_or(|served| served < demanded) {
                let process = begun.process;
                self.violated(format!(
                    "{name}: process {process} read row {row} at version {served:?} of {newest} \
                     from {tier} as of {as_of:?}; {demanded} was due"
                ));
            }
        }
    }

    /// The newest version that the bound demands.
    fn bound(&self, begun: &Begun, newest: u64) -> u64 {
        let state = self.state.lock();
        let quiet = |since: Instant| since + BOUND < begun.at;
        if !state.broken.is_none_or(quiet) {
            return 0;
        }
        let due = state.announced.iter().filter(|(_, at)| quiet(**at));
        let database = self.database();
        due.filter_map(|(transaction, _)| database.version_by(begun.row, *transaction))
            .max()
            .unwrap_or(0)
            .min(newest)
    }

    pub(crate) fn verdict(&self) -> Verdict {
        let state = self.state.lock();
        Verdict {
            reads: state.reads,
            violations: state.violations.clone(),
            story: state.story.clone(),
        }
    }
}
