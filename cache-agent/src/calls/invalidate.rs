//! Invalidate: keys, tags, or a whole cache.

use crate::calls::Agent;
use crate::convert;
use crate::deadline::Deadline;
use crate::failure::{Failure, Reason};
use crate::proto::v1;
use crate::sessions::Carried;
use bytes::Bytes;
use cache_core::{Cache, Error, Tag};
use futures_util::StreamExt;

/// The most keys in one call.
pub const KEYS_MAX: usize = 1_000;
/// The most tags in one call: each one costs every entry of the cache a look.
pub const TAGS_MAX: usize = 100;
/// How many of one call are announced at once.
const WIDTH: usize = 64;

struct Targets {
    keys: Vec<Bytes>,
    tags: Vec<Tag>,
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
    ) -> Result<v1::InvalidateResponse, Failure> {
        let open = self.caches.find(&request.cache)?;
        let mut session = Carried::of(request.session.as_deref())?;
        let targets = targets(request)?;
        let cache = open.ok_or_else(Failure::not_joined)?.cache.clone();
        self.finish(deadline, async move {
            let tags = announce_tags(&cache, targets.tags).await;
            let keys = match session.is_there() {
                true => announce_noted(&cache, targets.keys, &mut session).await,
                false => Ok(cache.invalidate_many(&targets.keys).await?),
            };
            Ok(v1::InvalidateResponse {
                l2_acknowledged: tags? & keys?,
                session: session.text(),
            })
        })
        .await
    }
}

fn targets(request: v1::InvalidateRequest) -> Result<Targets, Failure> {
    let size = request.keys.len();
    if size > KEYS_MAX {
        return Err(Failure::too_many("keys", size, KEYS_MAX).at("keys"));
    }
    let mut tags = convert::tags(&request.tags, TAGS_MAX, "tags")?;
    for key in &request.keys {
        convert::key(key)?;
    }
    tags.extend(request.whole_cache.then(Tag::all));
    if request.keys.is_empty() && tags.is_empty() {
        let message = "nothing is named: set `keys`, `tags` or `whole_cache`";
        return Err(Failure::new(Reason::FieldMissing, message).at("keys"));
    }
    Ok(Targets {
        keys: request.keys,
        tags,
    })
}

/// Announces all of them, also after one could not be.
async fn announce_tags(cache: &Cache<Bytes>, tags: Vec<Tag>) -> Result<bool, Error> {
    let announcing = tags.into_iter().map(|tag| cache.invalidate_tag(tag));
    let mut announced = futures_util::stream::iter(announcing).buffer_unordered(WIDTH);
    let mut all = Ok(true);
    while let Some(one) = announced.next().await {
        all = both(all, one);
    }
    all
}

/// The same for keys, each noted in the session.
async fn announce_noted(
    cache: &Cache<Bytes>,
    keys: Vec<Bytes>,
    session: &mut Carried,
) -> Result<bool, Failure> {
    let announcing = keys.into_iter().map(|key| async move {
        let mut noted = Carried::begun();
        let announced = noted.invalidate(cache, &key).await;
        (noted, announced)
    });
    let mut announced = futures_util::stream::iter(announcing).buffer_unordered(WIDTH);
    let mut all = Ok(true);
    while let Some((noted, one)) = announced.next().await {
        session.merge(&noted)?;
        all = both(all, one);
    }
    Ok(all?)
}

fn both(all: Result<bool, Error>, one: Result<bool, Error>) -> Result<bool, Error> {
    match (all, one) {
        (Ok(all), Ok(one)) => Ok(all && one),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}
