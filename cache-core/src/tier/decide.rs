//! The decisions of L2's atomic steps, pure: what a step answers and what it
//! leaves behind, given a record, its bucket's watermark and the time.
//!
//! The in-memory L2 runs these functions; the Lua scripts of the Redis L2 are the
//! same decisions a second time, and a differential test holds the two together.

use super::{
    Applied, Beat, Beaten, Filled, Known, Leased, Offer, Seen, Token, Touch, Watermark, Write,
    Written,
};
use crate::model::position::Position;
use bytes::Bytes;
use std::time::Duration;

/// A record with its lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// A value.
    Value {
        /// Its as-of.
        as_of: Position,
        /// Its envelope.
        body: Bytes,
        /// Who may replace it: it has expired, and is served where nothing else is to be
        /// had.
        lease: Option<Lease>,
    },
    /// A floor without a value.
    Mark {
        /// The floor.
        floor: Position,
        /// Who may fill it.
        lease: Option<Lease>,
    },
}

/// The right to fill one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Whose it is.
    pub token: Token,
    /// The as-of of a value read after the grant.
    pub granted: Position,
    /// The last millisecond, on L2's clock, in which it may be used.
    pub deadline_ms: u64,
}

impl Lease {
    fn new(token: Token, granted: Position, span: Duration, now_ms: u64) -> Self {
        Self {
            token,
            granted,
            deadline_ms: now_ms.saturating_add(span.as_millis() as u64),
        }
    }
}

/// What a step leaves of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// As it was.
    Keep,
    /// This instead.
    Put(Stored),
    /// This instead, for as long as it would have stayed.
    Relabel(Stored),
}

/// Asks for the right to load.
pub fn lease(
    record: Option<&Stored>,
    watermark: Option<&Watermark>,
    token: Token,
    span: Duration,
    seen: Seen,
    now_ms: u64,
) -> (Leased, Then) {
    let Some(wm) = watermark else {
        return (Leased::NoWatermark, Then::Keep);
    };
    let busy = |lease: &Option<Lease>| {
        let held = lease.filter(|held| held.deadline_ms >= now_ms)?;
        let remaining = Duration::from_millis(held.deadline_ms - now_ms);
        Some((Leased::Busy { remaining }, Then::Keep))
    };
    let mut stays = None;
    let floor = match record {
        // Absence is never permission: the mark may have been evicted.
        None => wm.applied,
        // The floor it was once admitted by is at most both of these.
        Some(Stored::Value { as_of, .. }) if *as_of < wm.floor => (*as_of).min(wm.applied),
        Some(Stored::Value { as_of, body, lease }) => match seen {
            Seen::Refused(refused) if *as_of <= refused => match busy(lease) {
                Some(busy) => return busy,
                None => (*as_of).min(wm.applied),
            },
            Seen::Expired(expired) if *as_of <= expired => match busy(lease) {
                Some(busy) => return busy,
                None => {
                    stays = Some((*as_of, body.clone()));
                    *as_of
                }
            },
            _ => return (Leased::Present, Then::Keep),
        },
        Some(Stored::Mark { floor, lease }) => match busy(lease) {
            Some(busy) => return busy,
            None => *floor,
        },
    };
    let floor = floor.max(wm.floor);
    // A floor above the watermark is left from before the watermark was lost, or from a
    // value with a position of its own; the change it stands for was committed all the
    // same, so a load holds it.
    let granted = wm.applied.max(floor);
    let lease = Some(Lease::new(token, granted, span, now_ms));
    let answer = Leased::Granted {
        as_of: granted,
        floor,
    };
    let then = match stays {
        Some((as_of, body)) => Then::Relabel(Stored::Value { as_of, body, lease }),
        None => Then::Put(Stored::Mark { floor, lease }),
    };
    (answer, then)
}

