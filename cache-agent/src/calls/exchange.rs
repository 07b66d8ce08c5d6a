//! Exchange: calls and answers over one stream.
//!
//! All of it runs in the task that writes the stream, but for calls that have to wait: a hit
//! in L1 costs no task. What is ready when the stream can be written goes in one message.
//! Nothing is read while there is no room for more calls, so a caller that sends faster than
//! it is answered is slowed down by its own connection.

use crate::callers::Caller;
use crate::calls::Agent;
use crate::calls::batch::{ANSWER_BYTES, BATCH_MAX};
use crate::convert;
use crate::deadline::Deadline;
use crate::exchanged;
use crate::failure::{Failure, Reason};
use crate::names::Names;
use crate::proto::v1::{self, answer, call};
use crate::turns::Turn;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, Stream, StreamExt};
use prost::Message;
use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio_util::sync::WaitForCancellationFutureOwned;
use tokio_util::task::AbortOnDropHandle;
use tonic::Status;

/// One exchange under way: a stream of answers over a stream of calls.
pub struct Exchange<S> {
    agent: Agent,
    calls: S,
    /// Who sends them; nobody if nobody is asked.
    caller: Option<Caller>,
    /// Whether more calls may come.
    open: bool,
    /// What ended the stream before its time.
    end: Option<Status>,
    /// Calls that were read and are not begun.
    waiting: VecDeque<v1::Call>,
    running: FuturesUnordered<BoxFuture<'static, v1::Answer>>,
    /// Answers and their sizes, to be sent.
    ready: VecDeque<(v1::Answer, usize)>,
    ready_bytes: usize,
    closing: Pin<Box<WaitForCancellationFutureOwned>>,
    _turn: Turn,
}

impl Agent {
    /// Answers calls as they come.
    ///
    /// # Errors
    /// [`Reason::Overloaded`] when too many streams are open.
    pub fn exchange<S>(&self, calls: S, caller: Option<Caller>) -> Result<Exchange<S>, Failure>
    where
        S: Stream<Item = Result<v1::ExchangeRequest, Status>> + Unpin,
    {
        Ok(Exchange {
            calls,
            caller,
            open: true,
            end: None,
            waiting: VecDeque::new(),
            running: FuturesUnordered::new(),
            ready: VecDeque::new(),
            ready_bytes: 0,
            closing: Box::pin(self.closing.clone().cancelled_owned()),
            _turn: self.streams.take()?,
            agent: self.clone(),
        })
    }

    /// Answers one call of an exchange.
    async fn answer(self, call: v1::Call, caller: Option<Caller>) -> v1::Answer {
        let v1::Call { id, timeout, call } = call;
        let number = exchanged::number(call.as_ref());
        let answered = match timeout
            .map(|span| convert::length(span, "timeout"))
            .transpose()
        {
            Ok(span) => {
                let deadline = Deadline::within(span.unwrap_or(self.limits.load().deadline));
                match permit(caller.as_ref(), call.as_ref()) {
                    Ok(()) => self.run(call, deadline).await,
                    Err(forbidden) => Err(forbidden),
                }
            }
            Err(bad) => Err(bad),
        };
        let failed = answered.as_ref().err().map(|failure| failure.reason);
        self.exchanged.count(number, failed);
        let answer = answered.unwrap_or_else(|failure| answer::Answer::Failure(failure.into()));
        let answer = Some(answer);
        v1::Answer { id, answer }
    }

    async fn run(
        &self,
        call: Option<call::Call>,
        deadline: Deadline,
    ) -> Result<answer::Answer, Failure> {
        let _turn = self.turns.take()?;
        Ok(match call {
            Some(call::Call::Get(get)) => answer::Answer::Get(self.get(get, deadline).await?),
            Some(call::Call::Fill(fill)) => answer::Answer::Fill(self.fill(fill, deadline).await?),
            Some(call::Call::ReleaseLease(lease)) => {
                self.release(&lease)?;
                answer::Answer::ReleaseLease(v1::ReleaseLeaseResponse {})
            }
            Some(call::Call::Set(set)) => answer::Answer::Set(self.set(set, deadline).await?),
            Some(call::Call::Touch(touch)) => {
                answer::Answer::Touch(self.touch(touch, deadline).await?)
            }
            Some(call::Call::Delete(delete)) => {
                answer::Answer::Delete(self.delete(delete, deadline).await?)
            }
            Some(call::Call::Invalidate(all)) => {
                answer::Answer::Invalidate(self.invalidate(all, deadline).await?)
            }
            None => {
                let message = "nothing is called, or something that this agent does not know";
                return Err(Failure::new(Reason::FieldMissing, message).at("call"));
            }
        })
    }
}

