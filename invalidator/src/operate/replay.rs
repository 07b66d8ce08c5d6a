//! Announces once more what events of the past made invalid, by the rules of today.
//!
//! Somebody who replays does not believe what is cached: a rule missed a key, a loader
//! lied about its as-of, an old file of Redis was put back. At its old position a change
//! would spare everything that claims to be younger, and that may be just what is wrong.
//! So it is announced as [`announce`](super::announce) does it: after everything that its
//! bucket has seen. A key is then gone, however old the event.

use super::announce::announce;
use super::judged::judge;
use super::read::{Reader, Start};
use crate::rules::Rules;
use async_nats::jetstream::stream::Stream;
use cache_core::wire::invalidation::Target;
use cache_core::{Domain, Error};
use std::collections::HashSet;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How many events a second are replayed unless told otherwise: as many loads at most come
/// to the source from one key each.
pub const RATE: u32 = 500;
/// The parts of a second in which events are announced together.
const PARTS: u32 = 10;
/// How many keys and tags are remembered as announced already: some 20 MB.
const REMEMBERED_MAX: usize = 100_000;

/// Which events, and how fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    /// Where to begin.
    pub start: Start,
    /// The last one.
    pub to: u64,
    /// How many a second at most.
    pub rate: u32,
}

/// What a replay came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// The events that were read.
    pub events: u64,
    /// The first and the last of them.
    pub range: Option<(u64, u64)>,
    /// The keys and tags that were announced, each once or not often more.
    pub announced: u64,
    /// The events that the rules cannot read: for them whole caches were cleared, as when
    /// they came.
    pub unreadable: u64,
}

/// Replays; without a `domain` it only counts. `filter` is the rules file's.
///
/// # Errors
/// [`cache_core::Kind::Unavailable`] when NATS or L2 stays away. Replaying again is
/// harmless.
pub async fn replay(
    domain: Option<&Domain>,
    stream: &Stream,
    filter: Option<&str>,
    rules: &Rules,
    order: Order,
) -> Result<Replayed, Error> {
    let mut reader = Reader::open(stream, order.start, filter).await?;
    let mut replayed = Replayed::default();
    let mut remembered = HashSet::new();
    // Few a second come one by one, many in parts.
    let part = order.rate.div_ceil(PARTS).max(1);
    let every = Duration::from_secs(1) * part / order.rate.max(1);
    let mut tick = interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if domain.is_some() {
            tick.tick().await;
        }
        let mut targets = Vec::new();
        let mut ended = false;
        for _ in 0..part {
            let next = reader.next_stored().await?;
            let Some(event) = next.filter(|event| event.sequence <= order.to) else {
                ended = true;
                break;
            };
            let decision = judge(&event, rules);
            replayed.count(event.sequence, decision.letter.is_some());
            targets.extend(decision.targets);
        }
        let fresh = unheard(targets, &mut remembered);
        replayed.announced += fresh.len() as u64;
        if let Some(domain) = domain {
            announce(domain, &fresh).await?;
        }
        if ended {
            return Ok(replayed);
        }
    }
}

/// Those that this replay has not announced yet: what was cached since then was loaded
/// since then.
fn unheard(targets: Vec<Target>, remembered: &mut HashSet<Target>) -> Vec<Target> {
    if remembered.len() + targets.len() > REMEMBERED_MAX {
        remembered.clear();
    }
    let new = targets.into_iter();
    new.filter(|target| remembered.insert(target.clone()))
        .collect()
}

impl Replayed {
    fn count(&mut self, sequence: u64, unreadable: bool) {
        self.events += 1;
        self.unreadable += u64::from(unreadable);
        let first = self.range.map_or(sequence, |(first, _)| first);
        self.range = Some((first, sequence));
    }
}
