//! StreamBatchGet: even more keys, each answered as soon as it is known.

use crate::calls::Agent;
use crate::calls::batch::{ANSWER_BYTES, WIDTH, check, distinct, result, without_lease};
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::proto::v1;
use futures_util::{Stream, StreamExt};

/// The most keys in one call.
pub const STREAM_BATCH_MAX: usize = 10_000;

type Indexed = v1::stream_batch_get_response::Indexed;

impl Agent {
    /// Looks up even more keys; the results come in no order. A key that is named again
    /// with the same wishes is answered with the first one, as in a batch.
    ///
    /// # Errors
    /// [`crate::failure::Reason::BatchTooLarge`], and [`crate::failure::Reason::Overloaded`] when too many streams are open.
    pub fn stream_batch_get(
        &self,
        requests: Vec<v1::GetRequest>,
        deadline: Deadline,
    ) -> Result<impl Stream<Item = v1::StreamBatchGetResponse> + Send + use<>, Failure> {
        let size = requests.len();
        check(size, STREAM_BATCH_MAX)?;
        let turn = self.streams.take()?;
        let (distinct, order) = distinct(requests);
        let mut places = vec![Vec::new(); distinct.len()];
        for (index, (at, _)) in order.into_iter().enumerate() {
            places[at].push(index as u32);
        }
        let looks = distinct
            .into_iter()
            .zip(places)
            .map(move |(request, places)| {
                let agent = self.clone();
                async move { spread(agent.get(request, deadline).await, places) }
            });
        let looks: Vec<_> = looks.collect();
        let known = futures_util::stream::iter(looks).buffer_unordered(WIDTH);
        let messages = known.ready_chunks(WIDTH).flat_map(move |some| {
            // The stream is open as long as somebody may still ask this for more.
            let _turn = &turn;
            futures_util::stream::iter(messages(some.into_iter().flatten()))
        });
        Ok(messages)
    }
}

/// One answer for all that asked for it.
fn spread(answer: Result<v1::GetResponse, Failure>, places: Vec<u32>) -> Vec<Indexed> {
    let mut all = Vec::with_capacity(places.len());
    for index in places {
        let answer = match all.is_empty() {
            true => answer.clone(),
            false => answer.clone().map(without_lease),
        };
        all.push(Indexed {
            index,
            result: Some(result(answer)),
        });
    }
    all
}

/// Results in messages of at most [`ANSWER_BYTES`] of values, or of one value.
fn messages(results: impl Iterator<Item = Indexed>) -> Vec<v1::StreamBatchGetResponse> {
    let mut all: Vec<v1::StreamBatchGetResponse> = Vec::new();
    let mut bytes = 0;
    for one in results {
        let size = prost::Message::encoded_len(&one);
        match all.last_mut() {
            Some(last) if bytes + size <= ANSWER_BYTES => last.results.push(one),
            _ => {
                bytes = 0;
                all.push(v1::StreamBatchGetResponse { results: vec![one] });
            }
        }
        bytes += size;
    }
    all
}
