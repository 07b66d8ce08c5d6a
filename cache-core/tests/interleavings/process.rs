//! One process with one cache and one key, made of the shipped parts.
//!
//! Version n of the row is committed at position n, so a value is at least as young as
//! a change if its number is not below the change's.

use crate::coherence::apply::Applier;
use crate::guard::fence::{Fence, Ticket};
use crate::guard::horizon::{Horizon, Snapshot};
use crate::guard::owed::Owed;
use crate::model::key::{Bucket, Key, KeyHash, KeySpace, Name};
use crate::remote::{Steps, answer};
use crate::shim::{AtomicU64, Ordering};
use crate::tier::l1::{Drops, Held, L1, Look};
use crate::tier::tags::{Admission, Reach, TagFloors};
use bytes::Bytes;
use cache_core::clock::{Clock, Tick};
use cache_core::event::Silent;
use cache_core::model::entry::{Entry, Stamp};
use cache_core::testkit::clock::HandClock;
use cache_core::tier::{Filled, Invalidate, Known, Leased, Offer, Record, Remote, Seen, Token};
use cache_core::wire::envelope::{self, Label};
use cache_core::wire::invalidation::{Invalidation, Target};
use cache_core::{Position, Tag};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(500);

/// What a process does other than it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Habit {
    /// Nothing: the steps and their order are those of `Tiers`.
    Shipped,
    /// It takes the fence's ticket after it has read L2.
    TicketAfterRead,
    /// It compares its ticket before it keeps a value, and gives the entry a new one.
    TicketAtPut,
}

/// As `Tiers` does it.
impl Drops for L1<u64> {
    fn drop_key(&self, hash: KeyHash) {
        Self::drop_key(self, hash);
    }

    fn tags_changed(&self) {
        Self::tags_changed(self);
    }

    fn drop_all(&self) {
        Self::drop_all(self);
    }

    fn serves(&self, _: Key<'_>) -> Option<Position> {
        unreachable!("nobody inspects here")
    }

    fn admits_from(&self, _: &Tag) -> Option<Position> {
        unreachable!("nobody inspects here")
    }
}

pub(crate) struct Process {
    pub(crate) fence: Arc<Fence>,
    pub(crate) horizon: Arc<Horizon>,
    pub(crate) owed: Arc<Owed>,
    pub(crate) l1: Arc<L1<u64>>,
    pub(crate) applier: Applier,
    pub(crate) remote: Arc<Steps>,
    /// The source. `Relaxed`: a database orders nothing in this process's memory.
    row: loom::sync::atomic::AtomicU64,
    tags: TagFloors,
    habit: Habit,
    /// Whether the entry has the tag.
    tagged: bool,
}

struct Attempt {
    ticket: Ticket,
    tag_changes: u64,
    known: Snapshot,
}

/// A key and a tag in stripes that the small fence has, found once.
struct Names {
    space: KeySpace,
    key: String,
    tag: Tag,
    /// Nobody has it. It shares their bucket, and so their watermark.
    other: Tag,
}

static NAMES: LazyLock<Names> = LazyLock::new(|| {
    let name = |text| Name::new(text).expect("a name");
    let space = KeySpace::new(name("main"), name("users"));
    let texts = || (0..).map(|n| format!("{n}"));
    let tags = || texts().map(|text| Tag::new(text).expect("a tag"));
    let in_stripe = |stripe| tags().find(|tag| space.tag_hash(tag).stripe() == stripe);
    let key = texts().find(|text| space.hash(key_of(text)).stripe() == 1);
    Names {
        key: key.expect("one in 65,536 texts"),
        tag: in_stripe(2).expect("one in 65,536 tags"),
        other: in_stripe(3).expect("one in 65,536 tags"),
        space,
    }
});

fn key_of(text: &str) -> Key<'_> {
    Key::new(text.as_bytes()).expect("a key")
}

pub(crate) fn key_hash() -> KeyHash {
    NAMES.space.hash(key_of(&NAMES.key))
}

pub(crate) fn tag_hash() -> KeyHash {
    NAMES.space.tag_hash(&NAMES.tag)
}

pub(crate) fn at(offset: u64) -> Position {
    Position::new(0, offset, 0)
}

