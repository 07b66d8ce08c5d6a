//! Announces what an operator wants gone, through the door that every writer uses.
//!
//! Not as an event in the stream: that would wait behind the backlog, which may be the
//! very reason for asking, it would reach every other reader of the stream, and nobody
//! could say when it is done. And without a position of the stream: a change without one
//! is placed after all that its bucket has seen. So nothing that was cached before
//! survives it, whatever its as-of claims to hold.
//!
//! That is harmless at any time: what is gone is loaded once more.

use crate::config::Service;
use cache_core::coherence::announce::{ANNOUNCE_MAX, Announced, Change};
use cache_core::event::Silent;
use cache_core::model::key::Key;
use cache_core::wire::invalidation::Target;
use cache_core::{Domain, Error, Kind, Role, connect};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long L2 and the bus are waited for: longer than a failover of Redis takes.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause before what L2 did not take is announced again.
const PAUSE: Duration = Duration::from_millis(200);

/// Joins the domain, without a word about how far the stream is.
///
/// # Errors
/// As [`connect::open`].
pub async fn join(service: &Service) -> Result<Arc<Domain>, Error> {
    connect::open(&service.domain, Role::Member, Arc::new(Silent)).await
}

/// Announces these; on return L2 has applied them, and every process has been told.
///
/// # Errors
/// [`Kind::Unavailable`] when a part of L2 or the bus stays away: everything may be
/// announced once more.
pub async fn announce(domain: &Domain, targets: &[Target]) -> Result<(), Error> {
    let mut obstacle = String::new();
    let all = async {
        for some in targets.chunks(ANNOUNCE_MAX) {
            let changes = some.iter().map(change).collect();
            everywhere(domain, changes, &mut obstacle).await;
        }
    };
    let in_time = timeout(PATIENCE, all).await.is_ok();
    // What was only handed over would be lost with this process.
    match domain.voice().flush().await {
        Ok(()) if in_time => return Ok(()),
        Ok(()) => {}
        Err(error) => obstacle = error.to_string(),
    }
    let subject = domain.name().as_str();
    let error = Error::new(Kind::Unavailable, "announcing to every tier", subject);
    Err(error
        .because(obstacle)
        .hint("some of it is not done; it may be announced again as a whole"))
}

async fn everywhere(domain: &Domain, mut left: Vec<Change>, obstacle: &mut String) {
    loop {
        match domain.announcer().announce(&left).await {
            Ok(told) => {
                let mut told = told.into_iter();
                left.retain(|_| match told.next() {
                    Some(Announced::Everywhere(_)) => false,
                    Some(Announced::NotInL2(why)) => {
                        *obstacle = why;
                        true
                    }
                    None => true,
                });
            }
            Err(error) => *obstacle = error.to_string(),
        }
        if left.is_empty() {
            return;
        }
        sleep(PAUSE).await;
    }
}

fn change(target: &Target) -> Change {
    match target {
        Target::Key { cache, key } => {
            let key = Key::new(key).expect("targets are made of checked keys");
            Change::key(cache, key, None)
        }
        Target::Tag { cache, tag } => Change::tag(cache, tag.clone(), None),
        Target::Bucket(_) => unreachable!("nobody names a bucket"),
    }
}
