//! Read-through: the cache itself loads what it misses, by a registered loader.

use crate::error::Error;
use crate::fill::run::Load;
use crate::fill::{Ask, Tiers};
use crate::model::key::Key;
use crate::source::Loader;
use crate::strategy::cache_aside::Hit;
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
        let key = Key::new(key.as_ref())?;
        let loader = self.loader.clone();
        let load = Load::Alone(Box::new(move |wanted| {
            let loading = async move { loader.load(wanted).await };
            Box::pin(loading) as futures_util::future::BoxFuture<'static, _>
        }));
        self.tiers.get_or_load_hit(key, ask, load).await
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
