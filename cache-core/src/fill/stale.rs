//! Stale answers while the source is slow or fails (RFC 5861): old by time, never by an
//! invalidation.
//!
//! An expired entry stays in both tiers for `stale_ttl`. Fence, floors, tags and trust
//! end it as they end a fresh one: whatever was invalidated is not served, however long
//! the source may be away.

use super::{Ask, Flown, Served, Tiers};
use crate::flight::single::Follow;
use crate::model::key::{Key, KeyHash};

impl<V: Send + Sync + 'static> Tiers<V> {
    /// An entry that may be served though it has expired.
    pub(crate) fn look_stale(&self, hash: KeyHash, key: &[u8], ask: &Ask) -> Option<Served<V>> {
        let now = self.domain.clock().now();
        let may = self.switches.l1() && !self.policy.lifetime.stale_ttl.is_zero();
        if !may || !self.domain.trust().holds(now) {
            return None;
        }
        let look = self.l1.look_stale(hash, key, self.domain.fence(), now);
        self.admit(look, ask, now).ok()
    }

    /// The same, and from here on it is served for a while without another load: a source
    /// that is slow, or has just failed, is left alone.
    pub(crate) fn hold_over(&self, key: Key<'_>, ask: &Ask) -> Option<Served<V>> {
        let served = self.look_stale(self.space.hash(key), key.bytes(), ask)?;
        let until = self.domain.clock().now().after(self.policy.load_backoff);
        served.held.hold_over(until);
        Some(served)
    }

    /// Waits for a flight; `None` means that its leader went away. If it takes long, an
    /// expired entry is the answer, and the flight goes on.
    pub(crate) async fn wait_for(
        &self,
        follow: Follow<Flown<V>>,
        key: Key<'_>,
        ask: &Ask,
    ) -> Option<Flown<V>> {
        let flight = follow.wait();
        tokio::pin!(flight);
        if !self.policy.lifetime.stale_ttl.is_zero() {
            let patience = self.policy.soft_timeout;
            match tokio::time::timeout(patience, &mut flight).await {
                Ok(flown) => return flown,
                Err(_) => {
                    if let Some(served) = self.hold_over(key, ask) {
                        return Some(Ok(served));
                    }
                }
            }
        }
        flight.await
    }
}
