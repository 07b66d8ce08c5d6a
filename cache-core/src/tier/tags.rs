//! The floors of tags: entries with a tag whose stamp is below its floor are
//! refused when they are read, so the order of fills and invalidations is free.
//!
//! A floor read from L2 is kept together with the tag's fence ticket, exactly like
//! an entry of L1: an invalidation of the tag, heard over the bus, cuts the kept
//! floor off, and the next reader asks L2 again.

use super::{Applied, Invalidate, Known, Record, Remote, Watermark};
use crate::clock::Clock;
use crate::guard::fence::{Fence, Ticket};
use crate::guard::horizon::Horizon;
use crate::guard::owed::Owed;
use crate::model::entry::Stamp;
use crate::model::key::{Bucket, KeyHash, KeySpace};
use crate::model::position::Position;
use crate::model::tag::Tag;
use crate::shim::RwLock;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// How long a tag's floor stays in L2: longer than entries live. When it is gone,
/// its entries are refused and loaded once more.
pub const TAG_KEEP: Duration = Duration::from_secs(7 * 24 * 3600);
/// The most floors kept in one process; above it, all are forgotten and read anew.
const FLOORS_MAX: usize = 65_536;

/// How far a value reaches whose tags are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// As far as its stamps say: it is from the primary, or has been admitted before.
    Known,
    /// It was just read from a replica. Nobody knows whether that has seen a local
    /// change, whose floor has a tick.
    Replica,
}

/// What the floors of an entry's tags say about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It may be served.
    Admitted,
    /// A floor is above its stamp, or L2 cannot say.
    Refused,
    /// A tag's bucket is behind what this process heard, and cannot be believed.
    Behind(Bucket),
}

/// The floors of the tags of one cache, as far as this process knows them.
#[derive(Debug)]
pub struct TagFloors {
    space: KeySpace,
    remote: Arc<dyn Remote>,
    fence: Arc<Fence>,
    horizon: Arc<Horizon>,
    owed: Arc<Owed>,
    clock: Arc<dyn Clock>,
    known: RwLock<HashMap<KeyHash, (Floor, Ticket)>>,
}

/// A tag's floor, as L2 told it.
#[derive(Clone, Copy, Debug)]
struct Floor {
    position: Position,
    /// How far its bucket had come: no true stamp is above it. One that is shows that L2
    /// has lost what the stamp was taken from:
    ///
    /// 1. a value is stamped 13, from a heartbeat that every bucket has been told
    /// 2. a process that has just started, and heard nothing, keeps the value in L1
    /// 3. L2 restarts from an old snapshot: the tag's bucket is back at 8
    /// 4. the tag is invalidated locally, at 8.1, which is below the stamp
    reach: Position,
}

/// What L2 and this process know of a tag.
struct Told {
    record: Option<Position>,
    watermark: Watermark,
    owed: Position,
}

impl Told {
    /// The tag's floor, if `record` is what its record admits.
    fn floor(&self, record: Position) -> Floor {
        let held = record.max(self.watermark.floor);
        Floor {
            position: held.max(self.owed),
            reach: held.max(self.watermark.applied).max(self.watermark.seen),
        }
    }
}

