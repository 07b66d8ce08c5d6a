//! Set and BatchSet: values that come without a lease.

use crate::caches::{Open, Writes};
use crate::calls::Agent;
use crate::calls::written::{Written, written};
use crate::convert::{self, Keeping};
use crate::deadline::Deadline;
use crate::failure::{Failure, Reason};
use crate::proto::v1::{self, SetOutcome};
use crate::sessions::Carried;
use bytes::Bytes;
use cache_core::policy::UnleasedSet;
use futures_util::StreamExt;

/// How many of one batch are set at once.
const WIDTH: usize = 64;

/// A checked Set of an open cache.
struct Put {
    open: Open,
    key: Bytes,
    value: Bytes,
    keeping: Keeping,
    session: Carried,
}

impl Agent {
    /// Offers a value without a lease; in a cache that writes, the application stores it.
    ///
    /// # Errors
    /// Anything outside its limits, a condition that cannot be kept, the application's,
    /// and [`Reason::L2Unavailable`] while Redis or NATS have not been reached.
    pub async fn set(
        &self,
        request: v1::SetRequest,
        deadline: Deadline,
    ) -> Result<v1::SetResponse, Failure> {
        convert::key(&request.key)?;
        let has_options = request.options.is_some();
        let keeping = Keeping::of(request.options)?;
        let session = Carried::of(request.session.as_deref())?;
        let open = self.caches.find(&request.cache)?;
        let open = open.ok_or_else(Failure::not_joined)?.clone();
        convert::value(&request.value, open.cache.policy().value_bytes_max)?;
        let conditional = request.condition.is_some();
        check(&open, conditional, has_options)?;
        let put = Put {
            open,
            key: convert::own(&request.key),
            value: request.value,
            keeping,
            session,
        };
        self.finish(deadline, async move {
            match put.open.writes {
                Writes::Aside if conditional => put.if_absent().await,
                Writes::Aside => put.aside().await,
                Writes::Through(_) | Writes::Behind(_) => put.into_source().await,
            }
        })
        .await
    }

    /// Sets many; each has its own result.
    ///
    /// # Errors
    /// [`Reason::BatchTooLarge`].
    pub async fn batch_set(
        &self,
        requests: Vec<v1::SetRequest>,
        deadline: Deadline,
    ) -> Result<Vec<v1::SetResult>, Failure> {
        super::batch::check(requests.len(), super::batch::BATCH_MAX)?;
        let sets = requests.into_iter().map(|request| {
            let agent = self.clone();
            async move { agent.set(request, deadline).await }
        });
        let all = futures_util::stream::iter(sets)
            .buffered(WIDTH)
            .map(|set| v1::SetResult {
                result: Some(match set {
                    Ok(response) => v1::set_result::Result::Response(response),
                    Err(failure) => v1::set_result::Result::Failure(failure.into()),
                }),
            })
            .collect();
        Ok(all.await)
    }
}

fn check(open: &Open, conditional: bool, has_options: bool) -> Result<(), Failure> {
    let writes = !matches!(open.writes, Writes::Aside);
    let name = &open.cache.policy().name;
    if conditional && (writes || open.cache.policy().unleased_set == UnleasedSet::Invalidates) {
        let message = format!(
            "the cache `{name}` stores no values without a lease, so there is nothing to put \
             a condition on; set `unleased_set = \"stores\"` for it, or take a lease by Get"
        );
        return Err(Failure::new(Reason::ConditionUnsupported, message).at("condition"));
    }
    if writes && has_options {
        let message = format!(
            "the cache `{name}` writes to the application, whose answer says how to keep the \
             value; leave `options` out"
        );
        return Err(Failure::new(Reason::FieldUnsupported, message).at("options"));
    }
    Ok(())
}

impl Put {
    async fn aside(mut self) -> Result<v1::SetResponse, Failure> {
        let ttl = self.keeping.ttl;
        let (cache, loaded) = (&self.open.cache, self.keeping.loaded(Some(self.value)));
        let outcome = self.session.set(cache, &self.key, loaded, ttl).await?;
        Ok(answer(convert::set(outcome), &self.session))
    }

    async fn if_absent(mut self) -> Result<v1::SetResponse, Failure> {
        let ttl = self.keeping.ttl;
        let (cache, loaded) = (&self.open.cache, self.keeping.loaded(Some(self.value)));
        let set = self.session.set_if_absent(cache, &self.key, loaded, ttl);
        let outcome = set.await?.map(convert::set);
        let outcome = outcome.unwrap_or(SetOutcome::ConditionFailed);
        Ok(answer(outcome, &self.session))
    }

    async fn into_source(mut self) -> Result<v1::SetResponse, Failure> {
        let value = convert::own(&self.value);
        match written(&self.open, &self.key, Some(value)).await? {
            Written::Now(receipt) => {
                self.session.wrote(&self.open.cache, &self.key, &receipt)?;
                let outcome = match receipt.stored {
                    true => SetOutcome::Stored,
                    false => SetOutcome::Invalidated,
                };
                Ok(v1::SetResponse {
                    position: receipt.position.map(Into::into),
                    ..answer(outcome, &self.session)
                })
            }
            Written::Later(version) => Ok(v1::SetResponse {
                queued_as: version,
                ..answer(SetOutcome::Queued, &self.session)
            }),
        }
    }
}

fn answer(outcome: SetOutcome, session: &Carried) -> v1::SetResponse {
    v1::SetResponse {
        outcome: outcome.into(),
        session: session.text(),
        ..Default::default()
    }
}