/// Offers a value.
pub fn fill(
    record: Option<&Stored>,
    watermark: Option<&Watermark>,
    offer: &Offer,
    now_ms: u64,
) -> (Filled, Then) {
    let Some(wm) = watermark else {
        return (Filled::LeaseLost, Then::Keep);
    };
    let (floor, granted) = match (offer.token, record) {
        (
            Some(token),
            Some(
                Stored::Mark {
                    floor,
                    lease: Some(held),
                }
                | Stored::Value {
                    as_of: floor,
                    lease: Some(held),
                    ..
                },
            ),
        ) if held.token == token && held.deadline_ms >= now_ms => (*floor, held.granted),
        (Some(_), _) => return (Filled::LeaseLost, Then::Keep),
        (None, None) => (wm.applied, wm.applied),
        (None, Some(Stored::Value { as_of, .. })) => (*as_of, wm.applied.max(*as_of)),
        (None, Some(Stored::Mark { floor, .. })) => (*floor, wm.applied.max(*floor)),
    };
    let floor = floor.max(wm.floor);
    let admitted = match offer.as_of {
        None => granted >= floor,
        // A floor with a tick was made by a local invalidation, whose place among
        // the source's positions nobody knows: no replica can prove it is past it.
        Some(as_of) => as_of >= floor && floor.tick == 0 && !as_of.is_made_up(wm.applied),
    };
    if !admitted {
        let then = match (offer.token, record) {
            (None, _) => Then::Keep,
            (Some(_), Some(Stored::Value { as_of, body, .. })) if *as_of >= wm.floor => {
                Then::Relabel(value(*as_of, body))
            }
            (Some(_), _) => Then::Put(Stored::Mark { floor, lease: None }),
        };
        return (Filled::Superseded { floor }, then);
    }
    let as_of = offer.as_of.unwrap_or(granted);
    (
        Filled::Stored { as_of },
        Then::Put(value(as_of, &offer.body)),
    )
}

fn value(as_of: Position, body: &Bytes) -> Stored {
    Stored::Value {
        as_of,
        body: body.clone(),
        lease: None,
    }
}

/// Puts another envelope around a value; whether it was there, and under no lease.
pub fn touch(
    record: Option<&Stored>,
    watermark: Option<&Watermark>,
    touch: &Touch,
) -> (bool, Then) {
    match (record, watermark) {
        (
            Some(Stored::Value {
                as_of,
                body,
                lease: None,
            }),
            Some(wm),
        ) if *as_of == touch.as_of && *body == touch.was && *as_of >= wm.floor => {
            (true, Then::Put(value(*as_of, &touch.body)))
        }
        _ => (false, Then::Keep),
    }
}

/// Gives a lease back.
pub fn release(record: Option<&Stored>, token: Token) -> Then {
    match record {
        Some(Stored::Mark {
            floor,
            lease: Some(held),
        }) if held.token == token => Then::Put(Stored::Mark {
            floor: *floor,
            lease: None,
        }),
        Some(Stored::Value {
            as_of,
            body,
            lease: Some(held),
        }) if held.token == token => Then::Relabel(value(*as_of, body)),
        _ => Then::Keep,
    }
}

/// Puts a key under quarantine; whether it is.
pub fn quarantine(
    record: Option<&Stored>,
    watermark: Option<&Watermark>,
    token: Token,
    span: Duration,
    now_ms: u64,
) -> (bool, Then) {
    let Some(wm) = watermark else {
        return (false, Then::Keep);
    };
    let floor = match record {
        None => wm.applied,
        Some(Stored::Value { as_of, .. }) => *as_of,
        Some(Stored::Mark { floor, .. }) => *floor,
    };
    let floor = floor.max(wm.floor);
    // What the value to come is above: all that anybody may have been told of the key
    // before its commit, and nothing that was applied after.
    let granted = floor.max(wm.applied).max(wm.seen);
    let lease = Some(Lease::new(token, granted, span, now_ms));
    (true, Then::Put(Stored::Mark { floor, lease }))
}

/// Stores a committed value over its writer's quarantine, or invalidates the key; the
/// last part is the new watermark.
///
/// Without a position of its own, the value's is the next after the quarantine began, not
/// the bucket's next one:
///
/// 1. a writer commits change 5 of a key, under a quarantine
/// 2. somebody else commits change 6 of it, and 7 of another key in the bucket
/// 3. the invalidator applies 7 before 6
/// 4. the writer stores its value: above 7, it would outlive change 6
pub fn write(
    record: Option<&Stored>,
    watermark: Option<&Watermark>,
    write: &Write,
    now_ms: u64,
) -> (Written, Then, Option<Watermark>) {
    let Some(wm) = watermark else {
        return (Written::NoWatermark, Then::Keep, None);
    };
    let lost = wm.has_lost(&write.known);
    let wm = if lost { wm.raised(&write.known) } else { *wm };
    let granted = match record {
        Some(Stored::Mark {
            floor,
            lease: Some(held),
            // A mark below its bucket's floor may have come back in a failover, which lost
            // the invalidation that had ended the quarantine.
        }) if held.token == write.token && held.deadline_ms >= now_ms && *floor >= wm.floor => {
            Some(held.granted)
        }
        _ => None,
    };
    let as_of = match (granted, write.as_of) {
        (None, _) => None,
        (Some(granted), None) => granted.next_tick(),
        // It was committed after the quarantine began.
        (Some(granted), Some(as_of)) => {
            let is_true = as_of > granted && as_of.tick == 0 && !as_of.is_made_up(wm.applied);
            is_true.then_some(as_of)
        }
    };
    let raised = lost.then_some(wm.floor);
    let Some(as_of) = as_of else {
        let Some(position) = next_local(record, &wm) else {
            return (Written::TicksExhausted, Then::Keep, None);
        };
        let mark = Stored::Mark {
            floor: position,
            lease: None,
        };
        let answer = Written::Invalidated { position, raised };
        return (answer, Then::Put(mark), Some(wm.at_least(position)));
    };
    // A commit's own position is not applied before its event: earlier ones are still on
    // their way, and a lease granted meanwhile would claim them.
    let wm = match write.as_of {
        None => wm.at_least(as_of),
        Some(_) => wm,
    };
    let answer = Written::Stored {
        position: as_of,
        raised,
    };
    (answer, Then::Put(value(as_of, &write.body)), Some(wm))
}

