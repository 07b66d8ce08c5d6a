//! Fill, ReleaseLease and Set: how values come in.

use crate::calls::Agent;
use crate::convert::{self, Keeping};
use crate::deadline::Deadline;
use crate::failure::{Failure, Reason};
use crate::proto::v1::{self, fill_request::Loaded};
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
        let value = match request.loaded {
            Some(Loaded::Value(value)) => Some(value),
            Some(Loaded::NotFound(_)) => None,
            None => return Err(nothing_loaded()),
        };
        let Some(cache) = self.caches.find(&request.cache)? else {
            return Ok(convert::filled(FillOutcome::LeaseLost));
        };
        if let Some(value) = &value {
            convert::value(value, cache.policy().value_bytes_max)?;
        }
        let Some(ticket) = self.ticket(&request.cache, &request.key, &request.lease_token)? else {
            return Ok(convert::filled(FillOutcome::LeaseLost));
        };
        let ttl = keeping.ttl;
        let loaded = keeping.loaded(value);
        let filling = async move { Ok(ticket.fill(loaded, ttl).await?) };
        let (_, outcome) = self.finish(deadline, filling).await?;
        Ok(convert::filled(outcome))
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

    /// Offers a value without a lease.
    ///
    /// # Errors
    /// Anything outside its limits, and [`Reason::L2Unavailable`] while Redis or
    /// NATS have not been reached.
    pub async fn set(
        &self,
        request: v1::SetRequest,
        deadline: Deadline,
    ) -> Result<v1::SetResponse, Failure> {
        convert::key(&request.key)?;
        let keeping = Keeping::of(request.options)?;
        let cache = self
            .caches
            .find(&request.cache)?
            .ok_or_else(Failure::not_joined)?;
        convert::value(&request.value, cache.policy().value_bytes_max)?;
        let (cache, ttl) = (cache.clone(), keeping.ttl);
        let loaded = keeping.loaded(Some(request.value));
        let setting = async move { Ok(cache.set(&request.key, loaded, ttl).await?) };
        Ok(convert::set(self.finish(deadline, setting).await?))
    }

    fn ticket(
        &self,
        cache: &str,
        key: &[u8],
        token: &Bytes,
    ) -> Result<Option<Box<FillTicket<Bytes>>>, Failure> {
        let Some(cache) = self.caches.find(cache)? else {
            return Ok(None);
        };
        let token = token.as_ref().try_into().map(u64::from_be_bytes).ok();
        Ok(token.and_then(|token| self.leases.take(token, &cache.policy().name, key)))
    }
}

fn nothing_loaded() -> Failure {
    let message = "neither `value` nor `not_found` is set; \
                   to give a lease back without either, call ReleaseLease";
    Failure::new(Reason::FieldMissing, message).at("loaded")
}
