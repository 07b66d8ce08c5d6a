//! The configured caches, by name, before and after the domain is joined.

use crate::failure::{Failure, Reason};
use crate::feed::Feed;
use crate::source::Source;
use crate::strategies::{SourceAt, Strategies, WriteMode};
use bytes::Bytes;
use cache_core::config::report::nearest;
use cache_core::queue::Queue;
use cache_core::strategy::write_behind::Behind;
use cache_core::wire::codec::Raw;
use cache_core::{Cache, Domain, Error, Name, Policy, ReadThrough, WriteBehind, WriteThrough};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The configured caches.
///
/// They are there from the start, so that a misspelt name is an error at any time;
/// they open once Redis and NATS have been reached.
#[derive(Debug)]
pub struct Caches {
    policies: BTreeMap<Name, Policy>,
    strategies: Strategies,
    opened: OnceLock<Opened>,
}

#[derive(Debug)]
struct Opened {
    domain: Arc<Domain>,
    caches: BTreeMap<Name, Open>,
}

/// The queues of the caches that write behind.
pub type Queues = BTreeMap<Name, Arc<dyn Queue>>;

/// A cache that is open, and what stands behind it.
#[derive(Clone, Debug)]
pub struct Open {
    /// The cache.
    pub cache: Cache<Bytes>,
    /// Where the application loads what it misses.
    pub reads: Option<ReadThrough<Bytes>>,
    /// Where the application is written through it.
    pub writes: Writes,
}

/// What a write of a cache does.
#[derive(Clone, Debug)]
pub enum Writes {
    /// It goes into the tiers only: the caller has written the source.
    Aside,
    /// The application stores it, and then the tiers.
    Through(WriteThrough<Bytes>),
    /// It is queued for the application.
    Behind(WriteBehind<Bytes>),
}

impl Caches {
    /// Closed caches with these policies, whose callers load and write.
    pub fn new(policies: impl IntoIterator<Item = Policy>) -> Self {
        Self::with(policies, Strategies::default())
    }

    /// Closed caches with these policies, some of which load or write by themselves.
    pub fn with(policies: impl IntoIterator<Item = Policy>, strategies: Strategies) -> Self {
        let policies = policies.into_iter();
        Self {
            policies: policies
                .map(|policy| (policy.name.clone(), policy))
                .collect(),
            strategies,
            opened: OnceLock::new(),
        }
    }

    /// Those that write behind: each is opened with a queue of its own.
    pub fn behind(&self) -> impl Iterator<Item = &Name> {
        let names = self.policies.keys();
        names.filter(|name| self.strategies.of(name).writes == WriteMode::Behind)
    }

    /// How long one call of the application may take that writes from a queue.
    pub fn longest_write(&self) -> Duration {
        let behind = self.behind().filter_map(|name| self.policies.get(name));
        let longest = behind.map(|policy| policy.write_timeout).max();
        longest.unwrap_or_default()
    }

    /// Opens all of them in a domain, whose changes are told to `feed`. A second call does
    /// nothing.
    ///
    /// # Errors
    /// [`cache_core::Kind::Invalid`] for a policy that contradicts itself.
    pub fn open(
        &self,
        domain: &Arc<Domain>,
        feed: &Arc<Feed>,
        queues: &Queues,
    ) -> Result<(), Error> {
        let source = self.strategies.source.as_ref();
        let source = source.map(Source::new).transpose()?;
        let open = |(name, policy): (&Name, &Policy)| {
            let cache = Cache::open(domain, policy.clone(), Raw)?;
            let open = self.behind_it(cache, source.as_ref(), queues.get(name))?;
            Ok((name.clone(), open))
        };
        let caches = self
            .policies
            .iter()
            .map(open)
            .collect::<Result<_, Error>>()?;
        let (domain, feed) = (domain.clone(), feed.clone());
        // Before anything is served: what is answered is told of when it ends.
        domain.applier().tell(feed);
        self.opened.get_or_init(|| Opened { domain, caches });
        Ok(())
    }

    /// The cache of this name; `None` while the domain is not joined.
    ///
    /// # Errors
    /// [`Reason::CacheUnknown`] for a name that is not configured.
    pub fn find(&self, name: &str) -> Result<Option<&Open>, Failure> {
        let open = self.opened.get().and_then(|opened| opened.caches.get(name));
        match open.is_some() || self.policies.contains_key(name) {
            true => Ok(open),
            false => Err(self.unknown(name)),
        }
    }

    /// A name that is configured.
    ///
    /// # Errors
    /// [`Reason::CacheUnknown`] for any other.
    pub fn known(&self, name: &str) -> Result<Name, Failure> {
        let known = self.policies.get_key_value(name);
        let known = known.ok_or_else(|| self.unknown(name))?;
        Ok(known.0.clone())
    }

    /// The joined domain.
    pub fn domain(&self) -> Option<&Arc<Domain>> {
        self.opened.get().map(|opened| &opened.domain)
    }

    /// The caches that are open.
    pub fn open_ones(&self) -> impl Iterator<Item = &Cache<Bytes>> {
        self.open_all().map(|open| &open.cache)
    }

    /// The caches that are open, with what stands behind them.
    pub fn open_all(&self) -> impl Iterator<Item = &Open> {
        let opened = self.opened.get().into_iter();
        opened.flat_map(|opened| opened.caches.values())
    }

    /// The application that loads and writes, if there is one.
    pub fn source(&self) -> Option<&SourceAt> {
        self.strategies.source.as_ref()
    }

    /// A cache with what stands behind it.
    fn behind_it(
        &self,
        cache: Cache<Bytes>,
        source: Option<&Source>,
        queue: Option<&Arc<dyn Queue>>,
    ) -> Result<Open, Error> {
        let policy = cache.policy();
        let strategy = self.strategies.of(&policy.name);
        let reads = source.filter(|_| strategy.reads);
        let reads = reads.map(|source| cache.read_through(source.loads(policy)));
        let writes = match (strategy.writes, source, queue) {
            (WriteMode::Through, Some(source), _) => {
                Writes::Through(cache.write_through(source.stores(policy)))
            }
            (WriteMode::Behind, Some(source), Some(queue)) => {
                let behind = Behind {
                    batch: source.batch_max,
                    ..Behind::default()
                };
                let stores = source.stores(policy);
                Writes::Behind(cache.write_behind(queue.clone(), stores, behind)?)
            }
            _ => Writes::Aside,
        };
        Ok(Open {
            cache,
            reads,
            writes,
        })
    }

    fn unknown(&self, name: &str) -> Failure {
        let names: Vec<_> = self.policies.keys().map(Name::as_str).collect();
        let known = names.join(", ");
        let shown: String = name.chars().take(64).collect();
        let mut message = format!("no cache `{shown}` is configured; there are: {known}");
        if let Some(near) = nearest(name, names) {
            message.push_str(&format!(" (did you mean `{near}`?)"));
        }
        Failure::new(Reason::CacheUnknown, message)
            .with("cache", shown)
            .with("configured", known)
    }
}
