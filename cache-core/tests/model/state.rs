//! The state of everything at one moment. Values are the numbers of the changes
//! they show: a value of 2 is what the second change wrote.
//!
//! Fields marked as ghosts belong to nobody in the protocol: they remember what
//! happened, so that the invariants can judge it.

use crate::bounds::Faults;
use crate::position::Pos;

/// The database.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Database {
    /// Changes that are logged.
    pub(crate) logged: u8,
    /// Changes that can be read on the primary.
    pub(crate) visible: u8,
    /// Changes that can be read on the replica.
    pub(crate) replica: u8,
}

/// How far a change has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// Not committed.
    #[default]
    Unborn,
    /// Its writer holds the key's quarantine, and has not committed.
    Quarantined,
    /// Committed; its event waits to be worked on, or to be worked on again.
    Waiting,
    /// The bus has carried it, L2 has not applied it.
    Told,
    /// L2 has applied it, the bus has not carried it.
    Applied,
    /// Announced.
    Done,
    /// Lost with its stream.
    Lost,
}

/// A bucket's watermark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Watermark {
    /// The highest position applied.
    pub(crate) applied: Pos,
    /// The highest heartbeat.
    pub(crate) seen: Pos,
    /// Values below it are refused.
    pub(crate) floor: Pos,
}

/// Who may fill a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Lease {
    /// Which flight of which reader.
    pub(crate) holder: u8,
    /// The as-of of what is read from then on.
    pub(crate) granted: Pos,
}

/// A value with what decides on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Value {
    /// The change it shows. A ghost: the protocol sees bytes.
    pub(crate) shows: u8,
    /// The position up to which it is said to contain every change.
    pub(crate) as_of: Pos,
    /// How far the tag's bucket was known before the value was read.
    pub(crate) stamp: Pos,
}

/// What L2 holds for a key or a tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Record {
    /// Nothing.
    #[default]
    Absent,
    /// A value.
    Value(Value),
    /// A value that has only expired, and who may replace it.
    Expired { value: Value, lease: Lease },
    /// A floor.
    Mark { floor: Pos, lease: Option<Lease> },
    /// A floor, what the value to come is above, and the number of the change whose
    /// writer is at work.
    Quarantine {
        floor: Pos,
        granted: Pos,
        writer: u8,
    },
}

/// One bucket of L2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Bucket {
    /// Its watermark.
    pub(crate) watermark: Option<Watermark>,
    /// Its records.
    pub(crate) records: [Record; 2],
    /// Ghost: the last change applied to each record on this line of masters.
    pub(crate) cleared: [u8; 2],
}

/// One message on its way to a reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Message {
    /// Which life of the invalidator sent it; `None` is another publisher.
    pub(crate) life: Option<u8>,
    /// The publisher's last number.
    pub(crate) sequence: u8,
    /// What it says.
    pub(crate) says: Says,
}

/// What a message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Says {
    /// A change; `early` if L2 had not taken it (a ghost: nobody can tell).
    Changed {
        change: u8,
        position: Pos,
        early: bool,
    },
    /// A bucket's floor was raised.
    Raised { bucket: u8, position: Pos },
    /// A heartbeat; `done` is a ghost: all changes up to it were announced.
    Beat { seen: Pos, done: u8 },
}

/// The most messages on their way to one reader.
const QUEUE: usize = 6;
/// The most messages that one step sends: two raised floors and a heartbeat.
const BURST: usize = 3;

/// The messages on their way to one reader, in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Queue {
    slots: [Option<Message>; QUEUE],
    len: u8,
}

impl Record {
    /// The value that may be served, if there is one.
    pub(crate) fn value(&self) -> Option<Value> {
        match *self {
            Self::Value(value) | Self::Expired { value, .. } => Some(value),
            Self::Absent | Self::Mark { .. } | Self::Quarantine { .. } => None,
        }
    }
}

impl Queue {
    /// Adds one.
    pub(crate) fn push(&mut self, message: Message) {
        self.slots[usize::from(self.len)] = Some(message);
        self.len += 1;
    }

    /// Whether there is room for all that one step sends.
    pub(crate) fn has_room(&self) -> bool {
        usize::from(self.len) + BURST <= QUEUE
    }

    /// Takes the first.
    pub(crate) fn pop(&mut self) -> Option<Message> {
        let first = self.slots[0].take()?;
        self.slots.rotate_left(1);
        self.len -= 1;
        Some(first)
    }