/// A change of the key at position 2.
pub(crate) fn of_key(in_l2: bool) -> Invalidation {
    told(
        Target::Key {
            cache: NAMES.space.cache().clone(),
            key: NAMES.key.as_bytes().into(),
        },
        in_l2,
    )
}

/// A change of the tag at position 2.
pub(crate) fn of_tag(in_l2: bool) -> Invalidation {
    let (cache, tag) = (NAMES.space.cache().clone(), NAMES.tag.clone());
    told(Target::Tag { cache, tag }, in_l2)
}

/// A change of something else in the same bucket.
pub(crate) fn of_other() -> Invalidation {
    let (cache, tag) = (NAMES.space.cache().clone(), NAMES.other.clone());
    told(Target::Tag { cache, tag }, true)
}

/// The bucket was raised to position 2.
pub(crate) fn of_bucket() -> Invalidation {
    told(Target::Bucket(Bucket(0)), true)
}

fn told(target: Target, in_l2: bool) -> Invalidation {
    Invalidation {
        target,
        position: at(2),
        changed_ms: None,
        in_l2,
    }
}

impl Process {
    /// A process that has loaded version 1 into both tiers.
    pub(crate) fn new(habit: Habit, tagged: bool) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(HandClock::new());
        let fence = Arc::new(Fence::new());
        let horizon = Arc::new(Horizon::new());
        let owed = Arc::new(Owed::new());
        let l1 = Arc::new(L1::new(1, LONG, None, drop));
        let remote = Arc::new(Steps::new(clock.clone()));
        let tags = TagFloors::new(
            NAMES.space.clone(),
            remote.clone(),
            fence.clone(),
            horizon.clone(),
            owed.clone(),
            clock.clone(),
        );
        let applier = Applier::new(
            Name::new("main").expect("a name"),
            fence.clone(),
            horizon.clone(),
            owed.clone(),
            clock,
            Arc::new(Silent),
        );
        applier.add(NAMES.space.cache().clone(), &l1);
        let process = Self {
            fence,
            horizon,
            owed,
            l1,
            applier,
            remote,
            row: loom::sync::atomic::AtomicU64::new(1),
            tags,
            habit,
            tagged,
        };
        process.apply_in_l2(&of_key(true), at(1));
        process.horizon.raise(Bucket(0), at(1));
        process.get();
        assert_eq!(process.look(), Some(1), "L1 has it");
        process
    }

    /// The row's next version is committed.
    pub(crate) fn commit(&self) {
        self.row.store(2, Ordering::Relaxed);
    }

    /// A change's first step: L2 has it at `position`.
    pub(crate) fn apply_in_l2(&self, one: &Invalidation, position: Position) {
        let address = match &one.target {
            Target::Key { key, .. } => NAMES.space.address(Key::new(key).expect("a key")),
            Target::Tag { tag, .. } => NAMES.space.tag_address(tag),
            Target::Bucket(_) => unreachable!("heartbeats raise buckets"),
        };
        let applied = answer(self.remote.apply(vec![Invalidate {
            address,
            position: Some(position),
            known: Known::NOTHING,
            keep: LONG,
        }]));
        assert!(matches!(applied[..], [Ok(_)]), "{applied:?}");
    }

    /// A value of the row that L2 has accepted is kept, beside what L1 has of it.
    pub(crate) fn put_row(&self, row: u64, as_of: Position) {
        let entry = Entry {
            value: Some(row),
            as_of,
            stamps: Vec::new(),
            stored_ms: 0,
            ttl: LONG,
            validator: None,
            fleeting: false,
        };
        self.keep(&self.attempt(), entry);
    }

    /// A read: from L1, from L2, or from the source through both.
    pub(crate) fn get(&self) -> Option<u64> {
        self.look().or_else(|| self.fetch(self.attempt()))
    }

    /// `Tiers::look`.
    pub(crate) fn look(&self) -> Option<u64> {
        let key = NAMES.key.as_bytes();
        match self.l1.look(key_hash(), key, &self.fence, Tick::default()) {
            Look::Hit(held) => held.entry.value,
            Look::CheckTags(held) => {
                let changes = self.l1.tag_changes();
                if self.tags.admits_known(&held.entry.stamps) != Some(true) {
                    return None;
                }
                held.tags_checked.fetch_max(changes, Ordering::AcqRel);
                held.entry.value
            }
            Look::Miss(_) => None,
        }
    }

    /// `Tiers::attempt`.
    fn attempt(&self) -> Attempt {
        Attempt {
            ticket: self.fence.ticket(key_hash()),
            tag_changes: self.l1.tag_changes(),
            known: self.horizon.snapshot(),
        }
    }

    /// `Tiers::probe`, and what follows a miss.
    fn fetch(&self, mut attempt: Attempt) -> Option<u64> {
        let address = NAMES.space.address(key_of(&NAMES.key));
        let reading = answer(self.remote.read(&address)).expect("L2 answers");
        if self.habit == Habit::TicketAfterRead {
            attempt = self.attempt();
        }
        let watermark = reading.watermark?;
        if !self.horizon.admits(Bucket(0), &watermark) {
            return None;
        }
        let Some(Record::Value { as_of, body }) = reading.record else {
            return self.load(&attempt, None);
        };
        if as_of < watermark.floor {
            return self.load(&attempt, None);
        }
        if as_of < self.owed.floor(key_hash(), Tick::default()) {
            return self.load(&attempt, Some(as_of));
        }
        let entry = envelope::open(label(), as_of, &body).expect("our own bytes");
        if !self.tags_admit(&entry.stamps) {
            return self.load(&attempt, Some(as_of));
        }
        let entry = entry.try_map(|bytes| bytes.as_ref().try_into().map(u64::from_be_bytes));
        Some(self.keep(&attempt, entry.expect("8 bytes")))
    }

    /// `Tiers::lease`, `run_load` and `offer`.
    fn load(&self, attempt: &Attempt, refused: Option<Position>) -> Option<u64> {
        let address = NAMES.space.address(key_of(&NAMES.key));
        let token = Token(u64::from(refused.is_some()) + 1);
        let seen = refused.map_or(Seen::Nothing, Seen::Refused);
        let leased = answer(self.remote.lease(&address, token, LONG, seen));
        let Ok(Leased::Granted { as_of, .. }) = leased else {
            return None;
        };
        let row = self.row.load(Ordering::Relaxed);
        let stamp = |_| Stamp {
            tag: NAMES.tag.clone(),
            as_of: attempt.known.as_of(Bucket(0)),
        };
        let mut entry = Entry {
            value: Some(row),
            as_of,
            stamps: self.tagged.then_some(()).map(stamp).into_iter().collect(),
            stored_ms: 0,
            ttl: LONG,
            validator: None,
            fleeting: false,
        };
        if !self.tags_admit(&entry.stamps) {
            return Some(row);
        }
        let bytes = |row: u64| Ok::<_, ()>(Bytes::copy_from_slice(&row.to_be_bytes()));
        let encoded = entry.clone().try_map(bytes).expect("numbers have bytes");
        let offer = Offer {
            token: Some(token),
            as_of: None,
            body: envelope::seal(label(), &encoded),
            ttl: LONG,
        };
        if let Ok(Filled::Stored { as_of }) = answer(self.remote.fill(&address, offer)) {
            entry.as_of = as_of;
            self.keep(attempt, entry);
        }
        Some(row)
    }

    fn tags_admit(&self, stamps: &[Stamp]) -> bool {
        answer(self.tags.admits(stamps, Reach::Known, true)) == Admission::Admitted
    }

    /// `Tiers::held` and `keep`.
    fn keep(&self, attempt: &Attempt, entry: Entry<u64>) -> u64 {
        let value = entry.value.expect("no absences here");
        if self.fence.holds(key_hash(), attempt.ticket) {
            let ticket = match self.habit {
                Habit::TicketAtPut => self.fence.ticket(key_hash()),
                Habit::Shipped | Habit::TicketAfterRead => attempt.ticket,
            };
            let held = Held {
                key: NAMES.key.as_bytes().into(),
                ticket,
                expires: Tick::default().after(LONG),
                refresh_at: Tick::default().after(LONG),
                refresh_off_ms: AtomicU64::new(0),
                stale_until: Tick::default().after(LONG),
                held_over_ms: AtomicU64::new(0),
                tags_checked: AtomicU64::new(attempt.tag_changes),
                weight: 1,
                entry,
            };
            self.l1.put(key_hash(), Arc::new(held));
        }
        value
    }
}

fn label() -> Label {
    Label {
        codec: 0,
        fingerprint: 0,
        key: key_hash(),
    }
}
