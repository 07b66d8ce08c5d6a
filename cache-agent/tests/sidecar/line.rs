//! Both ends of an exchange, and the words to talk over it.

use crate::world::{Client, Got, get};
use cache_agent::proto::v1::{self, answer, call};
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

/// Both ends of an exchange.
pub(crate) struct Line {
    pub(crate) calls: mpsc::Sender<v1::ExchangeRequest>,
    pub(crate) answers: Streaming<v1::ExchangeResponse>,
}

impl Line {
    pub(crate) async fn open(client: &Client) -> Result<Self, Status> {
        let (calls, sent) = mpsc::channel(64);
        let mut client = client.stream.clone();
        let opened = client.exchange(ReceiverStream::new(sent)).await?;
        let answers = opened.into_inner();
        Ok(Self { calls, answers })
    }

    pub(crate) async fn send(&self, calls: impl IntoIterator<Item = (u64, call::Call)>) {
        let calls = calls.into_iter().map(|(id, one)| called(id, one)).collect();
        let sent = self.calls.send(v1::ExchangeRequest { calls }).await;
        sent.expect("the stream is open");
    }

    /// Waits for so many answers; they come by their ids.
    pub(crate) async fn receive(&mut self, count: usize) -> HashMap<u64, answer::Answer> {
        let mut all = HashMap::new();
        while all.len() < count {
            let message = tokio::time::timeout(PATIENCE, self.answers.next()).await;
            let message = message.expect("an answer in time").expect("more answers");
            for one in message.expect("no error").answers {
                let answered = one.answer.expect("an answer is always set");
                assert!(all.insert(one.id, answered).is_none(), "{} twice", one.id);
            }
        }
        all
    }

    pub(crate) async fn call(&mut self, one: call::Call) -> answer::Answer {
        self.send([(1, one)]).await;
        self.receive(1).await.remove(&1).expect("its answer")
    }

    /// How the stream ends.
    pub(crate) async fn end(mut self) -> Option<Status> {
        let end = async {
            loop {
                match self.answers.next().await {
                    Some(Ok(_)) => {}
                    Some(Err(status)) => return Some(status),
                    None => return None,
                }
            }
        };
        tokio::time::timeout(PATIENCE, end)
            .await
            .expect("an end in time")
    }
}

pub(crate) fn called(id: u64, one: call::Call) -> v1::Call {
    v1::Call {
        id,
        timeout: None,
        call: Some(one),
    }
}

pub(crate) fn asking(key: &str) -> call::Call {
    call::Call::Get(get(key))
}

/// A Get that waits while another loads.
pub(crate) fn waiting(key: &str) -> call::Call {
    call::Call::Get(v1::GetRequest {
        wait: Duration::from_secs(20).try_into().ok(),
        ..get(key)
    })
}

pub(crate) fn got(answered: &answer::Answer) -> Got {
    match answered {
        answer::Answer::Get(response) => response.clone().into(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn reason(answered: &answer::Answer) -> &str {
    match answered {
        answer::Answer::Failure(failure) => &failure.reason,
        other => panic!("{other:?}"),
    }
}
