//! BatchGet: many keys at once, in order, within one message.

use crate::calls::Agent;
use crate::calls::get::no_lease;
use crate::deadline::Deadline;
use crate::failure::{Failure, Reason};
use crate::proto::v1::{self, get_response, get_result};
use futures_util::StreamExt;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The most keys in one batch.
pub const BATCH_MAX: usize = 1_000;
/// The bytes of values in one answer: below the 4 MiB that clients accept by
/// default, with room for what stands around the values.
pub const ANSWER_BYTES: usize = 3_584 * 1_024;
/// How many keys of one batch are looked up at once: enough to fill a pipeline to
/// L2, and one batch cannot take all of the agent.
pub(super) const WIDTH: usize = 64;

impl Agent {
    /// Looks up many keys; each has its own result.
    ///
    /// A key that is named again with the same wishes shares the first one's
    /// result, without its lease: it would otherwise wait for a load that its own
    /// caller can only begin after this answer.
    ///
    /// # Errors
    /// [`Reason::BatchTooLarge`].
    pub async fn batch_get(
        &self,
        requests: Vec<v1::GetRequest>,
        deadline: Deadline,
    ) -> Result<Vec<v1::GetResult>, Failure> {
        let size = requests.len();
        check(size, BATCH_MAX)?;
        let (distinct, order) = distinct(requests);
        let spent = Arc::new(AtomicUsize::new(0));
        let looks = distinct.into_iter().map(|request| {
            let (agent, spent) = (self.clone(), spent.clone());
            async move {
                // The budget is known to be used up: the rest is not even read.
                if spent.load(Ordering::Relaxed) > ANSWER_BYTES {
                    return Err(too_large());
                }
                agent.get(request, deadline).await
            }
        });
        let mut looks = futures_util::stream::iter(looks).buffered(WIDTH);
        let mut answers = Vec::with_capacity(size);
        while let Some(answer) = looks.next().await {
            answers.push(answer.and_then(|answer| fit(answer, &spent)));
        }
        let mut results = Vec::with_capacity(size);
        for (at, first) in order {
            let answer = answers[at].clone();
            results.push(if first {
                answer
            } else {
                answer.and_then(|answer| again(answer, &spent))
            });
        }
        Ok(results.into_iter().map(result).collect())
    }
}

/// Checks the size of a batch.
pub(super) fn check(size: usize, most: usize) -> Result<(), Failure> {
    match size <= most {
        true => Ok(()),
        false => Err(Failure::too_many("requests", size, most).at("requests")),
    }
}

/// The requests that differ, and for each of all which of them it is and whether
/// it is the first of its kind.
pub(super) fn distinct(requests: Vec<v1::GetRequest>) -> (Vec<v1::GetRequest>, Vec<(usize, bool)>) {
    let mut seen: HashMap<(String, bytes::Bytes), usize> = HashMap::new();
    let mut distinct: Vec<v1::GetRequest> = Vec::with_capacity(requests.len());
    let mut order = Vec::with_capacity(requests.len());
    for request in requests {
        let key = (request.cache.clone(), request.key.clone());
        let same = seen.get(&key).filter(|at| distinct[**at] == request);
        if let Some(at) = same {
            order.push((*at, false));
            continue;
        }
        order.push((distinct.len(), true));
        seen.insert(key, distinct.len());
        distinct.push(request);
    }
    (distinct, order)
}

/// Counts an answer against the budget. A miss always fits: its lease must reach
/// the caller.
fn fit(answer: v1::GetResponse, spent: &AtomicUsize) -> Result<v1::GetResponse, Failure> {
    let Some(get_response::Result::Hit(hit)) = &answer.result else {
        return Ok(answer);
    };
    let bytes = hit.entry.as_ref().map_or(0, |entry| entry.value.len());
    // Added even if it does not fit: an answer is a prefix, not a selection.
    let before = spent.fetch_add(bytes, Ordering::Relaxed);
    if before + bytes > ANSWER_BYTES {
        return Err(too_large());
    }
    Ok(answer)
}

/// The same answer a second time.
fn again(answer: v1::GetResponse, spent: &AtomicUsize) -> Result<v1::GetResponse, Failure> {
    fit(without_lease(answer), spent)
}

/// The same answer for another place of its key: the lease stays with the first.
pub(super) fn without_lease(mut answer: v1::GetResponse) -> v1::GetResponse {
    match &mut answer.result {
        Some(get_response::Result::Miss(miss)) if miss.lease.is_some() => {
            *miss = no_lease(std::time::Duration::ZERO);
        }
        Some(get_response::Result::Hit(hit)) => hit.lease = None,
        _ => {}
    }
    answer
}

fn too_large() -> Failure {
    let message = format!(
        "the values before this one fill the answer's {ANSWER_BYTES} bytes; \
         ask for it in another batch, or alone"
    );
    Failure::new(Reason::ResponseTooLarge, message).with("limit", ANSWER_BYTES)
}

pub(super) fn result(answer: Result<v1::GetResponse, Failure>) -> v1::GetResult {
    v1::GetResult {
        result: Some(match answer {
            Ok(response) => get_result::Result::Response(response),
            Err(failure) => get_result::Result::Failure(failure.into()),
        }),
    }
}
