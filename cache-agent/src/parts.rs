//! One look at everything that an agent works with, part by part.

use crate::caches::{Caches, Writes};
use crate::calls::Agent;
use crate::source::Source;
use cache_core::model::key::{Address, BUCKETS, Bucket};
use cache_core::ops::admin::Part;
use cache_core::tier::{RemoteError, Watermark};
use cache_core::{Domain, Error};
use futures_util::future::join_all;
use std::time::Duration;
use tokio::time::timeout;

/// How long one part may take to answer: longer than any step of L2, and shorter than the
/// patience of a probe.
const PATIENCE: Duration = Duration::from_secs(3);

/// Looks at all parts. It asks every bucket of L2, the application and the queues, so it is
/// for people; nothing is changed by it.
pub async fn look(agent: &Agent) -> Vec<Part> {
    let Some(domain) = agent.caches.domain() else {
        let why = "it has not been reached since the start";
        return vec![Part::wrong("redis", why), Part::wrong("nats", why)];
    };
    let (buckets, queues, loader) = tokio::join!(
        watermarks(domain),
        queues(&agent.caches),
        loader(&agent.caches)
    );
    let mut all = vec![redis(&buckets), nats(domain), l1(domain, agent)];
    all.push(caught_up(domain, &buckets));
    all.extend(queues);
    all.extend(loader);
    all
}

type Read = (Bucket, Result<Option<Watermark>, RemoteError>);

async fn watermarks(domain: &Domain) -> Vec<Read> {
    let read = |bucket: Bucket| async move {
        let record = Address::watermark(domain.name(), bucket).into();
        let address = Address { bucket, record };
        let read = timeout(PATIENCE, domain.remote().read(&address)).await;
        let read = read.unwrap_or(Err(RemoteError::Timeout));
        (bucket, read.map(|reading| reading.watermark))
    };
    join_all(Bucket::all().map(read)).await
}

fn redis(buckets: &[Read]) -> Part {
    let mut failed = buckets.iter().filter_map(|(_, read)| read.as_ref().err());
    match failed.next() {
        None => Part::ok("redis"),
        Some(first) => {
            let count = failed.count() + 1;
            let why = format!("{count} of {BUCKETS} buckets do not answer: {first}");
            Part::wrong("redis", why)
        }
    }
}

fn nats(domain: &Domain) -> Part {
    match domain.voice().is_heard() {
        true => Part::ok("nats"),
        false => Part::wrong("nats", "not connected: invalidations cannot be told"),
    }
}

fn l1(domain: &Domain, agent: &Agent) -> Part {
    match domain.trust().holds(agent.clock.now()) {
        true => Part::ok("l1"),
        false => Part::wrong("l1", "not trusted, no sign of life is heard: L2 answers"),
    }
}

fn caught_up(domain: &Domain, buckets: &[Read]) -> Part {
    let horizon = domain.horizon();
    let read = buckets.iter().filter_map(|(bucket, read)| {
        let watermark = read.as_ref().ok()?;
        Some((*bucket, watermark))
    });
    let behind = read.filter(|(bucket, watermark)| {
        watermark.is_none_or(|watermark| !horizon.keeps(*bucket, &watermark))
    });
    match behind.count() {
        0 => Part::ok("buckets"),
        count => Part::wrong(
            "buckets",
            format!("{count} of {BUCKETS} are behind what was heard: their values are refused"),
        ),
    }
}

async fn queues(caches: &Caches) -> Vec<Part> {
    let looks = caches.open_all().filter_map(|open| match &open.writes {
        Writes::Behind(behind) => Some(async {
            let name = format!("write-behind of {}", open.cache.policy().name);
            match timeout(PATIENCE, behind.backlog()).await {
                Ok(Ok(backlog)) => Part::with(name, format!("{} wait", backlog.waiting)),
                Ok(Err(error)) => Part::wrong(name, error.to_string()),
                Err(_) => Part::wrong(name, "the queue does not answer"),
            }
        }),
        _ => None,
    });
    join_all(looks).await
}

async fn loader(caches: &Caches) -> Option<Part> {
    let at = caches.source()?;
    let reached = timeout(PATIENCE, Source::reach(at)).await;
    Some(match reached {
        Ok(Ok(())) => Part::ok("loader"),
        Ok(Err(error)) => Part::wrong("loader", Error::to_string(&error)),
        Err(_) => Part::wrong("loader", format!("{} does not answer", at.address)),
    })
}
