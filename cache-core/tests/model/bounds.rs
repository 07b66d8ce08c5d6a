//! The bounds of one exploration: what is written, who reads, where things lie and
//! which faults may strike how often.

/// What a change is about, and what an invalidation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// The first key.
    A,
    /// The second key.
    B,
    /// The tag that every key has. It stands for `*` as well: a clear.
    Tag,
}

/// How a change is announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum How {
    /// By an invalidator that reads the change stream.
    Streamed,
    /// By its writer alone, at a position of its own making.
    Local,
    /// Written through the cache under a quarantine.
    Through,
}

/// One change of the database.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write {
    /// What it changes.
    pub(crate) target: Target,
    /// Who tells of it.
    pub(crate) how: How,
}

/// Where loaders read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loader {
    /// From the primary, under the lease's as-of.
    Primary,
    /// From a replica, with the replica's position.
    Replica,
}

/// How often each fault may still strike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Faults {
    /// L2 or L1 drops a record.
    pub(crate) evictions: u8,
    /// An event that was answered for comes again.
    pub(crate) redeliveries: u8,
    /// A message does not reach one reader, and nobody is told.
    pub(crate) drops: u8,
    /// The invalidator dies and another begins.
    pub(crate) crashes: u8,
    /// A shard's replica falls behind, and may become its master.
    pub(crate) failovers: u8,
    /// A bucket is lost with everything in it.
    pub(crate) wipes: u8,
    /// A lease or a quarantine runs out.
    pub(crate) expiries: u8,
    /// A value in L2 is found to have expired.
    pub(crate) ages: u8,
    /// Time passes: a span of trust without a sign of life.
    pub(crate) spans: u8,
    /// A reader's connection to the bus breaks and comes back.
    pub(crate) cuts: u8,
    /// A reader's process ends and another begins.
    pub(crate) restarts: u8,
    /// L2 does not take a change at first; the bus is told all the same.
    pub(crate) early: u8,
    /// The change stream is lost with what nobody had read, and made anew.
    pub(crate) streams: u8,
    /// Heartbeats of the invalidator: no fault, but bounded like one.
    pub(crate) beats: u8,
}

/// One configuration.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Its name in the printed table.
    pub(crate) name: &'static str,
    /// The changes, in the order in which they are committed.
    pub(crate) writes: &'static [Write],
    /// How many processes read.
    pub(crate) readers: usize,
    /// How many flights of a key a process may have under way.
    pub(crate) flights: usize,
    /// How many keys are read.
    pub(crate) keys: usize,
    /// Whether keys have a tag.
    pub(crate) tagged: bool,
    /// Whether the second target lies in a bucket of its own.
    pub(crate) apart: bool,
    /// Where loaders read.
    pub(crate) loader: Loader,
    /// Whether reads ask for the positions of own writes.
    pub(crate) sessions: bool,
    /// Whether a commit may be logged before it can be read.
    pub(crate) hidden_commits: bool,
    /// Whether events of one bucket are announced in any order.
    pub(crate) reorders: bool,
    /// Whether L2 holds every key's first value at the beginning.
    pub(crate) warm: bool,
    /// The faults.
    pub(crate) faults: Faults,
}

pub(crate) const NO_FAULTS: Faults = Faults {
    evictions: 0,
    redeliveries: 0,
    drops: 0,
    crashes: 0,
    failovers: 0,
    wipes: 0,
    expiries: 0,
    ages: 0,
    spans: 0,
    cuts: 0,
    restarts: 0,
    early: 0,
    streams: 0,
    beats: 0,
};

const fn streamed(target: Target) -> Write {
    Write {
        target,
        how: How::Streamed,
    }
}

const fn told_by(how: How) -> Write {
    Write {
        target: Target::A,
        how,
    }
}

/// Two changes of one key.
pub(crate) const TWO: &[Write] = &[streamed(Target::A), streamed(Target::A)];
/// One change.
pub(crate) const ONE: &[Write] = &[streamed(Target::A)];
/// A change of each of two keys.
pub(crate) const BOTH: &[Write] = &[streamed(Target::A), streamed(Target::B)];
/// A change that is announced by the tag alone.
pub(crate) const TAG: &[Write] = &[streamed(Target::Tag)];
/// A change of a key, and one announced by the tag.
pub(crate) const KEY_AND_TAG: &[Write] = &[streamed(Target::A), streamed(Target::Tag)];

/// The same, the other key first.
pub(crate) const SWAPPED: &[Write] = &[streamed(Target::B), streamed(Target::A)];
/// A change of one key by the stream, of the other by its writer.
pub(crate) const LOCAL: &[Write] = &[streamed(Target::B), told_by(How::Local)];
/// Two writers that write one key through the cache.
pub(crate) const THROUGH: &[Write] = &[told_by(How::Through), told_by(How::Through)];

/// A writer that writes a key through the cache, and others that change the same key and
/// another.
pub(crate) const AMONG_OTHERS: &[Write] = &[
    told_by(How::Through),
    streamed(Target::A),
    streamed(Target::B),
];

/// One key, two writes, two readers, a replica of the database, and no faults.
pub(crate) const BASE: Bounds = Bounds {
    name: "base",
    writes: TWO,
    readers: 2,
    flights: 1,
    keys: 1,
    tagged: false,
    apart: false,
    loader: Loader::Replica,
    sessions: false,
    hidden_commits: false,
    reorders: true,
    warm: false,
    faults: NO_FAULTS,
};

impl Bounds {
    /// The same with these faults.
    pub(crate) const fn with(self, faults: Faults) -> Self {
        Self { faults, ..self }
    }

    /// The bucket and the slot in it of a target.
    pub(crate) fn place(&self, target: Target) -> (usize, usize) {
        match target {
            Target::A => (0, 0),
            Target::B if self.apart && !self.tagged => (1, 0),
            Target::B => (0, 1),
            Target::Tag if self.apart => (1, 0),
            Target::Tag => (0, 1),
        }
    }

    /// How many buckets are in use.
    pub(crate) fn buckets(&self) -> usize {
        if self.apart { 2 } else { 1 }
    }

    /// The last of the first `upto` changes that a key's value shows.
    pub(crate) fn content(&self, key: usize, upto: u8) -> u8 {
        let shows = |write: &Write| match write.target {
            Target::Tag => self.tagged,
            target => target == KEYS[key],
        };
        let upto = &self.writes[..usize::from(upto)];
        upto.iter().rposition(shows).map_or(0, |at| at as u8 + 1)
    }
}

/// The targets that are keys.
pub(crate) const KEYS: [Target; 2] = [Target::A, Target::B];
