//! Invalidate: keys, tags, or a whole cache.

use crate::calls::Agent;
use crate::convert;
use crate::deadline::Deadline;
use crate::failure::{Failure, Reason};
use crate::proto::v1;
use bytes::Bytes;
use cache_core::{Cache, Error, Tag};
use futures_util::StreamExt;

/// The most keys in one call.
pub const KEYS_MAX: usize = 1_000;
/// The most tags in one call: each one costs every entry of the cache a look.
pub const TAGS_MAX: usize = 100;
/// How many of one call are announced at once.
const WIDTH: usize = 64;

enum Target {
    Key(Bytes),
    Tag(Tag),
    All,
}

impl Agent {
    /// Invalidates everywhere; says whether L2 has all of it already.
    ///
    /// # Errors
    /// Anything outside its limits; [`Reason::L2Unavailable`] while Redis or NATS
    /// have not been reached, and [`Reason::Overloaded`] when too much waits for
    /// L2. In these two, a part may have been done: repeat the call.
    pub async fn invalidate(
        &self,
        request: v1::InvalidateRequest,
        deadline: Deadline,
    ) -> Result<bool, Failure> {
        let cache = self.caches.find(&request.cache)?;
        let targets = targets(request)?;
        let cache = cache.ok_or_else(Failure::not_joined)?.clone();
        self.finish(deadline, async move { Ok(announce(cache, targets).await?) })
            .await
    }
}

fn targets(request: v1::InvalidateRequest) -> Result<Vec<Target>, Failure> {
    let size = request.keys.len();
    if size > KEYS_MAX {
        let message = format!("there are {size} keys; the limit is {KEYS_MAX}");
        return Err(Failure::new(Reason::BatchTooLarge, message)
            .at("keys")
            .with("limit", KEYS_MAX)
            .with("size", size));
    }
    let tags = convert::tags(&request.tags, TAGS_MAX, "tags")?;
    let mut targets = Vec::with_capacity(size + tags.len() + 1);
    for key in request.keys {
        convert::key(&key)?;
        targets.push(Target::Key(key));
    }
    targets.extend(tags.into_iter().map(Target::Tag));
    targets.extend(request.whole_cache.then_some(Target::All));
    if targets.is_empty() {
        let message = "nothing is named: set `keys`, `tags` or `whole_cache`";
        return Err(Failure::new(Reason::FieldMissing, message).at("keys"));
    }
    Ok(targets)
}

/// Announces all of them, also after one could not be.
async fn announce(cache: Cache<Bytes>, targets: Vec<Target>) -> Result<bool, Error> {
    let announcing = targets.into_iter().map(|target| {
        let cache = cache.clone();
        async move {
            match target {
                Target::Key(key) => cache.invalidate(&key).await,
                Target::Tag(tag) => cache.invalidate_tag(tag).await,
                Target::All => cache.clear().await,
            }
        }
    });
    let mut announced = futures_util::stream::iter(announcing).buffer_unordered(WIDTH);
    let mut all = Ok(true);
    while let Some(one) = announced.next().await {
        all = match (all, one) {
            (Ok(all), Ok(one)) => Ok(all && one),
            (Err(error), _) | (_, Err(error)) => Err(error),
        };
    }
    all
}
