//! Loads, bounded in number and time, and safe against a loader that panics.

use super::batch::{Order, Slot};
use super::probe::Grant;
use super::{Ask, Attempt, Tiers};
use crate::error::{Error, Kind};
use crate::event::{Event, LoadOutcome};
use crate::flight::breaker::{Admission, Turned};
use crate::model::key::KeyHash;
use crate::source::{Cause, Known, Loaded, Stale, Wanted};
use crate::tier::l1::Held;
use futures_util::future::BoxFuture;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;

/// What a load of one key does.
pub type LoadOne<V> =
    Box<dyn FnOnce(Wanted<V>) -> BoxFuture<'static, Result<Loaded<V>, Cause>> + Send>;

/// How one key is loaded.
pub enum Load<V> {
    /// By itself.
    Alone(LoadOne<V>),
    /// Together with others.
    Together(Slot<V>),
}

/// Loads many keys, and answers in their order.
pub type LoadMany<V> =
    Arc<dyn Fn(Vec<Wanted<V>>) -> BoxFuture<'static, Result<Vec<Loaded<V>>, Cause>> + Send + Sync>;

impl<V: Send> Load<V> {
    /// What to call when nobody need wait for this load: it may come later, or never.
    pub(crate) fn step_aside(&self) -> impl Fn() + Send + Sync + use<V> {
        let aside = match self {
            Self::Alone(_) => None,
            Self::Together(slot) => Some(slot.step_aside()),
        };
        move || aside.iter().for_each(|aside| aside())
    }
}

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
        let held = self.still_known(attempt);
        let stale = held.clone().map(|held| Stale::new(Arc::new(Shown(held))));
        let wanted = Wanted::new(attempt.key.clone(), at_least, ask.wants_primary(), stale);
        let loaded = match load {
            Load::Alone(load) => {
                let is_found = |loaded: &Loaded<V>| loaded.value.is_some() || loaded.is_unchanged;
                let load = move || load(wanted);
                self.bounded(attempt.hash, load, is_found).await
            }
            Load::Together(slot) => {
                let loaded = slot.load(wanted, attempt.hash).await;
                loaded.unwrap_or_else(|| Err(self.load_error(Kind::LoadPanicked)))
            }
        }?;
        match loaded.is_unchanged {
            true => self.unchanged(held, loaded),
            false => Ok(loaded),
        }
    }

    /// What L1 has of a key that was not invalidated, however old.
    fn still_known(&self, attempt: &Attempt) -> Option<Arc<Held<V>>> {
        let (hash, key, ask) = (attempt.hash, &attempt.key, Ask::default());
        let served = self.look(hash, key, &ask);
        let served = served.or_else(|| self.look_stale(hash, key, &ask));
        served.map(|served| served.held)
    }

    /// What the loader was shown, as if it had been loaded again.
    fn unchanged(&self, held: Option<Arc<Held<V>>>, loaded: Loaded<V>) -> Result<Loaded<V>, Error> {
        let Some(held) = held else {
            let error = self.load_error(Kind::LoadFailed);
            return Err(error.hint("it answered that nothing had changed, and was shown nothing"));
        };
        let entry = &held.entry;
        // By way of its bytes, which L2 needs anyway: values need not be cloned.
        let again = |value: &V| {
            self.codec
                .decode(&self.encode(value)?)
                .map_err(|error| self.load_error(Kind::Encode).because(error.0))
        };
        let tags = match loaded.tags.is_empty() {
            true => entry
                .stamps
                .iter()
                .skip(1)
                .map(|stamp| stamp.tag.clone())
                .collect(),
            false => loaded.tags,
        };
        Ok(Loaded {
            value: entry.value.as_ref().map(again).transpose()?,
            tags,
            validator: loaded.validator.or_else(|| entry.validator.clone()),
            is_unchanged: false,
            ..loaded
        })
    }

    /// Loads what a batch has ordered: one load, one turn.
    pub(crate) async fn run_batch(&self, orders: Vec<Order<V>>, load: LoadMany<V>) {
        let Some(Order { hash, .. }) = orders.first() else {
            return;
        };
        let hash = *hash;
        let split = |order: Order<V>| (order.wanted, order.answer);
        let (wanted, answers): (Vec<_>, Vec<_>) = orders.into_iter().map(split).unzip();
        let some = |all: &Vec<Loaded<V>>| all.iter().any(|loaded| loaded.value.is_some());
        let loaded = self.bounded(hash, move || load(wanted), some).await;
        let loaded = loaded.and_then(|all| match all.len() == answers.len() {
            true => Ok(all),
            false => Err(self.load_error(Kind::LoadFailed).hint(format!(
                "{} keys were wanted, and the loader answered {}; it answers in their order, an \
                 absence where there is nothing",
                answers.len(),
                all.len()
            ))),
        });
        // Whoever waited and went away is not waited for.
        match loaded {
            Ok(all) => answers.into_iter().zip(all).for_each(|(answer, loaded)| {
                let _ = answer.send(Ok(loaded));
            }),
            Err(error) => answers.into_iter().for_each(|answer| {
                let _ = answer.send(Err(error.clone()));
            }),
        }
    }

    async fn bounded<T: Send + 'static>(
        &self,
        key: KeyHash,
        load: impl FnOnce() -> BoxFuture<'static, Result<T, Cause>> + Send + 'static,
        is_found: impl Fn(&T) -> bool,
    ) -> Result<T, Error> {
        let clock = self.domain.clock();
        let began = clock.now();
        let Some(_turn) = self.loads.enter(self.policy.load_queue).await else {
            self.loaded(LoadOutcome::Shed, clock.now().since(began));
            return Err(self.load_error(Kind::Overloaded));
        };
        let began = clock.now();
        // After the queue: what waits in it when the source goes down is refused at once.
        if let Admission::Refused(pause) = self.breaker.admit(key, began) {
            self.loaded(LoadOutcome::Refused, Duration::ZERO);
            let keys = self.policy.breaker_keys;
            return Err(self.load_error(Kind::SourceDown).hint(format!(
                "loads of {keys} keys in a row failed; one tries again in {pause:?}"
            )));
        }
        // On a task of its own, so that a panic stays there.
        let running = AbortOnDropHandle::new(tokio::spawn(async move { load().await }));
        let result = match tokio::time::timeout(self.policy.load_timeout, running).await {
            Err(_) => Err(self.load_error(Kind::LoadTimeout)),
            Ok(Err(_)) => Err(self.load_error(Kind::LoadPanicked)),
            Ok(Ok(Err(cause))) => Err(self.load_error(Kind::LoadFailed).because(cause)),
            Ok(Ok(Ok(loaded))) => Ok(loaded),
        };
        let outcome = match &result {
            Ok(loaded) if is_found(loaded) => LoadOutcome::Found,
            Ok(_) => LoadOutcome::Absent,
            Err(error) if error.kind() == Kind::LoadTimeout => LoadOutcome::Timeout,
            Err(_) => LoadOutcome::Failed,
        };
        let took = clock.now().since(began);
        self.loaded(outcome, took);
        let turned = match &result {
            Ok(_) => {
                self.measured(took);
                self.breaker.succeeded()
            }
            Err(_) => self.breaker.failed(key, began, clock.now()),
        };
        if let Some(turned) = turned {
            self.turned(turned, &result);
        }
        result
    }

    fn turned<T>(&self, turned: Turned, result: &Result<T, Error>) {
        let (open, cache) = (turned == Turned::Opened, &self.policy.name);
        self.observe(Event::Breaker {
            cache: self.id,
            open,
        });
        let (keys, pause) = (self.policy.breaker_keys, self.policy.breaker_pause);
        match result {
            Err(last) => tracing::error!(
                %cache, keys, ?pause, error = %last,
                "the loads of so many keys in a row failed; the source is left alone"
            ),
            Ok(_) => tracing::info!(%cache, "the source answers again"),
        }
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

/// An old entry, as a loader is shown it.
struct Shown<V>(Arc<Held<V>>);

impl<V: Send + Sync> Known<V> for Shown<V> {
    fn value(&self) -> Option<&V> {
        self.0.entry.value.as_ref()
    }

    fn validator(&self) -> Option<&[u8]> {
        self.0.entry.validator.as_deref()
    }
}

impl<V> fmt::Debug for Load<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alone(_) => "Alone",
            Self::Together(_) => "Together",
        })
    }
}
