//! Values that come without a lease: what they are worth, the policy says.

use crate::coherence::announce::Change;
use crate::error::{Error, Kind};
use crate::fill::offer::FillOutcome;
use crate::fill::{Ask, Tiers};
use crate::model::key::Key;
use crate::model::position::Position;
use crate::policy::UnleasedSet;
use crate::source::Loaded;
use crate::strategy::cache_aside::Lookup;
use std::sync::Arc;
use std::time::Duration;

/// What became of a value set without a lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOutcome {
    /// Stored; every older copy is invalid.
    Stored,
    /// Not stored: older than what is known.
    Superseded,
    /// Not stored, by the policy or because L2 is away; the key is invalidated, and
    /// the next reader loads.
    Invalidated,
}

impl<V: Send + Sync + 'static> Tiers<V> {
    /// Stores a value as far as the policy allows it, and invalidates the key otherwise;
    /// the position of that invalidation, if L2 has it. A value that was stored has none
    /// that a reader could ask for: other processes may hold an older one with the same.
    ///
    /// # Errors
    /// As [`crate::Cache::set`].
    pub(crate) async fn set_unleased(
        self: &Arc<Self>,
        key: Key<'_>,
        loaded: Loaded<V>,
        ttl: Option<Duration>,
    ) -> Result<(SetOutcome, Option<Position>), Error> {
        let outcome = match self.policy.unleased_set {
            UnleasedSet::Stores if self.switches.l2() => {
                let attempt = self.attempt(key);
                self.set(&attempt, loaded, ttl).await?
            }
            UnleasedSet::Invalidates | UnleasedSet::Stores => FillOutcome::NotKept,
        };
        match outcome {
            FillOutcome::Stored(as_of) => {
                // The value stays, since it is not older than its own position;
                // the copies in other processes go.
                self.announce_key(key, Some(as_of)).await?;
                Ok((SetOutcome::Stored, None))
            }
            FillOutcome::Superseded => Ok((SetOutcome::Superseded, None)),
            FillOutcome::LeaseLost | FillOutcome::NotKept | FillOutcome::Unreachable => {
                let position = self.announce_key(key, None).await?;
                Ok((SetOutcome::Invalidated, position))
            }
        }
    }

    /// Stores a value where L2 has no entry and nobody loads one; nothing where that does
    /// not hold, or nobody can say. The lease makes it one step: whatever comes between its
    /// grant and the fill takes it away.
    ///
    /// # Errors
    /// As [`crate::Cache::set_if_absent`].
    pub(crate) async fn set_if_absent(
        self: &Arc<Self>,
        key: Key<'_>,
        loaded: Loaded<V>,
        ttl: Option<Duration>,
    ) -> Result<Option<SetOutcome>, Error> {
        if self.policy.unleased_set == UnleasedSet::Invalidates {
            let error = Error::new(Kind::Invalid, "setting a value", self.policy.name.as_str());
            return Err(error.hint("its policy stores no value that comes without a lease"));
        }
        let ask = Ask {
            wait: Some(Duration::ZERO),
            ..Ask::default()
        };
        let Lookup::Miss(ticket) = self.get(key, &ask).await else {
            return Ok(None);
        };
        if !ticket.has_lease() {
            return Ok(None);
        }
        match ticket.fill(loaded, ttl).await? {
            (_, FillOutcome::Stored(as_of)) => {
                // L1s may hold what L2 has forgotten, and it is another value.
                self.announce_key(key, Some(as_of)).await?;
                Ok(Some(SetOutcome::Stored))
            }
            (_, FillOutcome::Superseded) => Ok(Some(SetOutcome::Superseded)),
            _ => Ok(None),
        }
    }

    /// Announces a change of a key; its position, if L2 has it.
    pub(super) async fn announce_key(
        &self,
        key: Key<'_>,
        position: Option<Position>,
    ) -> Result<Option<Position>, Error> {
        let change = Change::key(&self.policy.name, key, position);
        let domain = self.domain.clone();
        // It goes on if the caller goes away, see `Domain::announce_all`.
        let announcing = async move { domain.announce_whole(&[change]).await };
        let announced = self.domain.see_through(announcing).await?;
        Ok(announced.first().copied().flatten())
    }
}
