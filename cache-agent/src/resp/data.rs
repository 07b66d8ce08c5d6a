//! What commands about keys do: the calls of the API, in Redis's words.

use super::command::{Data, Expiry, Fill, Invalidate, Place, Set};
use super::refusal::Refusal;
use super::reply::Reply;
use crate::caches::Writes;
use crate::calls::Agent;
use crate::convert;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::proto::v1::{self, FillOutcome, SetOutcome, TouchOutcome};
use crate::proto::v1::{fill_request, get_response, get_result};
use bytes::Bytes;
use cache_core::Lookup;
use cache_core::policy::UnleasedSet;
use futures_util::{StreamExt, stream};
use std::time::Duration;

/// How many keys of one command are deleted at once.
const DELETES: usize = 64;
/// What Redis answers for the lifetime of a key that is not there.
const NO_KEY: i64 = -2;

/// Answers one command.
///
/// # Errors
/// What a caller can mend, and trouble that leaves no answer.
pub async fn run(agent: &Agent, data: Data) -> Result<Reply, Refusal> {
    let _turn = agent.turns.take()?;
    match data {
        Data::Get(place) => Ok(Reply::value(value(get(agent, place).await?))),
        Data::GetMany(places) => {
            let values = get_many(agent, places).await?.into_iter();
            Ok(Reply::Array(values.map(Reply::value).collect()))
        }
        Data::Exists(places) => {
            let values = get_many(agent, places).await?;
            Ok(Reply::Number(values.iter().flatten().count() as i64))
        }
        Data::Ttl(place, unit) => ttl(agent, place, unit).await,
        Data::Set(set) => self::set(agent, set).await,
        Data::Delete(places) => delete(agent, places).await,
        Data::Expire(place, ttl) => expire(agent, place, ttl).await,
        Data::Lease(place, wait) => lease(agent, place, wait).await,
        Data::Fill(fill) => self::fill(agent, fill).await,
        Data::Release(place, spelled) => {
            agent.release(&v1::ReleaseLeaseRequest {
                cache: place.cache().to_owned(),
                key: place.key(),
                lease_token: token(&spelled),
            })?;
            Ok(Reply::OK)
        }
        Data::Invalidate(all) => invalidate(agent, all).await,
    }
}

/// What the agent's own memory answers to `GET`, without a turn and without a task. A cache
/// that reads through is asked the long way: a hit there may bring about a refresh.
pub fn at_once(agent: &Agent, place: &Place) -> Option<Reply> {
    let open = agent.caches.find(place.cache()).ok()??;
    if open.reads.is_some() {
        return None;
    }
    let key = place.key();
    let reply = match open.cache.get_at_once(&key).ok()?? {
        Lookup::Hit(hit) => Reply::Bulk((*hit).clone()),
        Lookup::Absent => Reply::Null,
        Lookup::Miss(_) => return None,
    };
    agent.hot.saw(&open.cache.policy().name, &key);
    Some(reply)
}

fn deadline(agent: &Agent) -> Deadline {
    Deadline::within(agent.limits.load().deadline)
}

/// A plain read: whoever has no lease loads nothing for others.
fn plain(agent: &Agent, place: &Place) -> Result<v1::GetRequest, Failure> {
    let open = agent.caches.find(place.cache())?;
    Ok(v1::GetRequest {
        no_lease: open.is_none_or(|open| open.reads.is_none()),
        cache: place.cache().to_owned(),
        key: place.key(),
        ..v1::GetRequest::default()
    })
}

async fn get(agent: &Agent, place: Place) -> Result<Option<get_response::Result>, Failure> {
    let request = plain(agent, &place)?;
    Ok(agent.get(request, deadline(agent)).await?.result)
}

fn value(result: Option<get_response::Result>) -> Option<Bytes> {
    match result {
        Some(get_response::Result::Hit(hit)) => hit.entry.map(|entry| entry.value),
        _ => None,
    }
}

