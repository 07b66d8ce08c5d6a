//! Loads by the application: one key is asked for at once; those that wait for a turn
//! meanwhile are asked for together.

use super::{Answered, Source, kept, within};
use crate::proto::v1::{self, loaded::Loaded as Is};
use async_trait::async_trait;
use bytes::Bytes;
use cache_core::source::{Cause, Stale};
use cache_core::{Loaded, Loader, Policy, Wanted};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

/// How many loads of one cache wait for a turn: more than its policy lets run is never there.
const WAITING_MAX: usize = 1_024;

/// Loads the keys of one cache.
#[derive(Clone, Debug)]
pub struct Loads {
    orders: mpsc::Sender<Order>,
    value_bytes_max: usize,
}

/// One key, and who waits for it.
#[derive(Debug)]
struct Order {
    wanted: v1::Wanted,
    answer: oneshot::Sender<Result<v1::Loaded, Status>>,
}

/// The one who carries the orders of a cache to the application.
struct Carrier {
    source: Source,
    cache: String,
    patience: Duration,
}

impl Source {
    /// A loader for the cache of a policy.
    pub fn loads(&self, policy: &Policy) -> Loads {
        let (orders, waiting) = mpsc::channel(WAITING_MAX);
        let carrier = Carrier {
            source: self.clone(),
            cache: policy.name.as_str().to_owned(),
            patience: policy.load_timeout,
        };
        tokio::spawn(carrier.run(waiting));
        Loads {
            orders,
            value_bytes_max: policy.value_bytes_max,
        }
    }
}

#[async_trait]
impl Loader<Bytes> for Loads {
    async fn load(&self, wanted: Wanted<Bytes>) -> Result<Loaded<Bytes>, Cause> {
        let wanted = v1::Wanted {
            key: Bytes::copy_from_slice(&wanted.key),
            at_least: Some(wanted.at_least.into()),
            primary: wanted.strict,
            known: wanted.stale.as_ref().map(known),
        };
        let (answer, loaded) = oneshot::channel();
        let gone = || Cause::from("the agent is about to end");
        let order = Order { wanted, answer };
        self.orders.send(order).await.map_err(|_| gone())?;
        let loaded = loaded.await.map_err(|_| gone())?.map_err(Answered)?;
        read(loaded, self.value_bytes_max)
    }
}

impl Carrier {
    /// Ends with the last one who could order.
    async fn run(self, mut waiting: mpsc::Receiver<Order>) {
        while let Some(first) = waiting.recv().await {
            let Ok(turn) = self.source.loads.clone().acquire_owned().await else {
                return;
            };
            let mut orders = vec![first];
            while orders.len() < self.source.batch_max
                && let Ok(more) = waiting.try_recv()
            {
                orders.push(more);
            }
            // Who waited too long is not waited for.
            orders.retain(|order| !order.answer.is_closed());
            let call = call(
                self.source.clone(),
                self.cache.clone(),
                self.patience,
                orders,
            );
            tokio::spawn(async move {
                call.await;
                drop(turn);
            });
        }
    }
}

async fn call(source: Source, cache: String, patience: Duration, mut orders: Vec<Order>) {
    let mut client = source.client;
    if orders.len() > 1 {
        let (wanted, answers): (Vec<_>, Vec<_>) = orders
            .into_iter()
            .map(|order| (order.wanted, order.answer))
            .unzip();
        let request = within(v1::BatchLoadRequest { cache, wanted }, patience);
        let loaded = client.batch_load(request).await;
        let loaded = loaded.and_then(|response| in_order(response.into_inner(), answers.len()));
        match loaded {
            // Whoever has gone away is not told.
            Ok(all) => answers.into_iter().zip(all).for_each(|(answer, loaded)| {
                let _ = answer.send(Ok(loaded));
            }),
            Err(status) => answers.into_iter().for_each(|answer| {
                let _ = answer.send(Err(status.clone()));
            }),
        }
        return;
    }
    if let Some(Order { wanted, answer }) = orders.pop() {
        let wanted = Some(wanted);
        let request = within(v1::LoadRequest { cache, wanted }, patience);
        let loaded = client.load(request).await;
        let loaded = loaded.map(|response| response.into_inner().loaded.unwrap_or_default());
        let _ = answer.send(loaded);
    }
}

fn in_order(response: v1::BatchLoadResponse, wanted: usize) -> Result<Vec<v1::Loaded>, Status> {
    match response.loaded.len() == wanted {
        true => Ok(response.loaded),
        false => Err(Status::data_loss(format!(
            "{wanted} keys were wanted, and {} answered; BatchLoad answers in their order",
            response.loaded.len()
        ))),
    }
}

fn known(stale: &Stale<Bytes>) -> v1::wanted::Known {
    v1::wanted::Known {
        validator: Bytes::copy_from_slice(stale.validator().unwrap_or_default()),
        value: stale.value().cloned(),
    }
}

fn read(loaded: v1::Loaded, most: usize) -> Result<Loaded<Bytes>, Cause> {
    let mut read = match loaded.loaded {
        Some(Is::Value(value)) => kept(Some(&value), loaded.options, most)?,
        Some(Is::NotFound(_)) => kept(None, loaded.options, most)?,
        Some(Is::Unchanged(_)) => {
            let kept = kept(None, loaded.options, most)?;
            let mut unchanged = Loaded::unchanged();
            (unchanged.as_of, unchanged.ttl) = (kept.as_of, kept.ttl);
            unchanged.tags = kept.tags;
            unchanged
        }
        None => return Err("the application answered neither a value nor `not_found`".into()),
    };
    if !loaded.validator.is_empty() {
        read = read.validated_by(Bytes::copy_from_slice(&loaded.validator));
    }
    Ok(match loaded.not_kept {
        true => read.not_kept(),
        false => read,
    })
}
