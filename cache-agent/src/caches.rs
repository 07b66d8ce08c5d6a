//! The configured caches, by name, before and after the domain is joined.

use crate::failure::{Failure, Reason};
use bytes::Bytes;
use cache_core::config::report::nearest;
use cache_core::wire::codec::Raw;
use cache_core::{Cache, Domain, Error, Name, Policy};
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

/// The configured caches.
///
/// They are there from the start, so that a misspelt name is an error at any time;
/// they open once Redis and NATS have been reached.
#[derive(Debug)]
pub struct Caches {
    policies: BTreeMap<Name, Policy>,
    opened: OnceLock<Opened>,
}

#[derive(Debug)]
struct Opened {
    domain: Arc<Domain>,
    caches: BTreeMap<Name, Cache<Bytes>>,
}

impl Caches {
    /// Closed caches with these policies.
    pub fn new(policies: impl IntoIterator<Item = Policy>) -> Self {
        let policies = policies.into_iter();
        Self {
            policies: policies
                .map(|policy| (policy.name.clone(), policy))
                .collect(),
            opened: OnceLock::new(),
        }
    }

    /// Opens all of them in a domain. A second call does nothing.
    ///
    /// # Errors
    /// [`cache_core::Kind::Invalid`] for a policy that contradicts itself.
    pub fn open(&self, domain: &Arc<Domain>) -> Result<(), Error> {
        let open = |(name, policy): (&Name, &Policy)| {
            let cache = Cache::open(domain, policy.clone(), Raw)?;
            Ok((name.clone(), cache))
        };
        let caches = self
            .policies
            .iter()
            .map(open)
            .collect::<Result<_, Error>>()?;
        let domain = domain.clone();
        self.opened.get_or_init(|| Opened { domain, caches });
        Ok(())
    }

    /// The cache of this name; `None` while the domain is not joined.
    ///
    /// # Errors
    /// [`Reason::CacheUnknown`] for a name that is not configured.
    pub fn find(&self, name: &str) -> Result<Option<&Cache<Bytes>>, Failure> {
        let known = Name::new(name)
            .ok()
            .filter(|name| self.policies.contains_key(name));
        let Some(known) = known else {
            return Err(self.unknown(name));
        };
        Ok(self
            .opened
            .get()
            .and_then(|opened| opened.caches.get(&known)))
    }

    /// The joined domain.
    pub fn domain(&self) -> Option<&Arc<Domain>> {
        self.opened.get().map(|opened| &opened.domain)
    }

    /// The caches that are open.
    pub fn open_ones(&self) -> impl Iterator<Item = &Cache<Bytes>> {
        self.opened
            .get()
            .into_iter()
            .flat_map(|opened| opened.caches.values())
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