/// A call that has to wait goes on by itself: a caller that does not read its answers must
/// not keep the turns of calls that are over. It ends with its stream.
fn aside(id: u64, answer: BoxFuture<'static, v1::Answer>) -> BoxFuture<'static, v1::Answer> {
    let running = AbortOnDropHandle::new(tokio::spawn(answer));
    let broken = move |_| v1::Answer {
        id,
        answer: Some(answer::Answer::Failure(super::broken().into())),
    };
    running
        .map(move |ended| ended.unwrap_or_else(broken))
        .boxed()
}

/// Whether the caller may call this.
fn permit(caller: Option<&Caller>, call: Option<&call::Call>) -> Result<(), Failure> {
    let (Some(caller), Some(call)) = (caller, call) else {
        return Ok(());
    };
    match call {
        call::Call::Get(one) => caller.may("Get", one.caches()),
        call::Call::Fill(one) => caller.may("Fill", one.caches()),
        call::Call::ReleaseLease(one) => caller.may("ReleaseLease", one.caches()),
        call::Call::Set(one) => caller.may("Set", one.caches()),
        call::Call::Touch(one) => caller.may("Touch", one.caches()),
        call::Call::Delete(one) => caller.may("Delete", one.caches()),
        call::Call::Invalidate(one) => caller.may("Invalidate", one.caches()),
    }
}

impl<S> Exchange<S>
where
    S: Stream<Item = Result<v1::ExchangeRequest, Status>> + Unpin,
{
    fn has_room(&self) -> bool {
        let calls = self.running.len() + self.ready.len();
        calls < self.agent.limits.load().stream_calls_max && self.ready_bytes < ANSWER_BYTES
    }

    fn put(&mut self, answer: v1::Answer) {
        let size = answer.encoded_len();
        self.ready_bytes += size;
        self.ready.push_back((answer, size));
    }

    /// Begins what there is room for.
    fn begin(&mut self) {
        while self.has_room()
            && let Some(call) = self.waiting.pop_front()
        {
            let id = call.id;
            let mut answer = self.agent.clone().answer(call, self.caller.clone()).boxed();
            match (&mut answer).now_or_never() {
                Some(answer) => self.put(answer),
                None => self.running.push(aside(id, answer)),
            }
        }
    }

    /// Takes what has been answered.
    fn gather(&mut self, context: &mut Context<'_>) {
        while self.ready_bytes < ANSWER_BYTES {
            match self.running.poll_next_unpin(context) {
                Poll::Ready(Some(answer)) => self.put(answer),
                Poll::Ready(None) | Poll::Pending => return,
            }
        }
    }

    /// Reads the next message, if there is room for it; whether there was one.
    fn read(&mut self, context: &mut Context<'_>) -> bool {
        if !self.open || !self.waiting.is_empty() || !self.has_room() {
            return false;
        }
        match self.calls.poll_next_unpin(context) {
            Poll::Pending => return false,
            Poll::Ready(Some(Ok(message))) if message.calls.len() <= BATCH_MAX => {
                self.waiting = message.calls.into();
            }
            Poll::Ready(Some(Ok(message))) => {
                let size = message.calls.len();
                self.close(Some(
                    Failure::too_many("calls", size, BATCH_MAX)
                        .at("calls")
                        .into(),
                ));
            }
            Poll::Ready(Some(Err(status))) => self.close(Some(status)),
            Poll::Ready(None) => self.close(None),
        }
        true
    }

    fn close(&mut self, end: Option<Status>) {
        self.open = false;
        self.end = end;
    }

    /// The next message: as many answers as fit, or one.
    fn message(&mut self) -> v1::ExchangeResponse {
        let mut answers = Vec::with_capacity(self.ready.len());
        let mut bytes = 0;
        while let Some((answer, size)) = self.ready.pop_front() {
            if !answers.is_empty() && bytes + size > ANSWER_BYTES {
                self.ready.push_front((answer, size));
                break;
            }
            bytes += size;
            answers.push(answer);
        }
        self.ready_bytes -= bytes;
        v1::ExchangeResponse { answers }
    }
}

impl<S> Stream for Exchange<S>
where
    S: Stream<Item = Result<v1::ExchangeRequest, Status>> + Unpin,
{
    type Item = Result<v1::ExchangeResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.open && self.closing.poll_unpin(context).is_ready() {
            // What runs is answered; what was only read was not begun.
            self.waiting.clear();
            self.close(Some(Failure::shutting_down().into()));
        }
        loop {
            self.begin();
            // After whatever was begun: its wake-ups come here from now on.
            self.gather(context);
            if !self.read(context) {
                break;
            }
        }
        if !self.ready.is_empty() {
            return Poll::Ready(Some(Ok(self.message())));
        }
        if self.open || !self.running.is_empty() || !self.waiting.is_empty() {
            return Poll::Pending;
        }
        Poll::Ready(self.end.take().map(Err))
    }
}

impl<S> fmt::Debug for Exchange<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("running", &self.running.len())
            .field("ready", &self.ready.len())
            .finish_non_exhaustive()
    }
}
