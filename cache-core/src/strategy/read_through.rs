//! Read-through: the cache itself loads what it misses, by a registered loader.

use crate::error::Error;
use crate::fill::run::Load;
use crate::fill::{Ask, Tiers};
use crate::model::key::Key;
use crate::source::Loader;
use crate::strategy::batch::{self, Answers};
use crate::strategy::cache_aside::Hit;
use crate::strategy::warm_up::{WarmUp, Warmed};
use futures_util::future::{BoxFuture, join_all};
use std::fmt;
use std::sync::Arc;

/// A cache that knows how to load.
pub struct ReadThrough<V> {
    tiers: Arc<Tiers<V>>,
    loader: Arc<dyn Loader<V>>,
}

impl<V: Send + Sync + 'static> ReadThrough<V> {
    pub(crate) fn new(tiers: Arc<Tiers<V>>, loader: Arc<dyn Loader<V>>) -> Self {
        Self { tiers, loader }
    }

    /// The value of a key, or `None` if the source has none.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] for a key outside its limits, and the load's:
    /// failed, panicked, timed out, or shed because too many run.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Hit<V>>, Error> {
        self.get_with(key, &Ask::default()).await
    }

    /// The same, with wishes of its own.
    ///
    /// # Errors
    /// As [`ReadThrough::get`].
    pub async fn get_with(
        &self,
        key: impl AsRef<[u8]>,
        ask: &Ask,
    ) -> Result<Option<Hit<V>>, Error> {
        self.get_one(Key::new(key.as_ref())?, ask).await
    }

    /// The values of many keys, at most [`batch::BATCH_MAX`], in their order. What no tier
    /// has is loaded by one call of [`Loader::load_many`], if the loader
    /// [is for that](Loader::is_bulk).
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] for a key outside its limits, or too many of them. What a
    /// load fails with is told key by key.
    pub async fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Answers<V>, Error> {
        let keys = batch::check(keys)?;
        let loader = self.loader.clone();
        if !loader.is_bulk() {
            let ask = Ask::default();
            let each = keys.iter().map(|key| self.get_one(*key, &ask));
            return Ok(join_all(each.collect::<Vec<_>>()).await);
        }
        let load = Arc::new(move |wanted| {
            let loader = loader.clone();
            let loading = async move { loader.load_many(wanted).await };
            Box::pin(loading) as BoxFuture<'static, _>
        });
        Ok(self.tiers.get_many_or_load(&keys, load).await)
    }

    async fn get_one(&self, key: Key<'_>, ask: &Ask) -> Result<Option<Hit<V>>, Error> {
        let loader = self.loader.clone();
        let load = Load::Alone(Box::new(move |wanted| {
            let loading = async move { loader.load(wanted).await };
            Box::pin(loading) as BoxFuture<'static, _>
        }));
        self.tiers.get_or_load_hit(key, ask, load).await
    }

    /// Loads keys that will be asked for, such as those that [`crate::Cache::l1_keys`] gave
    /// before a restart, at a pace that the source bears; what a tier has, is not loaded.
    ///
    /// Each load goes the way of any read: one in the fleet, within the limits of the
    /// policy. Once the source is left alone, or ten loads in a row were not kept since L2
    /// is away, the rest is skipped. A warm-up that is dropped begins no more loads.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] for a pace outside its limits, 1 to 10,000 at once and a
    /// second. What a load fails with is in the report.
    pub async fn warm_up<K: AsRef<[u8]>>(
        &self,
        keys: impl IntoIterator<Item = K>,
        pace: WarmUp,
    ) -> Result<Warmed, Error> {
        self.tiers.warm_up(keys, self.loader.clone(), pace).await
    }
}

impl<V> Clone for ReadThrough<V> {
    fn clone(&self) -> Self {
        Self {
            tiers: self.tiers.clone(),
            loader: self.loader.clone(),
        }
    }
}

impl<V> fmt::Debug for ReadThrough<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadThrough")
            .field("tiers", &self.tiers)
            .finish_non_exhaustive()
    }
}