impl TagFloors {
    /// Nothing is known yet.
    pub fn new(
        space: KeySpace,
        remote: Arc<dyn Remote>,
        fence: Arc<Fence>,
        horizon: Arc<Horizon>,
        owed: Arc<Owed>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            space,
            remote,
            fence,
            horizon,
            owed,
            clock,
            known: RwLock::default(),
        }
    }

    /// Whether the stamps pass by what is known here; `None` if L2 must be asked.
    pub fn admits_known(&self, stamps: &[Stamp]) -> Option<bool> {
        self.known(stamps, Reach::Known)
    }

    /// The floor that entries with this tag are admitted by, if it is known here.
    pub fn known_floor(&self, tag: &Tag) -> Option<Position> {
        let hash = self.space.tag_hash(tag);
        let (floor, ticket) = *self.known.read().get(&hash)?;
        self.fence.holds(hash, ticket).then_some(floor.position)
    }

    fn known(&self, stamps: &[Stamp], reach: Reach) -> Option<bool> {
        let known = self.known.read();
        let mut all = true;
        for stamp in stamps {
            let hash = self.space.tag_hash(&stamp.tag);
            let (floor, ticket) = known.get(&hash)?;
            let is_true = || stamp.as_of <= self.horizon.known(hash.bucket()).highest();
            if !self.fence.holds(hash, *ticket) || stamp.as_of > floor.reach && !is_true() {
                return None;
            }
            all &= reach.passes(stamp, floor.position);
        }
        Some(all)
    }

    /// Whether the stamps pass. With `believe`, what is known here counts: this
    /// process would have heard of a change. Without, L2 is asked for every tag.
    pub async fn admits(&self, stamps: &[Stamp], reach: Reach, believe: bool) -> Admission {
        if believe && let Some(answer) = self.known(stamps, reach) {
            return answer.into();
        }
        let floors = stamps.iter().map(|stamp| self.floor(&stamp.tag));
        let floors = futures_util::future::join_all(floors).await;
        let pairs = stamps.iter().zip(floors);
        let answers = pairs.map(|(stamp, floor)| match floor {
            Ok(floor) => self.judge(stamp, reach, &floor),
            Err(doubt) => doubt,
        });
        // Whatever the others say, a bucket that is behind is worth telling of.
        answers.fold(Admission::Admitted, Admission::and)
    }

    /// What a floor that L2 told says about a stamp.
    fn judge(&self, stamp: &Stamp, reach: Reach, floor: &Floor) -> Admission {
        if stamp.as_of > floor.reach {
            return Admission::Behind(self.space.tag_hash(&stamp.tag).bucket());
        }
        reach.passes(stamp, floor.position).into()
    }

    /// Whether one stamp would pass [`TagFloors::admits`], and the floor of its tag where L2
    /// has told it. It changes nothing, here and in L2.
    pub async fn would_admit(&self, stamp: &Stamp, believe: bool) -> (Admission, Option<Position>) {
        let one = std::slice::from_ref(stamp);
        if believe && let Some(answer) = self.known(one, Reach::Known) {
            return (answer.into(), self.known_floor(&stamp.tag));
        }
        match self.read(&stamp.tag).await {
            Ok(told) => {
                // As L2 would make one for a tag that it does not know.
                let floor = told.floor(told.record.unwrap_or(told.watermark.applied));
                (
                    self.judge(stamp, Reach::Known, &floor),
                    Some(floor.position),
                )
            }
            Err(doubt) => (doubt, None),
        }
    }

    /// Asks L2 for a tag's floor.
    async fn read(&self, tag: &Tag) -> Result<Told, Admission> {
        let hash = self.space.tag_hash(tag);
        let address = self.space.tag_address(tag);
        let bucket = address.bucket;
        // Before the read as well: L2 may answer it, then take what it owes, and the word
        // that it has may be faster than the answer.
        let owed = || self.owed.floor(hash, self.clock.now());
        let owed_before = owed();
        let reading = self.remote.read(&address).await;
        let reading = reading.map_err(|_| Admission::Refused)?;
        let watermark = reading.watermark.ok_or(Admission::Behind(bucket))?;
        if !self.horizon.keeps(bucket, &watermark) {
            return Err(Admission::Behind(bucket));
        }
        let record = match reading.record {
            Some(Record::Mark { floor }) => Some(floor),
            _ => None,
        };
        Ok(Told {
            record,
            watermark,
            owed: owed().max(owed_before),
        })
    }

    /// Asks L2 for a tag's floor, and makes sure that it has one.
    async fn floor(&self, tag: &Tag) -> Result<Floor, Admission> {
        let hash = self.space.tag_hash(tag);
        let address = self.space.tag_address(tag);
        let ticket = self.fence.ticket(hash);
        let told = self.read(tag).await?;
        self.horizon.raise(address.bucket, told.watermark.applied);
        let record = match told.record {
            Some(floor) => floor,
            // A tag that nobody knows may have been invalidated and forgotten: it
            // starts at the bucket's watermark, for all processes alike.
            None => {
                let ensure = Invalidate {
                    address,
                    position: Some(Position::ZERO),
                    known: Known::NOTHING,
                    keep: TAG_KEEP,
                };
                match self.remote.apply(vec![ensure]).await.pop() {
                    Some(Ok(Applied::Done { floor, .. })) => floor,
                    _ => return Err(Admission::Refused),
                }
            }
        };
        // What is owed again: the word of it may have come during the step above.
        let told = Told {
            owed: told.owed.max(self.owed.floor(hash, self.clock.now())),
            ..told
        };
        let floor = told.floor(record);
        if told.owed > record.max(told.watermark.floor) {
            // Not kept: a debt may end by itself, and nobody would tell.
            return Ok(floor);
        }
        let mut known = self.known.write();
        if known.len() >= FLOORS_MAX {
            known.clear();
        }
        known.insert(hash, (floor, ticket));
        Ok(floor)
    }
}

impl Reach {
    fn passes(self, stamp: &Stamp, floor: Position) -> bool {
        let comparable = self == Self::Known || floor.tick == 0;
        comparable && stamp.as_of >= floor
    }
}

impl Admission {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Behind(bucket), _) | (_, Self::Behind(bucket)) => Self::Behind(bucket),
            (Self::Admitted, Self::Admitted) => Self::Admitted,
            _ => Self::Refused,
        }
    }
}

impl From<bool> for Admission {
    fn from(admitted: bool) -> Self {
        if admitted {
            Self::Admitted
        } else {
            Self::Refused
        }
    }
}
