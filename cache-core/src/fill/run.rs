//! One load, bounded in number and time, and safe against a loader that panics.

use super::probe::Grant;
use super::{Ask, Attempt, Tiers};
use crate::error::{Error, Kind};
use crate::event::{Event, LoadOutcome};
use crate::source::{Cause, Loaded, Wanted};
use futures_util::future::BoxFuture;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// A load that can be run once.
pub type Load<V> = Box<dyn FnOnce(Wanted) -> BoxFuture<'static, Result<Loaded<V>, Cause>> + Send>;

impl<V: Send + Sync + 'static> Tiers<V> {
    /// Runs a load within the limits of the policy.
    pub(crate) async fn run_load(
        &self,
        attempt: &Attempt,
        ask: &Ask,
        grant: Option<&Grant>,
        load: Load<V>,
    ) -> Result<Loaded<V>, Error> {
        let at_least = ask.at_least.max(self.reach(attempt, grant));
        let clock = self.domain.clock();
        let began = clock.now();
        let Some(_turn) = self.loads.enter(self.policy.load_queue).await else {
            self.loaded(LoadOutcome::Shed, clock.now().since(began));
            return Err(self.load_error(Kind::Overloaded));
        };
        let began = clock.now();
        let wanted = Wanted::new(attempt.key.clone(), at_least);
        // On a task of its own, so that a panic stays there.
        let running = AbortOnDropHandle::new(tokio::spawn(load(wanted)));
        let result = match tokio::time::timeout(self.policy.load_timeout, running).await {
            Err(_) => Err(self.load_error(Kind::LoadTimeout)),
            Ok(Err(_)) => Err(self.load_error(Kind::LoadPanicked)),
            Ok(Ok(Err(cause))) => Err(self.load_error(Kind::LoadFailed).because(cause)),
            Ok(Ok(Ok(loaded))) => Ok(loaded),
        };
        let outcome = match &result {
            Ok(loaded) if loaded.value.is_some() => LoadOutcome::Found,
            Ok(_) => LoadOutcome::Absent,
            Err(error) if error.kind() == Kind::LoadTimeout => LoadOutcome::Timeout,
            Err(_) => LoadOutcome::Failed,
        };
        let took = clock.now().since(began);
        if result.is_ok() {
            self.measured(took);
        }
        self.loaded(outcome, took);
        result
    }

    fn loaded(&self, outcome: LoadOutcome, took: Duration) {
        self.observe(Event::Load {
            cache: self.id,
            outcome,
            took,
        });
    }

    pub(crate) fn load_error(&self, kind: Kind) -> Error {
        Error::new(kind, "loading a value", self.policy.name.as_str())
    }
}
