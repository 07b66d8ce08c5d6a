//! Get: a value, a known absence, or a miss with or without a lease.

use crate::caches::Open;
use crate::calls::Agent;
use crate::convert;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::proto::v1::{self, StaleReason, get_response};
use crate::sessions::Carried;
use crate::wishes::Wishes;
use bytes::Bytes;
use cache_core::{Ask, FillTicket, Hit, Lookup, ReadThrough};
use std::time::Duration;

/// When a caller without a lease may ask again, at the earliest.
const RETRY_MIN: Duration = Duration::from_millis(10);
/// When asking again makes sense while Redis or NATS have not been reached.
const RETRY_NOT_JOINED: Duration = Duration::from_secs(1);

/// One look at one key.
struct Look<'a> {
    open: &'a Open,
    key: Bytes,
    ask: Ask,
    wishes: Wishes,
    deadline: Deadline,
}

impl Agent {
    /// Looks a key up.
    ///
    /// # Errors
    /// What is asked is outside its limits, an unknown cache, and the load's in a cache
    /// that reads through. Trouble of L2 is a miss.
    pub async fn get(
        &self,
        request: v1::GetRequest,
        deadline: Deadline,
    ) -> Result<v1::GetResponse, Failure> {
        convert::key(&request.key)?;
        let wishes = Wishes::of(&request)?;
        let mut session = Carried::of(request.session.as_deref())?;
        let result = match self.caches.find(&request.cache)? {
            None => miss(no_lease(RETRY_NOT_JOINED)),
            Some(open) => {
                let policy = open.cache.policy();
                self.hot.saw(&policy.name, &request.key);
                let asked = session.ask(&open.cache, &request.key)?;
                let look = Look {
                    open,
                    ask: wishes.ask(asked, policy.wait, deadline),
                    key: request.key,
                    wishes,
                    deadline,
                };
                let key = look.key.clone();
                let result = match &open.reads {
                    Some(reads) if !request.no_lease => self.load(reads.clone(), look).await?,
                    _ => self.find(look, request.no_lease).await?,
                };
                if let Some(as_of) = as_of(&result) {
                    session.saw(&open.cache, &key, as_of.into())?;
                }
                result
            }
        };
        Ok(v1::GetResponse {
            result: Some(result),
            session: session.text(),
        })
    }

    /// Looks in the tiers; the caller loads.
    async fn find(
        &self,
        look: Look<'_>,
        will_not_load: bool,
    ) -> Result<get_response::Result, Failure> {
        let Look { open, ask, .. } = look;
        let (cache, key) = (open.cache.clone(), look.key.clone());
        let looking = async move { cache.get_with(&key, &ask).await };
        let ticket = match self.look(look.deadline, looking).await? {
            Some(Lookup::Hit(hit)) => return Ok(look.hit(&hit)),
            Some(Lookup::Absent) => return Ok(negative()),
            Some(Lookup::Miss(ticket)) => ticket,
            None => return Ok(miss(no_lease(open.cache.policy().wait))),
        };
        let stale = ticket.stale().filter(|hit| {
            let age = self.clock.wall_ms().saturating_sub(hit.stored_ms());
            look.wishes.takes_expired(Duration::from_millis(age))
        });
        let lent = match will_not_load {
            // The ticket is dropped here, which gives its lease back.
            true => self.wanted(open, &ticket, None),
            false => self.lend(open, look.key, ticket),
        };
        Ok(match stale {
            None => miss(lent),
            Some(hit) => get_response::Result::Hit(get_response::Hit {
                lease: lent.lease,
                ..convert::hit(&hit, StaleReason::Refreshing)
            }),
        })
    }

    /// Looks in the tiers, and has the application load.
    async fn load(
        &self,
        reads: ReadThrough<Bytes>,
        look: Look<'_>,
    ) -> Result<get_response::Result, Failure> {
        let (key, ask) = (look.key.clone(), look.ask);
        let loading = async move { reads.get_with(&key, &ask).await };
        Ok(match self.look(look.deadline, loading).await? {
            Some(Some(hit)) => look.hit(&hit),
            Some(None) => negative(),
            // The load goes on, for whoever asks next.
            None => miss(no_lease(RETRY_MIN)),
        })
    }

    /// Keeps the ticket here and gives its token to the caller.
    fn lend(&self, open: &Open, key: Bytes, ticket: Box<FillTicket<Bytes>>) -> get_response::Miss {
        let wanted = self.wanted(open, &ticket, ticket.token());
        let Some(token) = ticket.token() else {
            return wanted;
        };
        let policy = open.cache.policy();
        let (name, key) = (policy.name.clone(), convert::own(&key));
        self.leases.keep(token, name, key, ticket, policy.lease);
        wanted
    }

    /// What the caller is told of its ticket, of which it may be given the token.
    fn wanted(
        &self,
        open: &Open,
        ticket: &FillTicket<Bytes>,
        token: Option<u64>,
    ) -> get_response::Miss {
        let policy = open.cache.policy();
        let lasts = u64::try_from(policy.lease.as_millis()).unwrap_or(u64::MAX);
        let expires = self.clock.wall_ms().saturating_add(lasts);
        let lease = token.zip(ticket.as_of());
        let lease = lease.map(|(token, as_of)| v1::Lease {
            token: Bytes::copy_from_slice(&token.to_be_bytes()),
            expires_at: Some(convert::timestamp(expires)),
            as_of: Some(as_of.into()),
        });
        let after = match ticket.retry_after() {
            Duration::ZERO => policy.wait,
            after => after,
        };
        get_response::Miss {
            retry_after: lease.is_none().then(|| convert::span(after.max(RETRY_MIN))),
            lease,
            at_least: Some(ticket.at_least().into()),
            primary: ticket.wants_primary(),
        }
    }
}

impl Look<'_> {
    fn hit(&self, hit: &Hit<Bytes>) -> get_response::Result {
        let reason = match hit.is_stale() {
            true if !self.wishes.takes_held_over() => return miss(no_lease(RETRY_MIN)),
            true => StaleReason::Source,
            false => StaleReason::Unspecified,
        };
        get_response::Result::Hit(convert::hit(hit, reason))
    }
}

/// A miss whose caller may ask again.
pub(super) fn no_lease(retry_after: Duration) -> get_response::Miss {
    get_response::Miss {
        retry_after: Some(convert::span(retry_after.max(RETRY_MIN))),
        ..Default::default()
    }
}

fn miss(miss: get_response::Miss) -> get_response::Result {
    get_response::Result::Miss(miss)
}

fn negative() -> get_response::Result {
    get_response::Result::Negative(get_response::NegativeHit {})
}

fn as_of(result: &get_response::Result) -> Option<v1::Position> {
    match result {
        get_response::Result::Hit(hit) => hit.entry.as_ref()?.as_of,
        get_response::Result::Negative(_) | get_response::Result::Miss(_) => None,
    }
}
