//! Get: a value, a known absence, or a miss with or without a lease.

use crate::calls::{Agent, broken};
use crate::convert;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::proto::v1::{self, get_response};
use bytes::Bytes;
use cache_core::{Ask, Cache, FillTicket, Lookup};
use std::task::Poll;
use std::time::Duration;

/// When a caller without a lease may ask again, at the earliest.
const RETRY_MIN: Duration = Duration::from_millis(10);
/// When asking again makes sense while Redis or NATS have not been reached.
const RETRY_NOT_JOINED: Duration = Duration::from_secs(1);

impl Agent {
    /// Looks a key up.
    ///
    /// # Errors
    /// A bad key or wait, and an unknown cache. Trouble of L2 is a miss.
    pub async fn get(
        &self,
        request: v1::GetRequest,
        deadline: Deadline,
    ) -> Result<v1::GetResponse, Failure> {
        convert::key(&request.key)?;
        let wait = request.wait.map(convert::wait).transpose()?;
        let Some(cache) = self.caches.find(&request.cache)? else {
            return Ok(miss(no_lease(RETRY_NOT_JOINED)));
        };
        let wait = wait.unwrap_or(cache.policy().wait).min(deadline.left());
        let ask = Ask {
            at_least: request.at_least.map(Into::into).unwrap_or_default(),
            wait: Some(wait),
            ..Ask::default()
        };
        let found = self
            .look(cache.clone(), request.key.clone(), ask, deadline)
            .await?;
        let result = match found {
            Some(Lookup::Hit(hit)) => get_response::Result::Hit(convert::hit(&hit)),
            Some(Lookup::Absent) => get_response::Result::Negative(get_response::NegativeHit {}),
            Some(Lookup::Miss(ticket)) if !request.no_lease => {
                return Ok(miss(self.lend(cache, request.key, ticket)));
            }
            // The ticket is dropped here, which gives its lease back.
            Some(Lookup::Miss(_)) | None => return Ok(miss(no_lease(cache.policy().wait))),
        };
        Ok(v1::GetResponse {
            result: Some(result),
        })
    }

    /// Looks a key up within the deadline; `None` when it was not enough.
    ///
    /// What cannot be answered at once runs on a task of its own, to its end: a
    /// lease that L2 grants after the caller went away comes back here and is
    /// given back, where a dropped future would leave it to run out.
    async fn look(
        &self,
        cache: Cache<Bytes>,
        key: Bytes,
        ask: Ask,
        deadline: Deadline,
    ) -> Result<Option<Lookup<Bytes>>, Failure> {
        let mut looking = Box::pin(async move { cache.get_with(&key, &ask).await });
        if let Poll::Ready(found) = futures_util::poll!(&mut looking) {
            return Ok(Some(found?));
        }
        let task = self.tasks.spawn(looking);
        match tokio::time::timeout_at(deadline.answer_by(), task).await {
            Ok(Ok(found)) => Ok(Some(found?)),
            Ok(Err(_)) => Err(broken()),
            Err(_) => Ok(None),
        }
    }

    /// Keeps the ticket here and gives its token to the caller.
    fn lend(
        &self,
        cache: &Cache<Bytes>,
        key: Bytes,
        ticket: Box<FillTicket<Bytes>>,
    ) -> get_response::Miss {
        let policy = cache.policy();
        let (Some(token), Some(as_of)) = (ticket.token(), ticket.as_of()) else {
            let after = ticket.retry_after();
            return no_lease(if after.is_zero() { policy.wait } else { after });
        };
        let lasts = u64::try_from(policy.lease.as_millis()).unwrap_or(u64::MAX);
        let expires = self.clock.wall_ms().saturating_add(lasts);
        self.leases
            .keep(token, policy.name.clone(), key, ticket, policy.lease);
        get_response::Miss {
            lease: Some(v1::Lease {
                token: Bytes::copy_from_slice(&token.to_be_bytes()),
                expires_at: Some(convert::timestamp(expires)),
                as_of: Some(as_of.into()),
            }),
            retry_after: None,
        }
    }
}

/// A miss whose caller may ask again.
pub(super) fn no_lease(retry_after: Duration) -> get_response::Miss {
    get_response::Miss {
        lease: None,
        retry_after: Some(convert::span(retry_after.max(RETRY_MIN))),
    }
}

fn miss(miss: get_response::Miss) -> v1::GetResponse {
    v1::GetResponse {
        result: Some(get_response::Result::Miss(miss)),
    }
}
