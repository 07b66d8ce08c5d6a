//! Refresh-ahead: an entry that is still asked for is loaded anew before it expires, so
//! that nobody waits for it.
//!
//! When, is drawn for each copy of an entry: at a share of its lifetime, or earlier, the
//! longer its loads take, so that processes rarely begin together (XFetch: Vattani,
//! Chierichetti and Lowenstein, VLDB 2015). Only a read begins it, so what nobody asks
//! for expires. One process loads, under a lease over the value, which is served all the
//! while; an invalidation ends either.

use super::probe::{Leasing, Worth};
use super::run::Load;
use super::{Ask, Attempt, Served, Tiers};
use crate::event::{Event, RefreshOutcome};
use crate::model::entry::Entry;
use crate::tier::Seen;
use crate::tier::l1::Age;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The share of a new measurement in the running mean of how long loads take, as TCP
/// smooths its round trips (RFC 6298).
const SMOOTHING: u32 = 8;

impl<V: Send + Sync + 'static> Tiers<V> {
    /// How long from `now` until an entry is due, if its policy refreshes it.
    pub(crate) fn due_in(&self, entry: &Entry<V>, wall_ms: u64) -> Duration {
        let Some(refresh) = &self.policy.refresh else {
            return Duration::MAX;
        };
        let mean = Duration::from_micros(self.load_us.load(Ordering::Relaxed));
        // Exponentially distributed, as the logarithm of a uniform share is.
        let drawn = -self.domain.random().share().max(f64::MIN_POSITIVE).ln();
        let early = mean.mul_f64((refresh.beta * drawn).min(1_000.0));
        let last = entry.ttl.mul_f64(1.0 - refresh.share);
        entry.remaining(wall_ms).saturating_sub(early.max(last))
    }

    /// A load took so long.
    pub(crate) fn measured(&self, took: Duration) {
        let took = took.as_micros() as u64;
        let before = self.load_us.load(Ordering::Relaxed);
        let mean = match before {
            0 => took,
            _ => before - before / u64::from(SMOOTHING) + took / u64::from(SMOOTHING),
        };
        self.load_us.store(mean, Ordering::Relaxed);
    }

    /// Loads anew what was just served, in the background, unless somebody does already
    /// or the budget is used up.
    pub(crate) fn refresh(self: &Arc<Self>, attempt: Attempt, served: &Served<V>, load: Load<V>) {
        load.step_aside()();
        let held = served.held.clone();
        if !held.claim_refresh() {
            return;
        }
        let now = self.domain.clock().now();
        let turn = match self.refreshes.take(now) {
            Some(turn) if !self.loads.is_busy() => turn,
            _ => {
                held.give_refresh_back();
                return self.refreshed(RefreshOutcome::Skipped);
            }
        };
        let tiers = self.clone();
        self.domain.run(async move {
            let _turn = turn;
            let outcome = tiers.load_anew(&attempt, &held.entry, load).await;
            tiers.refreshed(outcome);
        });
    }

    async fn load_anew(
        &self,
        attempt: &Attempt,
        entry: &Entry<V>,
        load: Load<V>,
    ) -> RefreshOutcome {
        let ask = Ask::default();
        // Another process may have loaded it since this one took its copy. The as-of does
        // not show it: without a change, a younger value is as of the same.
        let Ok(reading) = self.domain.remote().read(&attempt.address).await else {
            return RefreshOutcome::Failed;
        };
        if let Worth::Good(held) = self.examine(attempt, &ask, reading).await
            && held.age(self.domain.clock().now()) == Age::Fresh
        {
            self.keep(attempt, &held);
            return RefreshOutcome::Elsewhere;
        }
        let grant = match self.lease(attempt, Seen::Expired(entry.as_of)).await {
            Leasing::Granted(grant) => grant,
            Leasing::Busy(_) | Leasing::Present => return RefreshOutcome::Elsewhere,
            Leasing::None => return RefreshOutcome::Failed,
        };
        let Ok(loaded) = self.run_load(attempt, &ask, Some(&grant), load).await else {
            return RefreshOutcome::Failed;
        };
        match self.offer(attempt, Some(grant), loaded, None).await {
            Ok(_) => RefreshOutcome::Loaded,
            Err(_) => RefreshOutcome::Failed,
        }
    }

    fn refreshed(&self, outcome: RefreshOutcome) {
        self.observe(Event::Refresh {
            cache: self.id,
            outcome,
        });
    }
}
