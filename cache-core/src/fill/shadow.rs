//! Shadow compare: a sample of the hits is held against the source, in the background.
//!
//! It finds what no protocol can mend: a writer whose changes cause no event, a rule that
//! misses a key. That the source has moved on is no proof, since every cache is a little
//! behind; that the very same entry is still served long afterwards is one.

use super::probe::Worth;
use super::run::Load;
use super::{Ask, Attempt, Served, Tiers};
use crate::event::{Event, ShadowOutcome};
use crate::model::as_of::AsOf;
use crate::model::entry::Entry;
use std::sync::Arc;

/// How many spans of trust an entry may outlive another content of the source: 10 s by
/// default. An invalidator that dies with events in hand gives them back after 5 s, and
/// one that is cut off is believed for two spans.
const SPANS: u32 = 5;

impl<V: Send + Sync + 'static> Tiers<V> {
    /// Compares what was served with what `load` finds, unless too much is going on.
    pub(crate) fn compare(self: &Arc<Self>, attempt: Attempt, served: &Served<V>, load: Load<V>) {
        load.step_aside()();
        let served = served.clone();
        // A place that a caller may need is not taken.
        let turn = match self.sample.turn() {
            Some(turn) if !self.loads.is_busy() => turn,
            _ => return self.compared(&attempt, &served, ShadowOutcome::Skipped),
        };
        let tiers = self.clone();
        self.domain.run(async move {
            let _turn = turn;
            let outcome = tiers.hold_against(&attempt, &served, load).await;
            tiers.compared(&attempt, &served, outcome);
        });
    }

    async fn hold_against(
        &self,
        attempt: &Attempt,
        served: &Served<V>,
        load: Load<V>,
    ) -> ShadowOutcome {
        let entry = &served.held.entry;
        let ask = Ask {
            at_least: entry.as_of,
            ..Ask::default()
        };
        let Ok(loaded) = self.run_load(attempt, &ask, None, load).await else {
            return ShadowOutcome::Unknown;
        };
        let reaches = match loaded.as_of {
            AsOf::Leased => true,
            AsOf::Position(position) => position >= entry.as_of,
            AsOf::Unknown => false,
        };
        match self.have_same_bytes(entry.value.as_ref(), loaded.value.as_ref()) {
            Some(same) if reaches => match same {
                true => ShadowOutcome::Agreed,
                false => self.outlives(attempt, entry).await,
            },
            _ => ShadowOutcome::Unknown,
        }
    }

    /// Whether two values are the same to everybody who could read them; nothing if one
    /// of them cannot be encoded.
    pub(super) fn have_same_bytes(&self, one: Option<&V>, other: Option<&V>) -> Option<bool> {
        let bytes = |value: Option<&V>| value.map(|value| self.codec.encode(value)).transpose();
        Some(bytes(one).ok()? == bytes(other).ok()?)
    }

    /// The source has had another content: waits, and looks whether this entry is served
    /// all the same.
    async fn outlives(&self, attempt: &Attempt, entry: &Entry<V>) -> ShadowOutcome {
        tokio::time::sleep(self.domain.timing().trust * SPANS).await;
        // Without anybody who carries changes, nobody promises that one has come.
        if !self.domain.trust().holds(self.domain.clock().now()) {
            return ShadowOutcome::Unknown;
        }
        let held = match self.look(attempt.hash, &attempt.key, &Ask::default()) {
            Some(served) => served.held,
            None => {
                let Some(reading) = self.read(attempt).await else {
                    return ShadowOutcome::Unknown;
                };
                match self.examine(attempt, &Ask::default(), reading).await {
                    Worth::Good(held) => held,
                    Worth::Expired(_) | Worth::TooOld(_) | Worth::Nothing(_) => {
                        return ShadowOutcome::Lag;
                    }
                    Worth::Distrusted => return ShadowOutcome::Unknown,
                }
            }
        };
        if held.entry.is_copy_of(entry) {
            ShadowOutcome::Wrong
        } else {
            ShadowOutcome::Lag
        }
    }

    fn compared(&self, attempt: &Attempt, served: &Served<V>, outcome: ShadowOutcome) {
        self.observe(Event::Shadow {
            cache: self.id,
            outcome,
            key: attempt.hash,
            tier: served.tier,
            as_of: served.held.entry.as_of,
        });
    }
}