async fn get_many(agent: &Agent, places: Vec<Place>) -> Result<Vec<Option<Bytes>>, Refusal> {
    let requests = places.iter().map(|place| plain(agent, place));
    let requests = requests.collect::<Result<Vec<_>, _>>()?;
    let results = agent.batch_get(requests, deadline(agent)).await?;
    let values = results.into_iter().map(|one| match one.result {
        Some(get_result::Result::Response(response)) => Ok(value(response.result)),
        Some(get_result::Result::Failure(failure)) => Err(Refusal::Part(failure)),
        None => Ok(None),
    });
    values.collect()
}

async fn ttl(agent: &Agent, place: Place, unit: u64) -> Result<Reply, Refusal> {
    let result = get(agent, place).await?;
    let Some(get_response::Result::Hit(hit)) = result else {
        return Ok(Reply::Number(NO_KEY));
    };
    let expires = hit.entry.and_then(|entry| entry.expires_at);
    let left = expires.map_or(0, |at| millis(at).saturating_sub(agent.clock.wall_ms()));
    // As Redis rounds: half a second counts as one.
    let units = (left + unit / 2) / unit;
    Ok(Reply::Number(i64::try_from(units).unwrap_or(i64::MAX)))
}

fn millis(at: prost_types::Timestamp) -> u64 {
    let millis = at.seconds.saturating_mul(1_000) + i64::from(at.nanos / 1_000_000);
    u64::try_from(millis).unwrap_or(0)
}

async fn set(agent: &Agent, set: Set) -> Result<Reply, Refusal> {
    let Set {
        place,
        value,
        expiry,
        if_absent,
        counts,
    } = set;
    let cache = place.cache().to_owned();
    let open = agent.caches.find(&cache)?;
    // Before anything is invalidated by it.
    if let Some(open) = open
        && matches!(open.writes, Writes::Aside)
        && open.cache.policy().unleased_set == UnleasedSet::Invalidates
    {
        return Err(Refusal::NoPlainSet(cache));
    }
    let ttl = expiry.map(|expiry| match expiry {
        Expiry::In(span) => span,
        Expiry::At(at) => Duration::from_millis(at.saturating_sub(agent.clock.wall_ms())),
    });
    let condition = if_absent.then_some(v1::set_request::Condition::IfAbsent(
        v1::set_request::IfAbsent {},
    ));
    let request = v1::SetRequest {
        cache,
        key: place.key(),
        value,
        options: ttl.map(|ttl| kept_for(ttl, Vec::new())),
        condition,
        session: None,
    };
    let response = agent.set(request, deadline(agent)).await?;
    let failed = response.outcome() == SetOutcome::ConditionFailed;
    Ok(match (failed, counts) {
        (true, true) => Reply::Number(0),
        (true, false) => Reply::Null,
        (false, true) => Reply::Number(1),
        // What came between has ended it already: the same as if it had come after.
        (false, false) => Reply::OK,
    })
}

fn kept_for(ttl: Duration, tags: Vec<String>) -> v1::StoreOptions {
    v1::StoreOptions {
        ttl: Some(convert::span(ttl)),
        tags,
        read_at: None,
    }
}

/// Nobody knows how many were there: as many as were named are invalid now.
async fn delete(agent: &Agent, places: Vec<Place>) -> Result<Reply, Refusal> {
    let count = places.len() as i64;
    let deadline = deadline(agent);
    let deletes = places.into_iter().map(|place| {
        let request = v1::DeleteRequest {
            cache: place.cache().to_owned(),
            key: place.key(),
            session: None,
        };
        agent.delete(request, deadline)
    });
    // All of them, whatever becomes of one: what is not deleted stays served.
    let all: Vec<_> = stream::iter(deletes).buffered(DELETES).collect().await;
    all.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(Reply::Number(count))
}

