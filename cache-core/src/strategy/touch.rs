//! Another end for an entry that is there: its value, its position and the time of its load
//! stay, so it reaches as far as before, and lives no longer than any.

use crate::coherence::announce::Told;
use crate::error::Error;
use crate::fill::Tiers;
use crate::model::entry::Entry;
use crate::model::key::Key;
use crate::model::lifetime::{TTL_MAX, UNKNOWN_TTL_MAX};
use crate::model::position::Position;
use crate::tier::tags::Reach;
use crate::tier::{Record, Touch};
use crate::wire::envelope;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// What became of an entry that was touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TouchOutcome {
    /// It has the new end in L2, and the copies in L1s are dropped.
    Touched {
        /// When it expires, in milliseconds of the storing machine's wall clock.
        expires_ms: u64,
    },
    /// There is no value in L2 that may be served.
    NotFound,
    /// It was replaced, invalidated or put under a lease meanwhile.
    Changed,
    /// L2 cannot be reached, or is switched off.
    Unreachable,
}

impl<V: Send + Sync + 'static> Tiers<V> {
    /// Has a value in L2 served for `ttl` from now on, as far as it may be.
    ///
    /// # Errors
    /// As [`crate::Cache::touch`].
    pub(crate) async fn touch(
        self: &Arc<Self>,
        key: Key<'_>,
        ttl: Duration,
    ) -> Result<TouchOutcome, Error> {
        let attempt = self.attempt(key);
        let Some(reading) = self.read(&attempt).await else {
            return Ok(TouchOutcome::Unreachable);
        };
        let Some(Record::Value { as_of, body: was }) = reading.record.clone() else {
            return Ok(TouchOutcome::NotFound);
        };
        let Ok(weighed) = self.weigh(&attempt, &reading) else {
            return Ok(TouchOutcome::NotFound);
        };
        let is_over = weighed.is_expired || weighed.entry.value.is_none();
        let mut entry = weighed.entry;
        if is_over || !self.tags_admit(&entry.stamps, Reach::Known).await {
            return Ok(TouchOutcome::NotFound);
        }
        let wall_ms = self.domain.clock().wall_ms();
        entry.ttl = self.lifetime_from(&entry, wall_ms, ttl);
        let touch = Touch {
            as_of,
            was,
            body: envelope::seal(self.label(&attempt), &entry),
            ttl: entry.remaining_stale(wall_ms, self.policy.lifetime.stale_ttl),
        };
        match self.domain.remote().touch(&attempt.address, touch).await {
            Err(_) => return Ok(TouchOutcome::Unreachable),
            Ok(false) => return Ok(TouchOutcome::Changed),
            Ok(true) => {}
        }
        // The copies have the old end. The value is no newer than it was: nobody need
        // expect L2 to have come any further.
        let told = Told {
            change: self.change(&attempt),
            position: Position::ZERO,
            raised: None,
        };
        let domain = self.domain.clone();
        let telling = async move { domain.tell_written(&[told]).await };
        self.domain.see_through(telling).await?;
        let life = u64::try_from(entry.ttl.as_millis()).unwrap_or(u64::MAX);
        let expires_ms = entry.stored_ms.saturating_add(life);
        Ok(TouchOutcome::Touched { expires_ms })
    }

    /// The lifetime, from the load on, that leaves an entry `ttl` from `wall_ms` on.
    fn lifetime_from(&self, entry: &Entry<Bytes>, wall_ms: u64, ttl: Duration) -> Duration {
        let most = match entry.fleeting {
            true => UNKNOWN_TTL_MAX,
            false => TTL_MAX,
        };
        let age = Duration::from_millis(wall_ms.saturating_sub(entry.stored_ms));
        self.switches.within_cap(age.saturating_add(ttl).min(most))
    }
}
