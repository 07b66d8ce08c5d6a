//! Touch and Delete: other ends for an entry.

use crate::caches::{Open, Writes};
use crate::calls::Agent;
use crate::calls::written::{Written, written};
use crate::convert;
use crate::deadline::Deadline;
use crate::failure::{Failure, Reason};
use crate::proto::v1::{self, DeleteOutcome, TouchOutcome};
use crate::sessions::Carried;
use bytes::Bytes;

impl Agent {
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
