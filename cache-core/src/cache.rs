//! `Cache<V>`: the handle that services hold.

use crate::advice;
use crate::coherence::announce::Change;
use crate::domain::Domain;
use crate::error::Error;
use crate::fill::explain::Explanation;
use crate::fill::{Ask, Tiers};
use crate::model::key::Key;
use crate::model::session::Session;
use crate::model::tag::Tag;
use crate::model::template::KeyTemplate;
use crate::policy::Policy;
use crate::queue::Queue;
use crate::source::{BulkWriter, Cause, Loaded, Loader, Wanted, Writer};
use crate::strategy::batch::{self, Answers};
use crate::strategy::cache_aside::{Hit, Lookup, alone};
use crate::strategy::memoize::{self, Args, Memoized};
use crate::strategy::read_through::ReadThrough;
use crate::strategy::session::InSession;
use crate::strategy::touch::TouchOutcome;
use crate::strategy::unleased::SetOutcome;
use crate::strategy::write_behind::Behind;
use crate::strategy::write_behind::handle::WriteBehind;
use crate::strategy::write_through::WriteThrough;
use crate::switches::Switches;
use crate::wire::codec::Codec;
use futures_util::future::join_all;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A named set of entries with one policy, over both tiers. Clones share it.
///
/// Reads never fail because of Redis or NATS: without them, a cache answers from
/// what it may still trust, and else it misses.
pub struct Cache<V> {
    tiers: Arc<Tiers<V>>,
}

