//! How the changes that this process makes by itself go out: L2, the bus, and a place in
//! the queue of what L2 lacks.

use super::Domain;
use crate::coherence::announce::{ANNOUNCE_MAX, Announced, Change, Told};
use crate::error::{Error, Kind};
use crate::model::position::Position;
use crate::wire::invalidation::Invalidation;
use std::sync::Arc;

impl Domain {
    /// Announces a local change: everywhere if L2 can be reached, else as far as
    /// possible, to be repeated until L2 has it. Returns whether L2 has it.
    ///
    /// This process itself is done with it on return.
    ///
    /// # Errors
    /// [`Kind::Overloaded`] when too many already wait for L2: this one is not
    /// kept, and only the change stream (or the TTL) repairs it.
    pub async fn announce(self: &Arc<Self>, change: Change) -> Result<bool, Error> {
        self.announce_all(vec![change]).await
    }

    /// Announces many local changes as [`Domain::announce`] does one: in one round trip of
    /// L2, and few messages. Returns whether L2 has all of them.
    ///
    /// # Errors
    /// As [`Domain::announce`].
    pub async fn announce_all(self: &Arc<Self>, changes: Vec<Change>) -> Result<bool, Error> {
        let domain = self.clone();
        // A caller that goes away between L2 and the bus would leave every L1 with what
        // L2 has just refused.
        let announced = self
            .see_through(async move { domain.announce_whole(&changes).await })
            .await?;
        Ok(announced.iter().all(Option::is_some))
    }

    /// Runs a task to its end, even if the caller goes away or the domain is left.
    ///
    /// # Errors
    /// The task's, and [`Kind::Unavailable`] if it panicked.
    pub(crate) async fn see_through<T: Send + 'static>(
        &self,
        task: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let ended = self.tasks.spawn_on(task, &self.runtime).await;
        ended.unwrap_or_else(|cause| {
            let subject = self.name.as_str();
            Err(Error::new(Kind::Unavailable, "announcing a change", subject).because(cause))
        })
    }

    /// Announces local changes; their positions, where L2 has them.
    ///
    /// # Errors
    /// As [`Domain::announce`].
    pub(crate) async fn announce_whole(
        &self,
        changes: &[Change],
    ) -> Result<Vec<Option<Position>>, Error> {
        let mut positions = Vec::with_capacity(changes.len());
        for some in changes.chunks(ANNOUNCE_MAX) {
            // Without the bus, nothing counts as announced.
            let announced = self.announcer.announce(some).await.unwrap_or_default();
            positions.extend((0..some.len()).map(|at| match announced.get(at) {
                Some(Announced::Everywhere(position)) => Some(*position),
                Some(Announced::NotInL2(_)) | None => None,
            }));
        }
        let mut lost = 0;
        for (change, position) in changes.iter().zip(&positions) {
            self.done_with(change, *position);
            if position.is_none() && !self.retries.keep(change.clone()) {
                lost += 1;
            }
        }
        if lost == 0 {
            return Ok(positions);
        }
        let doing = "keeping an invalidation for L2";
        let error = Error::new(Kind::Overloaded, doing, self.name.as_str());
        Err(error.hint("L2 has been away for too long; the change stream must repair this one"))
    }

    /// Tells everybody of keys that L2 has just been given newer values of, or has
    /// invalidated in the same steps. If the bus cannot carry it, the keys are invalidated
    /// once more, which is repeated until it is told.
    ///
    /// # Errors
    /// As [`Domain::announce`].
    pub(crate) async fn tell_written(&self, written: &[Told]) -> Result<(), Error> {
        if written.is_empty() {
            return Ok(());
        }
        let told = self.announcer.tell_written(written).await;
        for one in written {
            self.done_with(&one.change, Some(one.position));
        }
        match told {
            Ok(()) => Ok(()),
            Err(_) => {
                let changes: Vec<_> = written.iter().map(|one| one.change.clone()).collect();
                self.announce_whole(&changes).await.map(drop)
            }
        }
    }

    /// This process itself hears of a change without the bus.
    fn done_with(&self, change: &Change, position: Option<Position>) {
        self.applier.apply(&Invalidation {
            target: change.target().clone(),
            position: position.unwrap_or_default(),
            changed_ms: None,
            in_l2: position.is_some(),
        });
    }
}
