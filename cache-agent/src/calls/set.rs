//! Set, Touch and Delete: what comes without a lease.

use crate::caches::{Open, Writes};
use crate::calls::Agent;
use crate::convert::{self, Keeping};
use crate::deadline::Deadline;
use crate::failure::{Failure, Reason};
use crate::proto::v1::{self, DeleteOutcome, SetOutcome, TouchOutcome};
use crate::sessions::Carried;
use bytes::Bytes;
use cache_core::policy::UnleasedSet;
use cache_core::{Error, Kind, Receipt};
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

    /// Gives an entry another end.
    ///
    /// # Errors
    /// Anything outside its limits, and [`Reason::L2Unavailable`] while Redis or NATS
    /// have not been reached.
    pub async fn touch(
        &self,
        request: v1::TouchRequest,
        deadline: Deadline,
    ) -> Result<v1::TouchResponse, Failure> {
        convert::key(&request.key)?;
        let missing = || Failure::new(Reason::FieldMissing, "`ttl` is not set").at("ttl");
        let ttl = convert::ttl(request.ttl.ok_or_else(missing)?, "ttl")?;
        let open = self.caches.find(&request.cache)?;
        let cache = open.ok_or_else(Failure::not_joined)?.cache.clone();
        let touching = async move { Ok(cache.touch(&request.key, ttl).await?) };
        let (outcome, expires) = match self.finish(deadline, touching).await? {
            cache_core::TouchOutcome::Touched { expires_ms } => {
                (TouchOutcome::Touched, Some(convert::timestamp(expires_ms)))
            }
            cache_core::TouchOutcome::NotFound => (TouchOutcome::NotFound, None),
            cache_core::TouchOutcome::Changed => (TouchOutcome::Changed, None),
            cache_core::TouchOutcome::Unreachable => (TouchOutcome::Unreachable, None),
        };
        Ok(v1::TouchResponse {
            outcome: outcome.into(),
            expires_at: expires,
        })
    }

    /// Makes a key invalid everywhere; in a cache that writes, the application deletes it
    /// first.
    ///
    /// # Errors
    /// As [`Agent::set`].
    pub async fn delete(
        &self,
        request: v1::DeleteRequest,
        deadline: Deadline,
    ) -> Result<v1::DeleteResponse, Failure> {
        convert::key(&request.key)?;
        let session = Carried::of(request.session.as_deref())?;
        let open = self.caches.find(&request.cache)?;
        let open = open.ok_or_else(Failure::not_joined)?.clone();
        let key = request.key;
        self.finish(deadline, remove(open, key, session)).await
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

/// What became of a write to the source.
enum Written {
    Now(Receipt),
    Later(u64),
}

async fn written(open: &Open, key: &Bytes, value: Option<Bytes>) -> Result<Written, Failure> {
    Ok(match (&open.writes, value) {
        (Writes::Through(writes), Some(value)) => Written::Now(writes.put(key, value).await?),
        (Writes::Through(writes), None) => Written::Now(writes.delete(key).await?),
        (Writes::Behind(writes), Some(value)) => {
            Written::Later(writes.put(key, value).await.map_err(of_queue)?)
        }
        (Writes::Behind(writes), None) => {
            Written::Later(writes.delete(key).await.map_err(of_queue)?)
        }
        (Writes::Aside, _) => return Err(super::broken()),
    })
}

async fn remove(
    open: Open,
    key: Bytes,
    mut session: Carried,
) -> Result<v1::DeleteResponse, Failure> {
    let answer = |outcome: DeleteOutcome| v1::DeleteResponse {
        outcome: outcome.into(),
        ..Default::default()
    };
    let done = |in_l2: bool| match in_l2 {
        true => DeleteOutcome::Deleted,
        false => DeleteOutcome::Pending,
    };
    let mut response = match open.writes {
        Writes::Aside => answer(done(session.invalidate(&open.cache, &key).await?)),
        Writes::Through(_) | Writes::Behind(_) => match written(&open, &key, None).await? {
            Written::Now(receipt) => {
                session.wrote(&open.cache, &key, &receipt)?;
                v1::DeleteResponse {
                    position: receipt.position.map(Into::into),
                    ..answer(done(receipt.position.is_some()))
                }
            }
            Written::Later(version) => v1::DeleteResponse {
                queued_as: version,
                ..answer(DeleteOutcome::Queued)
            },
        },
    };
    response.session = session.text();
    Ok(response)
}

fn answer(outcome: SetOutcome, session: &Carried) -> v1::SetResponse {
    v1::SetResponse {
        outcome: outcome.into(),
        session: session.text(),
        ..Default::default()
    }
}

/// An error of a queue, whose kinds mean something else than those of a load.
fn of_queue(error: Error) -> Failure {
    let reason = match error.kind() {
        Kind::Overloaded => Reason::WriteBehindFull,
        Kind::Unavailable => Reason::QueueUnavailable,
        _ => return error.into(),
    };
    Failure::new(reason, error.to_string())
}