impl<V: Send + Sync + 'static> Cache<V> {
    /// Opens a cache in a domain. What the policy says and surely does not mean is logged
    /// as a warning ([`crate::advice`]).
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] for a policy that contradicts itself.
    pub fn open(domain: &Arc<Domain>, policy: Policy, codec: impl Codec<V>) -> Result<Self, Error> {
        let tiers = Tiers::open(domain.clone(), policy, Arc::new(codec))?;
        for advice in advice::of(&tiers.policy) {
            advice.log(tiers.policy.name.as_str());
        }
        Ok(Self { tiers })
    }

    /// Looks a key up. On a miss the caller loads, and fills with the ticket.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] for a key outside its limits, nothing else.
    pub async fn get(&self, key: impl AsRef<[u8]>) -> Result<Lookup<V>, Error> {
        self.get_with(key, &Ask::default()).await
    }

    /// The same, with wishes of its own.
    ///
    /// # Errors
    /// As [`Cache::get`].
    pub async fn get_with(&self, key: impl AsRef<[u8]>, ask: &Ask) -> Result<Lookup<V>, Error> {
        Ok(self.tiers.get(Key::new(key.as_ref())?, ask).await)
    }

    /// What the memory of this process answers, without a wait and without a task: the
    /// shortest way to what many ask for. Nothing is no miss; it is to be asked for with
    /// [`Cache::get`].
    ///
    /// # Errors
    /// As [`Cache::get`].
    pub fn get_at_once(&self, key: impl AsRef<[u8]>) -> Result<Option<Lookup<V>>, Error> {
        Ok(self.tiers.get_at_once(Key::new(key.as_ref())?))
    }

    /// The value of a key, loaded by `load` on a miss; `None` if the source has
    /// none. Of all callers in the fleet that miss at once, one loads.
    ///
    /// The load runs to its end even if this caller goes away, since others may
    /// wait for it.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] for a key outside its limits, and the load's.
    pub async fn get_or_load<F, Fut, L, E>(
        &self,
        key: impl AsRef<[u8]>,
        load: F,
    ) -> Result<Option<Hit<V>>, Error>
    where
        F: FnOnce(Wanted<V>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<L, E>> + Send,
        L: Into<Loaded<V>>,
        E: Into<Cause>,
    {
        self.get_or_load_with(key, &Ask::default(), load).await
    }

    /// The same, with wishes of its own: how old the value may be.
    ///
    /// # Errors
    /// As [`Cache::get_or_load`].
    pub async fn get_or_load_with<F, Fut, L, E>(
        &self,
        key: impl AsRef<[u8]>,
        ask: &Ask,
        load: F,
    ) -> Result<Option<Hit<V>>, Error>
    where
        F: FnOnce(Wanted<V>) -> Fut + Send + 'static,
        Fut: Future<Output = Result<L, E>> + Send,
        L: Into<Loaded<V>>,
        E: Into<Cause>,
    {
        let key = Key::new(key.as_ref())?;
        self.tiers.get_or_load_hit(key, ask, alone(load)).await
    }

    /// Looks many keys up at once, at most [`batch::BATCH_MAX`]; the answers come in their order.
    /// A key that is given twice has its ticket at its first place, and one that others
    /// load already is a miss without a lease at once.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] for a key outside its limits, or too many of them.
    pub async fn get_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<Vec<Lookup<V>>, Error> {
        let keys = batch::check(keys)?;
        Ok(self.tiers.get_many(&keys).await)
    }

    /// The values of many keys, at most [`batch::BATCH_MAX`], in their order. Those that no tier
    /// has are loaded by one call of `load`, which answers in the order of what is wanted,
    /// an absence where there is nothing. What others already load, it is not asked for,
    /// unless that comes to nothing; then it is called again for those keys.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] for a key outside its limits, or too many of them. What
    /// a load fails with is told key by key: the others are answered all the same.
    pub async fn get_many_or_load<K, F, Fut, L, E>(
        &self,
        keys: &[K],
        load: F,
    ) -> Result<Answers<V>, Error>
    where
        K: AsRef<[u8]>,
        F: Fn(Vec<Wanted<V>>) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Vec<L>, E>> + Send + 'static,
        L: Into<Loaded<V>>,
        E: Into<Cause>,
    {
        let keys = batch::check(keys)?;
        let load = Arc::new(move |wanted| {
            let loading = load(wanted);
            let loading = async move {
                let all = loading.await.map_err(Into::into)?;
                Ok(all.into_iter().map(Into::into).collect())
            };
            Box::pin(loading) as futures_util::future::BoxFuture<'static, _>
        });
        Ok(self.tiers.get_many_or_load(&keys, load).await)
    }

    /// The same cache with a loader of its own.
    pub fn read_through(&self, loader: impl Loader<V>) -> ReadThrough<V> {
        ReadThrough::new(self.tiers.clone(), Arc::new(loader))
    }

    /// The same cache with a writer of its own.
    pub fn write_through(&self, writer: impl Writer<V>) -> WriteThrough<V> {
        WriteThrough::new(self.tiers.clone(), Arc::new(writer))
    }

    /// The same cache with a queue of writes on their way to a writer of many, see
    /// [`crate::strategy::write_behind`]. Of all handles over one queue, one writes at a
    /// time; [`Domain::leave`] has what waits written first.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] for settings that contradict each other.
    pub fn write_behind(
        &self,
        queue: Arc<dyn Queue>,
        writer: impl BulkWriter<V>,
        behind: Behind,
    ) -> Result<WriteBehind<V>, Error> {
        WriteBehind::new(self.tiers.clone(), queue, Arc::new(writer), behind)
    }

    /// A function whose answers this cache keeps, by a key that a template makes of its
    /// arguments. Each function has a cache of its own, or a word of its own in the template.
    ///
    /// The function reads the primary: it is not told how far a replica must be.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] if the template has more or fewer fields than the function
    /// has arguments.
    pub fn memoize<A, F, Fut, L, E>(
        &self,
        key: KeyTemplate,
        function: F,
    ) -> Result<Memoized<A, V>, Error>
    where
        A: Args,
        F: Fn(A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<L, E>> + Send + 'static,
        L: Into<Loaded<V>>,
        E: Into<Cause>,
    {
        let key = memoize::by_template(key)?;
        Ok(Memoized::new(self.tiers.clone(), key, function))
    }

    /// The same by a key function: arguments that answer differently have different keys.
    pub fn memoize_by<A, K, F, Fut, L, E>(
        &self,
        key: impl Fn(&A) -> K + Send + Sync + 'static,
        function: F,
    ) -> Memoized<A, V>
    where
        A: Send + 'static,
        K: AsRef<[u8]>,
        F: Fn(A) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<L, E>> + Send + 'static,
        L: Into<Loaded<V>>,
        E: Into<Cause>,
    {
        let key = move |args: &A| Ok(key(args));
        Memoized::new(self.tiers.clone(), key, function)
    }

    /// The same cache for one client, whose reads never go back behind what its session has
    /// seen and written.
    pub fn in_session<'a>(&self, session: &'a mut Session) -> InSession<'a, V> {
        InSession::new(self.tiers.clone(), session)
    }

    /// Invalidates a key everywhere. Call it after the source's commit. Returns
    /// whether L2 has it already; otherwise it is repeated until L2 has.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] for a key outside its limits,
    /// [`crate::Kind::Overloaded`] when L2 is away and too many wait for it.
    pub async fn invalidate(&self, key: impl AsRef<[u8]>) -> Result<bool, Error> {
        let key = Key::new(key.as_ref())?;
        self.announce(Change::key(&self.tiers.policy.name, key, None))
            .await
    }

    /// Invalidates every entry with a tag, everywhere.
    ///
    /// # Errors
    /// [`crate::Kind::Overloaded`] when L2 is away and too many wait for it.
    pub async fn invalidate_tag(&self, tag: Tag) -> Result<bool, Error> {
        self.announce(Change::tag(&self.tiers.policy.name, tag, None))
            .await
    }

    /// Invalidates everything in this cache, everywhere.
    ///
    /// # Errors
    /// As [`Cache::invalidate_tag`].
    pub async fn clear(&self) -> Result<bool, Error> {
        self.invalidate_tag(Tag::all()).await
    }

    /// Invalidates many keys everywhere, at most [`batch::BATCH_MAX`], as [`Cache::invalidate`]
    /// does one: in one round trip of L2, and few messages. Returns whether L2 has all of
    /// them already.
    ///
    /// # Errors
    /// As [`Cache::invalidate`], and [`crate::Kind::Invalid`] for too many keys.
    pub async fn invalidate_many<K: AsRef<[u8]>>(&self, keys: &[K]) -> Result<bool, Error> {
        let name = &self.tiers.policy.name;
        let change = |key| Change::key(name, key, None);
        let changes = batch::check(keys)?.into_iter().map(change).collect();
        self.tiers.domain.announce_all(changes).await
    }

    async fn announce(&self, change: Change) -> Result<bool, Error> {
        self.tiers.domain.announce(change).await
    }

    /// Stores a value that was not loaded under a lease, as far as the policy's
    /// `unleased_set` allows it; invalidates the key otherwise.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] for a key or value outside its limits.
    pub async fn set(
        &self,
        key: impl AsRef<[u8]>,
        loaded: impl Into<Loaded<V>>,
        ttl: Option<Duration>,
    ) -> Result<SetOutcome, Error> {
        let key = Key::new(key.as_ref())?;
        let (outcome, _) = self.tiers.set_unleased(key, loaded.into(), ttl).await?;
        Ok(outcome)
    }

    /// Stores a value that was not loaded under a lease where neither this L1 nor L2 has an
    /// entry, not even a known absence, and nobody loads one; nothing if there is one, or if nobody can say.
    ///
    /// # Errors
    /// As [`Cache::set`], and [`crate::Kind::Invalid`] if the policy stores no such values.
    pub async fn set_if_absent(
        &self,
        key: impl AsRef<[u8]>,
        loaded: impl Into<Loaded<V>>,
        ttl: Option<Duration>,
    ) -> Result<Option<SetOutcome>, Error> {
        let key = Key::new(key.as_ref())?;
        self.tiers.set_if_absent(key, loaded.into(), ttl).await
    }

    /// Stores many values, at most [`batch::BATCH_MAX`], as [`Cache::set`] does one; the outcomes
    /// come in their order.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] for too many keys, or one outside its limits: then nothing
    /// was stored.
    pub async fn set_many<K, L>(
        &self,
        values: Vec<(K, L)>,
        ttl: Option<Duration>,
    ) -> Result<Vec<Result<SetOutcome, Error>>, Error>
    where
        K: AsRef<[u8]>,
        L: Into<Loaded<V>>,
    {
        let (keys, values): (Vec<K>, Vec<L>) = values.into_iter().unzip();
        batch::check(&keys)?;
        let each = keys.iter().zip(values);
        let each = each.map(|(key, value)| self.set(key, value, ttl));
        Ok(join_all(each.collect::<Vec<_>>()).await)
    }

    /// Has a value that is in L2 served for `ttl` from now on, shorter or longer than it
    /// was to be; no value lives longer than 30 days after its load, nor one of unknown age
    /// longer than such a one. L1s drop their copies.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] for a key outside its limits,
    /// [`crate::Kind::Overloaded`] when the bus is away and too many invalidations wait for
    /// it; the value is touched then.
    pub async fn touch(&self, key: impl AsRef<[u8]>, ttl: Duration) -> Result<TouchOutcome, Error> {
        self.tiers.touch(Key::new(key.as_ref())?, ttl).await
    }

    /// What a read of a key would be answered, by which tier, and why not by the others:
    /// for people. It reads L2, changes nothing, and counts as no read; only L1's choice of
    /// what it keeps when it is full takes it for one.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] for a key outside its limits. That L2 does not answer is
    /// part of the explanation.
    pub async fn explain(&self, key: impl AsRef<[u8]>) -> Result<Explanation, Error> {
        Ok(self.tiers.explain(Key::new(key.as_ref())?).await)
    }

    /// What may be set while the cache runs, in this process: its tiers, its lifetimes,
    /// shadow compare. Clones of this handle share it, other handles of the name do not.
    pub fn switches(&self) -> &Switches {
        &self.tiers.switches
    }

    /// The policy.
    pub fn policy(&self) -> &Policy {
        &self.tiers.policy
    }

    /// Up to so many keys of this process's L1, in no order. Once it is full, they are
    /// mostly those that are asked for most: L1 keeps those.
    pub fn l1_keys(&self, most: usize) -> Vec<Arc<[u8]>> {
        self.tiers.l1.keys(most)
    }

    /// Entries and bytes in this process's L1; lags a little behind.
    pub fn l1_size(&self) -> (u64, u64) {
        (self.tiers.l1.entries(), self.tiers.l1.weight())
    }
}

impl<V> Clone for Cache<V> {
    fn clone(&self) -> Self {
        Self {
            tiers: self.tiers.clone(),
        }
    }
}

impl<V> fmt::Debug for Cache<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("tiers", &self.tiers).finish()
    }
}