    /// The first.
    pub(crate) fn first(&self) -> Option<&Message> {
        self.slots[0].as_ref()
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// The invalidator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Invalidator {
    /// How many have lived before it.
    pub(crate) life: u8,
    /// The last number it gave a message.
    pub(crate) sequence: u8,
    /// Its horizon: what it knows to be applied, by bucket.
    pub(crate) applied: [Pos; 2],
    /// Its horizon: the highest it has begun at or heard.
    pub(crate) seen: Pos,
    /// The last heartbeat that every bucket was given.
    pub(crate) told: Pos,
    /// The epoch of its positions.
    pub(crate) epoch: u8,
}

/// An entry of L1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    /// The value.
    pub(crate) value: Value,
    /// Whether no tag changed since its stamps were last checked.
    pub(crate) tags_checked: bool,
}

/// What a flight has made of the value it read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Seen {
    /// There was none.
    Nothing,
    /// One with this as-of, which must not be served.
    Refused(Pos),
    /// One with this as-of, which has only expired.
    Expired(Pos),
}

/// Where a flight is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    /// There is none.
    #[default]
    Idle,
    /// L2 had a value that may be served.
    Found(Value),
    /// L2 had nothing that may be served, or nothing young enough.
    Missed(Seen),
    /// It holds a lease.
    Granted(Pos),
    /// It has read the source; without a position, the lease's as-of counts.
    Loaded {
        shows: u8,
        position: Option<Pos>,
        granted: Pos,
    },
    /// L2 has stored its value.
    Stored(Value),
}

/// One load of a key in one process, and everybody who waits for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Flight {
    /// Where it is.
    pub(crate) step: Step,
    /// The key.
    pub(crate) key: u8,
    /// Whether the key's fence still stands at its ticket.
    pub(crate) ticket: bool,
    /// Whether no tag changed since it began.
    pub(crate) tags: bool,
    /// The tag's stamp.
    pub(crate) stamp: Pos,
    /// How far its answer must reach as far as the process knows.
    pub(crate) reach: Pos,
    /// The smallest as-of that its callers take.
    pub(crate) at_least: Pos,
    /// Ghost: the change that every caller's process had handled when it asked.
    pub(crate) handled: u8,
    /// Ghost: the change that it had heard to be announced everywhere.
    pub(crate) told: u8,
}

/// One process that reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Reader {
    /// Its L1, by key. What the fence has cut off is not in it.
    pub(crate) l1: [Option<Entry>; 2],
    /// Its flights.
    pub(crate) flights: [Flight; 2],
    /// Its horizon: what it heard to be applied, by bucket.
    pub(crate) applied: [Pos; 2],
    /// Its horizon: the highest heartbeat it heard.
    pub(crate) seen: Pos,
    /// The tag's floor, as long as the fence holds for it.
    pub(crate) tag_floor: Option<Pos>,
    /// Whether signs of life let L1 answer.
    pub(crate) trust: bool,
    /// Whether the bus delivers to it.
    pub(crate) subscribed: bool,
    /// Which life of the invalidator it has heard, and up to which number.
    pub(crate) heard: Option<(u8, u8)>,
    /// It has heard an earlier life that said no farewell.
    pub(crate) silent: bool,
    /// What is on its way to it.
    pub(crate) queue: Queue,
    /// Ghost: the last change of each target that it has handled.
    pub(crate) handled: [u8; 3],
    /// Ghost: it heard a heartbeat sent when all changes up to this were announced.
    pub(crate) told: u8,
    /// Ghost: all changes up to this were announced more than a span of trust ago.
    pub(crate) due: u8,
}

/// Everything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct State {
    /// The database.
    pub(crate) db: Database,
    /// How far each change has come.
    pub(crate) stages: [Stage; 3],
    /// The positions that local changes were given.
    pub(crate) local: [Pos; 3],
    /// The masters of L2, by bucket.
    pub(crate) l2: [Bucket; 2],
    /// What their replicas have, where they fell behind.
    pub(crate) behind: [Option<Bucket>; 2],
    /// Ghost: a bucket lost writes, and no heartbeat has seen to it.
    pub(crate) unmended: [bool; 2],
    /// The invalidator.
    pub(crate) invalidator: Invalidator,
    /// The readers.
    pub(crate) readers: [Reader; 2],
    /// The faults that may still strike.
    pub(crate) left: Faults,
    /// Ghost: the invariant that an answer broke.
    pub(crate) broken: Option<Invariant>,
}

/// What must always hold; see `invariants`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Invariant {
    /// An as-of is true.
    AsOf,
    /// L2 holds no value older than what was applied.
    I1,
    /// L1 serves no value older than what its process handled.
    I2,
    /// L2 serves nobody who heard a heartbeat with what that heartbeat had behind it.
    I3,
    /// No answer is older than what its process handled before the question.
    I4,
    /// No answer is older than `at_least`.
    I5,
    /// At rest, the tiers hold the database's value or nothing.
    C,
    /// A span of trust after a change was announced, no L1 serves what was before.
    B,
}
