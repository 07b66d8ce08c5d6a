//! Many keys in one call: each with every guarantee that it has alone, and all of them in
//! one round trip of L2 and one load.

use super::cache_aside::{Hit, Lookup};
use crate::error::{Error, Kind};
use crate::fill::batch::{Ready, slots};
use crate::fill::run::{Load, LoadMany};
use crate::fill::{Ask, Tiers};
use crate::model::key::Key;
use futures_util::future::join_all;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// The most keys in one call.
pub const BATCH_MAX: usize = 4_096;
const _: () = assert!(BATCH_MAX <= crate::coherence::announce::ANNOUNCE_MAX);
const _: () = assert!(BATCH_MAX <= crate::flight::single::WAITERS_MAX);

/// What each key of a batch came to, in the order of the call.
pub type Answers<V> = Vec<Result<Option<Hit<V>>, Error>>;

/// The keys of one call; all of them are good.
pub(crate) fn check<K: AsRef<[u8]>>(keys: &[K]) -> Result<Vec<Key<'_>>, Error> {
    if keys.len() > BATCH_MAX {
        let given = format!("{} keys", keys.len());
        let error = Error::new(Kind::Invalid, "reading the keys of a batch", given);
        return Err(error.hint(format!("{BATCH_MAX} are allowed in one call")));
    }
    keys.iter().map(|key| Key::new(key.as_ref())).collect()
}

impl<V: Send + Sync + 'static> Tiers<V> {
    /// Looks many keys up, all at once: the connections of L2 carry what is asked together
    /// in one round trip a node.
    pub(crate) async fn get_many(self: &Arc<Self>, keys: &[Key<'_>]) -> Vec<Lookup<V>> {
        // Whoever waited here would hold the tickets of its other keys meanwhile, and two
        // calls could wait for each other.
        let ask = Ask {
            wait: Some(Duration::ZERO),
            ..Ask::default()
        };
        let mut first = HashMap::with_capacity(keys.len());
        for (at, key) in keys.iter().enumerate() {
            first.entry(key.bytes()).or_insert(at);
        }
        let is_first = |at: usize| first[keys[at].bytes()] == at;
        let asked = (0..keys.len()).filter(|at| is_first(*at));
        let asked = asked.map(|at| async move { (at, self.get(keys[at], &ask).await) });
        let mut answers: HashMap<_, _> = join_all(asked.collect::<Vec<_>>())
            .await
            .into_iter()
            .collect();
        // Backwards: the first takes its answer itself, after those that repeat it.
        let mut all: Vec<_> = (0..keys.len())
            .rev()
            .map(|at| match is_first(at) {
                true => answers.remove(&at).expect("each first one was asked"),
                false => self.again(keys[at], &answers[&first[keys[at].bytes()]]),
            })
            .collect();
        all.reverse();
        all
    }

    /// The same answer for a key that was given twice; the ticket goes to the first.
    fn again(self: &Arc<Self>, key: Key<'_>, answer: &Lookup<V>) -> Lookup<V> {
        match answer {
            Lookup::Hit(hit) => Lookup::Hit(hit.clone()),
            Lookup::Absent => Lookup::Absent,
            Lookup::Miss(_) => {
                let ask = Ask::default();
                self.miss(self.attempt(key), &ask, None, None, self.policy.wait)
            }
        }
    }

    /// Answers from the tiers, and by one load of all that they do not have.
    pub(crate) async fn get_many_or_load(
        self: &Arc<Self>,
        keys: &[Key<'_>],
        load: LoadMany<V>,
    ) -> Answers<V> {
        let tiers = self.clone();
        let place = Box::new(move |ready: Ready<V>| {
            let (tiers, load) = (tiers.clone(), load.clone());
            let domain = tiers.domain.clone();
            // It goes on when the caller goes away: others may wait for its keys. And a
            // caller may go away where no runtime is.
            domain.finish(async move { tiers.run_batch(ready.take().await, load).await });
        });
        let ask = Ask::default();
        let slots = slots(keys.len(), place);
        let each = keys.iter().zip(slots).map(|(key, slot)| {
            let load = Load::Together(slot);
            async move { self.get_or_load_hit(*key, &ask, load).await }
        });
        join_all(each.collect::<Vec<_>>()).await
    }
}