async fn expire(agent: &Agent, place: Place, ttl: Duration) -> Result<Reply, Refusal> {
    let request = v1::TouchRequest {
        cache: place.cache().to_owned(),
        key: place.key(),
        ttl: Some(convert::span(ttl)),
    };
    let response = agent.touch(request, deadline(agent)).await?;
    let touched = response.outcome() == TouchOutcome::Touched;
    Ok(Reply::Number(i64::from(touched)))
}

/// `[state, value or nothing, token or nothing, milliseconds]`. With a token: load and fill.
/// `MISS` without one: ask again after so long, or load and keep it to yourself.
async fn lease(agent: &Agent, place: Place, wait: Option<Duration>) -> Result<Reply, Refusal> {
    let request = v1::GetRequest {
        cache: place.cache().to_owned(),
        key: place.key(),
        wait: wait.map(convert::span),
        ..v1::GetRequest::default()
    };
    let response = agent.get(request, deadline(agent)).await?;
    let (state, value, lease, retry_after) = match response.result {
        Some(get_response::Result::Hit(hit)) => {
            let state = if hit.stale { "STALE" } else { "HIT" };
            (state, hit.entry.map(|entry| entry.value), hit.lease, None)
        }
        Some(get_response::Result::Miss(miss)) => ("MISS", None, miss.lease, miss.retry_after),
        Some(get_response::Result::Negative(_)) => ("ABSENT", None, None, None),
        None => ("MISS", None, None, None),
    };
    let retry_after = retry_after
        .and_then(|span| convert::length(span, "retry_after").ok())
        .unwrap_or_default();
    Ok(Reply::Array(vec![
        Reply::Status(state),
        Reply::value(value),
        lease.map_or(Reply::Null, |lease| Reply::text(spelled(&lease.token))),
        Reply::Number(i64::try_from(retry_after.as_millis()).unwrap_or(i64::MAX)),
    ]))
}

/// A token as text, for clients that take every answer for text.
fn spelled(token: &[u8]) -> String {
    token.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The token that is spelled so; any other is one that nobody was given.
fn token(spelled: &[u8]) -> Bytes {
    let text = std::str::from_utf8(spelled).unwrap_or_default();
    let number = u64::from_str_radix(text, 16).ok();
    number.map_or_else(Bytes::new, |number| {
        Bytes::copy_from_slice(&number.to_be_bytes())
    })
}

async fn fill(agent: &Agent, fill: Fill) -> Result<Reply, Refusal> {
    let Fill {
        place,
        token: spelled,
        value,
        ttl,
        tags,
    } = fill;
    let request = v1::FillRequest {
        cache: place.cache().to_owned(),
        key: place.key(),
        lease_token: token(&spelled),
        loaded: Some(match value {
            Some(value) => fill_request::Loaded::Value(value),
            None => fill_request::Loaded::NotFound(fill_request::NotFound {}),
        }),
        options: Some(v1::StoreOptions {
            ttl: ttl.map(convert::span),
            tags,
            read_at: None,
        }),
        session: None,
    };
    let response = agent.fill(request, deadline(agent)).await?;
    Ok(Reply::Status(match response.outcome() {
        FillOutcome::Stored => "STORED",
        FillOutcome::Superseded => "SUPERSEDED",
        FillOutcome::LeaseLost => "LEASE_LOST",
        FillOutcome::NotKept | FillOutcome::Unspecified => "NOT_KEPT",
        FillOutcome::Unreachable => "UNREACHABLE",
    }))
}

async fn invalidate(agent: &Agent, all: Invalidate) -> Result<Reply, Refusal> {
    let Invalidate {
        cache,
        keys,
        tags,
        all,
    } = all;
    let request = v1::InvalidateRequest {
        cache,
        keys,
        tags,
        whole_cache: all,
        session: None,
    };
    agent.invalidate(request, deadline(agent)).await?;
    Ok(Reply::OK)
}
