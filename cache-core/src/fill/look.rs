//! The look into L1, and why it does not answer.

use super::reason::Reason;
use super::{Ask, Served, Tiers};
use crate::clock::Tick;
use crate::event::Tier;
use crate::model::entry::Stamp;
use crate::model::key::KeyHash;
use crate::tier::l1::Look;
use std::sync::atomic::Ordering;

impl<V: Send + Sync + 'static> Tiers<V> {
    /// Looks in L1: no await, no lock of ours, no allocation.
    pub(crate) fn look(&self, hash: KeyHash, key: &[u8], ask: &Ask) -> Option<Served<V>> {
        self.find(hash, key, ask).ok()
    }

    /// The same, with the reason if L1 does not answer.
    pub(crate) fn find(&self, hash: KeyHash, key: &[u8], ask: &Ask) -> Result<Served<V>, Reason> {
        if !self.switches.l1() {
            return Err(Reason::SwitchedOff);
        }
        let now = self.domain.clock().now();
        if !self.domain.trust().holds(now) {
            return Err(Reason::NotTrusted);
        }
        let look = self.l1.look(hash, key, self.domain.fence(), now);
        self.admit(look, ask, now)
    }

    /// What was found in L1, if it may be served.
    pub(super) fn admit(&self, look: Look<V>, ask: &Ask, now: Tick) -> Result<Served<V>, Reason> {
        let held = match look {
            Look::Hit(held) => held,
            Look::CheckTags(held) => {
                // The count first: a tag that changes during the check is checked
                // again by the next reader.
                let changes = self.l1.tag_changes();
                let stamps = &held.entry.stamps;
                if self.tags.admits_known(stamps) != Some(true) {
                    return Err(self.doubt(stamps));
                }
                held.tags_checked.fetch_max(changes, Ordering::AcqRel);
                held
            }
            Look::Miss(unfit) => return Err(unfit.into()),
        };
        let age = held.age(now);
        let clock = self.domain.clock();
        if held.entry.as_of < ask.at_least {
            return Err(Reason::NotThatFar);
        }
        if !ask.takes(held.entry.stored_ms, || clock.wall_ms()) {
            return Err(Reason::TooOld);
        }
        Ok(Served {
            held,
            tier: Tier::L1,
            age,
            found: now,
        })
    }

    /// Which of the tags does not let an entry pass.
    fn doubt(&self, stamps: &[Stamp]) -> Reason {
        let unknown = stamps
            .iter()
            .find(|s| self.tags.known_floor(&s.tag).is_none());
        let below = || {
            stamps.iter().find_map(|stamp| {
                let floor = self.tags.known_floor(&stamp.tag)?;
                (stamp.as_of < floor).then(|| Reason::TagFloor {
                    tag: stamp.tag.clone(),
                    stamp: stamp.as_of,
                    floor,
                })
            })
        };
        match (unknown, stamps.first()) {
            (Some(stamp), _) => Reason::TagUnknown {
                tag: stamp.tag.clone(),
            },
            // A stamp beyond the reach of its floor is asked of L2 as well.
            (None, Some(first)) => below().unwrap_or(Reason::TagUnknown {
                tag: first.tag.clone(),
            }),
            (None, None) => Reason::NotHeld,
        }
    }
}
