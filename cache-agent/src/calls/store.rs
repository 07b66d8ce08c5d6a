//! Fill and ReleaseLease: how loaded values come in.

use crate::calls::Agent;
use crate::convert::{self, Keeping};
use crate::deadline::Deadline;
use crate::failure::{Failure, Reason};
use crate::proto::v1::{self, fill_request::Loaded};
use crate::sessions::Carried;
use bytes::Bytes;
use cache_core::{FillOutcome, FillTicket};

impl Agent {
    /// Ends a lease with what was loaded.
    ///
    /// # Errors
    /// Anything outside its limits; the lease then stays as it is, so that the
    /// caller can mend its request or give the lease back.
    pub async fn fill(
        &self,
        request: v1::FillRequest,
        deadline: Deadline,
    ) -> Result<v1::FillResponse, Failure> {
        convert::key(&request.key)?;
        let keeping = Keeping::of(request.options)?;
        let mut session = Carried::of(request.session.as_deref())?;
        let value = match request.loaded {
            Some(Loaded::Value(value)) => Some(value),
            Some(Loaded::NotFound(_)) => None,
            None => return Err(nothing_loaded()),
        };
        let lost = |session: &Carried| v1::FillResponse {
            session: session.text(),
            ..convert::filled(FillOutcome::LeaseLost)
        };
        let Some(open) = self.caches.find(&request.cache)? else {
            return Ok(lost(&session));
        };
        if let Some(value) = &value {
            convert::value(value, open.cache.policy().value_bytes_max)?;
        }
        session.ask(&open.cache, &request.key)?;
        let Some(ticket) = self.ticket(&request.cache, &request.key, &request.lease_token)? else {
            return Ok(lost(&session));
        };
        let (ttl, read_from) = (keeping.ttl, ticket.as_of());
        let loaded = keeping.loaded(value);
        let filling = async move { Ok(ticket.fill(loaded, ttl).await?) };
        let (hit, outcome) = self.finish(deadline, filling).await?;
        // Whatever became of it, the caller has seen what the source had.
        let seen = match outcome {
            FillOutcome::Stored(as_of) => Some(as_of),
            _ => hit.map(|hit| hit.as_of()).or(read_from),
        };
        if let Some(as_of) = seen {
            session.saw(&open.cache, &request.key, as_of)?;
        }
        Ok(v1::FillResponse {
            session: session.text(),
            ..convert::filled(outcome)
        })
    }

    /// Gives a lease back.
    ///
    /// # Errors
    /// A bad key and an unknown cache.
    pub fn release(&self, request: &v1::ReleaseLeaseRequest) -> Result<(), Failure> {
        convert::key(&request.key)?;
        drop(self.ticket(&request.cache, &request.key, &request.lease_token)?);
        Ok(())
    }

    fn ticket(
        &self,
        cache: &str,
        key: &[u8],
        token: &Bytes,
    ) -> Result<Option<Box<FillTicket<Bytes>>>, Failure> {
        let Some(open) = self.caches.find(cache)? else {
            return Ok(None);
        };
        let name = &open.cache.policy().name;
        let token = token.as_ref().try_into().map(u64::from_be_bytes).ok();
        Ok(token.and_then(|token| self.leases.take(token, name, key)))
    }
}

fn nothing_loaded() -> Failure {
    let message = "neither `value` nor `not_found` is set; \
                   to give a lease back without either, call ReleaseLease";
    Failure::new(Reason::FieldMissing, message).at("loaded")
}
