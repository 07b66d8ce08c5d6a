//! Refresh-ahead: an entry that is still asked for is loaded anew before it expires, so
//! that nobody waits for it.
//!
//! When, is drawn for each copy of an entry: at a share of its lifetime, or earlier, the
//! longer its loads take, so that those are over in time (XFetch: Vattani, Chierichetti
//! and Lowenstein, VLDB 2015). Only a read begins it, so what nobody asks for expires.
//! One process loads, under a lease over the value, which is served all the while; an
//! invalidation ends either.

use super::probe::{Leasing, Worth};
use super::run::Load;
use super::{Ask, Attempt, Served, Tiers};
use crate::event::{Event, RefreshOutcome};
use crate::model::entry::Entry;
use crate::source::Loaded;
use crate::tier::Seen;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// The share of a new measurement in the running mean of how long loads take, as TCP
/// smooths its round trips (RFC 6298).
const SMOOTHING: u32 = 8;
/// How long a copy is left alone for which there was no room in the budget: hits of due
/// entries must stay cheap.
const NO_ROOM: Duration = Duration::from_millis(100);

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
    /// or the budget is used up. Whoever cannot, does not try again with this copy for a
    /// while; so it does if what it tried comes to nothing.
    pub(crate) fn refresh(
        self: &Arc<Self>,
        attempt: impl FnOnce() -> Attempt,
        served: &Served<V>,
        load: Load<V>,
    ) {
        let now = self.domain.clock().now();
        let off = now.after(self.policy.load_backoff);
        if !served.held.claim_refresh(now, off) {
            return;
        }
        load.step_aside()();
        let held = served.held.clone();
        let room = !self.loads.is_busy();
        let Some(turn) = room.then(|| self.refreshes.take(now)).flatten() else {
            held.put_refresh_off(now.after(NO_ROOM));
            return self.refreshed(RefreshOutcome::Skipped);
        };
        let (tiers, attempt) = (self.clone(), attempt());
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
        let Some(reading) = self.read(attempt).await else {
            return RefreshOutcome::Failed;
        };
        match self.examine(attempt, &ask, reading).await {
            Worth::Good(held) if !held.entry.is_copy_of(entry) => {
                self.keep(attempt, &held);
                return RefreshOutcome::Elsewhere;
            }
            // A lease in such a bucket could let a value in that its mending would refuse.
            Worth::Distrusted => return RefreshOutcome::Failed,
            _ => {}
        }
        let grant = match self.lease(attempt, Seen::Expired(entry.as_of)).await {
            Leasing::Granted(grant) => grant,
            Leasing::Busy(_) | Leasing::Present => return RefreshOutcome::Elsewhere,
            Leasing::None => return RefreshOutcome::Failed,
        };
        let Ok(loaded) = self.run_load(attempt, &ask, Some(&grant), load).await else {
            return RefreshOutcome::Failed;
        };
        let loaded = self.prolonged(entry, loaded);
        match self.offer(attempt, Some(grant), loaded, None).await {
            Ok(_) => RefreshOutcome::Loaded,
            Err(_) => RefreshOutcome::Failed,
        }
    }

    /// A value that a refresh found as it was lives longer, if the policy lets it.
    fn prolonged(&self, entry: &Entry<V>, loaded: Loaded<V>) -> Loaded<V> {
        let most = self.policy.refresh.and_then(|refresh| refresh.ttl_max);
        let (Some(most), Some(value)) = (most, &loaded.value) else {
            return loaded;
        };
        if loaded.ttl.is_some()
            || self.have_same_bytes(entry.value.as_ref(), Some(value)) != Some(true)
        {
            return loaded;
        }
        let doubled = entry.ttl.saturating_mul(2).min(most);
        loaded.living(doubled.max(self.policy.lifetime.ttl))
    }

    fn refreshed(&self, outcome: RefreshOutcome) {
        self.observe(Event::Refresh {
            cache: self.id,
            outcome,
        });
    }
}