/// Applies an invalidation; the last part is the new watermark.
pub fn apply(
    record: Option<&Stored>,
    watermark: Option<&Watermark>,
    position: Option<Position>,
    known: &Known,
) -> (Applied, Then, Option<Watermark>) {
    let ensures = position == Some(Position::ZERO);
    if watermark.is_none() && (ensures || position.is_none()) {
        return (Applied::NoWatermark, Then::Keep, None);
    }
    let applied = watermark.map_or(Position::ZERO, |wm| wm.applied);
    let heard = applied.max(known.applied).max(known.seen);
    if !ensures && position.is_some_and(|position| position.epoch < heard.epoch) {
        return (Applied::OldEpoch, Then::Keep, None);
    }
    // Before this change raises `applied`, which would hide that others were lost.
    let lost = watermark.is_some_and(|wm| wm.has_lost(known));
    let watermark = watermark.map(|wm| if lost { wm.raised(known) } else { *wm });
    let local = || next_local(record, &watermark?);
    let Some(position) = position.or_else(local) else {
        return (Applied::TicksExhausted, Then::Keep, None);
    };
    let wm = match watermark {
        Some(wm) => Watermark {
            applied: wm.applied.max(position),
            ..wm
        },
        // The bucket lost its watermark: whatever values it still has are older
        // than a change that is known, and may have missed others.
        None => Watermark {
            applied: position,
            ..Watermark::default()
        }
        .raised(known),
    };
    let done = |floor| Applied::Done {
        position,
        floor,
        raised: lost.then_some(wm.floor),
    };
    let (floor, lease) = match record {
        Some(Stored::Value { as_of, .. }) if *as_of >= position => {
            return (done(*as_of), Then::Keep, Some(wm));
        }
        Some(Stored::Value { lease, .. }) => (position, *lease),
        Some(Stored::Mark { floor, lease }) => (position.max(*floor), *lease),
        None => (wm.applied, None),
    };
    // A load begun after this very change holds it: a redelivery does not take its lease.
    let lease = lease.filter(|held| held.granted >= position);
    let then = Then::Put(Stored::Mark { floor, lease });
    (done(floor), then, Some(wm))
}

/// The place of a change without a position: above everything that a value or a tag's
/// stamp of this bucket may claim to hold. A replica's as-of may lie beyond `applied`,
/// and stamps reach as far as the last heartbeat.
fn next_local(record: Option<&Stored>, watermark: &Watermark) -> Option<Position> {
    let stored = match record {
        Some(Stored::Value { as_of, .. }) => *as_of,
        Some(Stored::Mark { floor, .. }) => *floor,
        None => Position::ZERO,
    };
    let highest = watermark.applied.max(watermark.seen).max(stored);
    highest.next_tick()
}

/// Writes a heartbeat; the last part is the new watermark.
pub fn beat(watermark: Option<&Watermark>, beat: &Beat) -> (Beaten, Watermark) {
    let told = |wm: Watermark| Watermark {
        seen: wm.seen.max(beat.seen),
        ..wm
    };
    match watermark {
        Some(wm) if !wm.has_lost(&beat.known) && !beat.doubted => {
            (Beaten::Fine(told(*wm)), told(*wm))
        }
        Some(wm) => {
            let wm = told(wm.raised(&beat.known));
            (Beaten::Raised(wm), wm)
        }
        None => {
            let begun = told(Watermark::default());
            let wm = begun.raised(&Known {
                seen: begun.seen,
                ..beat.known
            });
            (Beaten::Raised(wm), wm)
        }
    }
}
