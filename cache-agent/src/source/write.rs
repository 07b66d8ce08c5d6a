//! Writes by the application, one key before it is answered or many from a queue.

use super::{Answered, Source, kept, within};
use crate::proto::v1::{self, stored::Holds, write::Change};
use async_trait::async_trait;
use bytes::Bytes;
use cache_core::{BulkWriter, Due, Loaded, Policy, WriteError, Writer};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::SemaphorePermit;
use tonic::{Code, Status};

/// Writes the keys of one cache.
#[derive(Clone, Debug)]
pub struct Stores {
    source: Source,
    cache: String,
    patience: Duration,
    value_bytes_max: usize,
}

impl Source {
    /// A writer for the cache of a policy.
    pub fn stores(&self, policy: &Policy) -> Stores {
        Stores {
            source: self.clone(),
            cache: policy.name.as_str().to_owned(),
            patience: policy.write_timeout,
            value_bytes_max: policy.value_bytes_max,
        }
    }
}

#[async_trait]
impl Writer<Bytes> for Stores {
    async fn write(
        &self,
        key: Arc<[u8]>,
        value: Option<Bytes>,
    ) -> Result<Loaded<Bytes>, WriteError> {
        let _turn = self.turn().await?;
        let request = v1::StoreRequest {
            cache: self.cache.clone(),
            write: Some(write(&key, value.clone(), 0)),
        };
        let mut client = self.source.client.clone();
        let stored = client.store(within(request, self.patience)).await;
        let stored = stored.map_err(failed)?.into_inner().stored;
        let holds = self.read(stored.unwrap_or_default(), value);
        // Nothing to be kept only invalidates the key.
        Ok(holds.unwrap_or_else(|| Loaded::absent().not_kept()))
    }
}

#[async_trait]
impl BulkWriter<Bytes> for Stores {
    async fn write_many(
        &self,
        due: Vec<Due<Bytes>>,
    ) -> Result<Vec<Option<Loaded<Bytes>>>, WriteError> {
        let _turn = self.turn().await?;
        let writes = due
            .iter()
            .map(|due| write(&due.key, due.value.clone(), due.version));
        let request = v1::BatchStoreRequest {
            cache: self.cache.clone(),
            writes: writes.collect(),
        };
        let mut client = self.source.client.clone();
        let stored = client.batch_store(within(request, self.patience)).await;
        let stored = stored.map_err(failed)?.into_inner().stored;
        if stored.len() != due.len() {
            let (due, stored) = (due.len(), stored.len());
            let text = format!("{due} keys were written, and {stored} answered");
            return Err(WriteError::Uncertain(text.into()));
        }
        let holds = stored.into_iter().zip(due);
        Ok(holds
            .map(|(stored, due)| self.read(stored, due.value))
            .collect())
    }
}

impl Stores {
    /// Waits for a turn, for half of the time: whoever has none then has written nothing, and
    /// can say so before the tiers take it for a call without an answer.
    async fn turn(&self) -> Result<SemaphorePermit<'_>, WriteError> {
        let turn = tokio::time::timeout(self.patience / 2, self.source.stores.acquire());
        match turn.await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) | Err(_) => Err(WriteError::not_written(
                "the application was not called: `calls_max` others did not end in time",
            )),
        }
    }

    /// What the source holds from the commit on. What is said of it and cannot be kept is
    /// no error: it was written.
    fn read(&self, stored: v1::Stored, sent: Option<Bytes>) -> Option<Loaded<Bytes>> {
        let value = match stored.holds? {
            Holds::AsSent(_) => sent,
            Holds::Value(value) => Some(value),
            Holds::NotFound(_) => None,
        };
        kept(value.as_ref(), stored.options, self.value_bytes_max)
            .inspect_err(|why| {
                let cache = &self.cache;
                tracing::warn!(cache, %why, "the application wrote, and its answer is not kept");
            })
            .ok()
    }
}

fn write(key: &[u8], value: Option<Bytes>, version: u64) -> v1::Write {
    v1::Write {
        key: Bytes::copy_from_slice(key),
        change: Some(match value {
            Some(value) => Change::Value(value),
            None => Change::Deletion(v1::write::Deletion {}),
        }),
        version,
    }
}

/// Whether the source was written, by the code of an answer: what says so stands in
/// `loader.proto`.
fn failed(status: Status) -> WriteError {
    let code = status.code();
    let cause = Answered(status);
    match code {
        Code::Aborted | Code::ResourceExhausted | Code::Unimplemented => {
            WriteError::not_written(cause)
        }
        Code::AlreadyExists
        | Code::FailedPrecondition
        | Code::InvalidArgument
        | Code::NotFound
        | Code::OutOfRange => WriteError::refused(cause),
        _ => WriteError::Uncertain(cause.into()),
    }
}
