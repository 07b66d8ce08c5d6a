//! Warming up: keys that will be asked for are loaded before they are, at a pace that the
//! source bears.

use crate::error::{Error, Kind};
use crate::event::Tier;
use crate::fill::run::Load;
use crate::fill::{Ask, Tiers};
use crate::model::key::Key;
use crate::source::Loader;
use crate::tier::l1::Age;
use futures_util::future::join_all;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// So many loads in a row that nothing kept end a warm-up: L2 is away.
const IN_VAIN_MAX: u64 = 10;

/// The pace of a warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WarmUp {
    /// How many keys are loaded at once: 4, so that callers find most turns free.
    pub at_once: usize,
    /// How many loads begin in a second, on average: 100. What a tier has already does not
    /// count.
    pub per_second: u32,
}

impl Default for WarmUp {
    fn default() -> Self {
        Self {
            at_once: 4,
            per_second: 100,
        }
    }
}

/// What a warm-up came to, in keys.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Warmed {
    /// Loaded and kept.
    pub loaded: u64,
    /// A tier had them already.
    pub present: u64,
    /// The source has none of them.
    pub absent: u64,
    /// Loaded, and not kept: changed meanwhile, or L2 is away.
    pub not_kept: u64,
    /// Not loaded in time or at all; see `error`, unless expired values are at hand.
    pub failed: u64,
    /// Not tried any more, because the source or L2 is away.
    pub skipped: u64,
    /// The first error.
    pub error: Option<Error>,
}

/// One warm-up under way.
struct Warming<V, I> {
    tiers: Arc<Tiers<V>>,
    loader: Arc<dyn Loader<V>>,
    keys: Mutex<I>,
    every: Duration,
    state: Mutex<State>,
}

struct State {
    warmed: Warmed,
    /// The next load begins no earlier.
    next: Instant,
    /// The loads in a row that nothing kept.
    in_vain: u64,
    is_over: bool,
}

impl WarmUp {
    fn check(&self) -> Result<(), Error> {
        let some = 1..=10_000;
        if some.contains(&self.at_once) && some.contains(&(self.per_second as usize)) {
            return Ok(());
        }
        let error = Error::new(Kind::Invalid, "warming up", format!("{self:?}"));
        Err(error.hint("1 to 10000 keys at once and a second"))
    }
}

impl<V: Send + Sync + 'static> Tiers<V> {
    /// Loads what no tier has, in the way of any read.
    pub(crate) async fn warm_up<K: AsRef<[u8]>>(
        self: &Arc<Self>,
        keys: impl IntoIterator<Item = K>,
        loader: Arc<dyn Loader<V>>,
        pace: WarmUp,
    ) -> Result<Warmed, Error> {
        pace.check()?;
        let warming = Warming {
            tiers: self.clone(),
            loader,
            keys: Mutex::new(keys.into_iter()),
            every: Duration::from_secs(1) / pace.per_second,
            state: Mutex::new(State {
                warmed: Warmed::default(),
                next: Instant::now(),
                in_vain: 0,
                is_over: false,
            }),
        };
        let workers = (0..pace.at_once).map(|_| warming.work());
        join_all(workers.collect::<Vec<_>>()).await;
        let mut warmed = warming.state.into_inner().warmed;
        warmed.skipped += warming.keys.into_inner().count() as u64;
        Ok(warmed)
    }
}

impl<V, I, K> Warming<V, I>
where
    V: Send + Sync + 'static,
    I: Iterator<Item = K>,
    K: AsRef<[u8]>,
{
    async fn work(&self) {
        while !self.is_over() {
            let Some(key) = self.keys.lock().next() else {
                return;
            };
            if !self.turn().await {
                self.state.lock().warmed.skipped += 1;
                return;
            }
            self.warm(key.as_ref()).await;
        }
    }

    /// Whether the source is left alone, or nothing keeps what it answers.
    fn is_over(&self) -> bool {
        let now = self.tiers.domain.clock().now();
        let is_shut = self.tiers.breaker.is_shut(now);
        let mut state = self.state.lock();
        state.is_over |= is_shut || state.in_vain >= IN_VAIN_MAX;
        state.is_over
    }

    /// Waits until a load may begin; false if none may any more.
    async fn turn(&self) -> bool {
        loop {
            if self.is_over() {
                return false;
            }
            let next = self.state.lock().next;
            if next <= Instant::now() {
                return true;
            }
            tokio::time::sleep_until(next).await;
        }
    }

    async fn warm(&self, bytes: &[u8]) {
        let key = match Key::new(bytes) {
            Ok(key) => key,
            Err(error) => return self.failed(error),
        };
        let loader = self.loader.clone();
        let began = Arc::new(Mutex::new(false));
        let begins = began.clone();
        let load = Load::Alone(Box::new(move |wanted| {
            *begins.lock() = true;
            let loading = async move { loader.load(wanted).await };
            Box::pin(loading) as futures_util::future::BoxFuture<'static, _>
        }));
        let flown = self.tiers.get_or_load(key, &Ask::default(), load).await;
        let is_kept = self.tiers.l1.has(self.tiers.space.hash(key), key.bytes());
        let began = *began.lock();
        let mut state = self.state.lock();
        if began {
            let now = Instant::now();
            state.next = state.next.max(now.checked_sub(self.every).unwrap_or(now)) + self.every;
        }
        let served = match flown {
            Ok(served) => served,
            Err(error) => {
                drop(state);
                return self.failed(error);
            }
        };
        let (is_loaded, value) = (served.tier == Tier::None, &served.held.entry.value);
        let is_vain = is_loaded && value.is_some() && !is_kept;
        state.in_vain = if is_vain { state.in_vain + 1 } else { 0 };
        let warmed = &mut state.warmed;
        let count = match value {
            // The load was slow or failed, and an expired value is at hand.
            _ if served.age == Age::Stale => &mut warmed.failed,
            None => &mut warmed.absent,
            Some(_) if is_vain => &mut warmed.not_kept,
            Some(_) if is_loaded => &mut warmed.loaded,
            Some(_) => &mut warmed.present,
        };
        *count += 1;
    }

    fn failed(&self, error: Error) {
        let mut state = self.state.lock();
        let warmed = &mut state.warmed;
        // Refused by the breaker, so not tried.
        match error.kind() == Kind::SourceDown {
            true => warmed.skipped += 1,
            false => warmed.failed += 1,
        }
        warmed.error.get_or_insert(error);
    }
}
