//! The stream of a run: durable, at least once, in its own order or in none, and
//! patient for a while only.

use crate::lifeline::Lifeline;
use crate::oracle::Oracle;
use crate::sky::Sky;
use async_trait::async_trait;
use bytes::Bytes;
use cache_core::Error;
use cache_core::clock::Clock;
use invalidator::delivery::{AnswerLost, Deliveries, Delivery, Each, Past, Receipt};
use invalidator::format::received::Received;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// How long the stream waits for an answer.
pub(crate) const ACK_WAIT: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Event {
    payload: Bytes,
    stored_ms: u64,
    attempts: u64,
    done: bool,
    /// When the stream delivers it (again), unless it is done by then.
    due: Instant,
}

/// The one stream of a run, with its one durable consumer.
#[derive(Debug)]
pub(crate) struct Stream {
    events: Mutex<BTreeMap<u64, Event>>,
    changed: Notify,
    clock: Arc<dyn Clock>,
    sky: Arc<Sky>,
    oracle: Arc<Oracle>,
}

/// One instance's pull on it.
#[derive(Debug)]
pub(crate) struct Pull {
    pub(crate) stream: Arc<Stream>,
    pub(crate) life: Arc<Lifeline>,
}

#[derive(Debug)]
struct Answer {
    stream: Arc<Stream>,
    life: Arc<Lifeline>,
    sequence: u64,
}

impl Stream {
    pub(crate) fn new(clock: Arc<dyn Clock>, sky: Arc<Sky>, oracle: Arc<Oracle>) -> Self {
        Self {
            events: Mutex::default(),
            changed: Notify::new(),
            clock,
            sky,
            oracle,
        }
    }

    /// Stores an event; returns its place, from 1.
    pub(crate) fn publish(&self, payload: String) -> u64 {
        let mut events = self.events.lock();
        let sequence = events.len() as u64 + 1;
        self.oracle.say(|| format!("stream {sequence}: {payload}"));
        let event = Event {
            payload: payload.into(),
            stored_ms: self.clock.wall_ms(),
            attempts: 0,
            done: false,
            due: Instant::now(),
        };
        events.insert(sequence, event);
        self.changed.notify_waiters();
        sequence
    }

    /// Forgets that an event was done.
    pub(crate) fn deliver_again(&self) {
        let mut events = self.events.lock();
        if events.is_empty() {
            return;
        }
        let sequence = self.sky.dice.pick(0..events.len()) as u64 + 1;
        if let Some(event) = events.get_mut(&sequence) {
            event.done = false;
            event.due = Instant::now();
            self.changed.notify_waiters();
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.events.lock().values().all(|event| event.done)
    }

    /// The last event before which all are done.
    pub(crate) fn done_up_to(&self) -> u64 {
        let events = self.events.lock();
        let done = events.iter().take_while(|(_, event)| event.done);
        done.last().map_or(0, |(sequence, _)| *sequence)
    }

    /// The last event that anybody was given.
    pub(crate) fn given(&self) -> u64 {
        let events = self.events.lock();
        let given = events.iter().filter(|(_, event)| event.attempts > 0);
        given.last().map_or(0, |(sequence, _)| *sequence)
    }

    /// What is due at this moment, and otherwise when something is.
    fn due(&self, most: usize) -> Result<Vec<u64>, Option<Instant>> {
        let now = Instant::now();
        let events = self.events.lock();
        let open = events.iter().filter(|(_, event)| !event.done);
        let mut due: Vec<_> = open
            .clone()
            .filter(|(_, event)| event.due <= now)
            .map(|(sequence, _)| *sequence)
            .collect();
        if due.is_empty() {
            return Err(open.map(|(_, event)| event.due).min());
        }
        if self.sky.weather.shuffled {
            for at in (1..due.len()).rev() {
                due.swap(at, self.sky.dice.pick(0..at + 1));
            }
        }
        due.truncate(most);
        Ok(due)
    }
}

#[async_trait]
impl Deliveries for Pull {
    async fn next(&mut self, most: usize) -> Result<Vec<Delivery>, Error> {
        loop {
            self.life.gate().await;
            match self.stream.due(most) {
                Ok(due) => return Ok(due.into_iter().map(|one| self.take(one)).collect()),
                Err(Some(due)) => tokio::select! {
                    biased;
                    () = self.stream.changed.notified() => {}
                    () = sleep_until(due) => {}
                },
                Err(None) => self.stream.changed.notified().await,
            }
        }
    }

    async fn close(&mut self) {}
}

#[async_trait]
impl Past for Stream {
    async fn recount(&self, after: u64, upto: u64, each: &mut Each<'_>) -> Result<bool, Error> {
        let events = self.events.lock();
        for (sequence, event) in events.range(after + 1..=upto) {
            each(*sequence, &Received::bytes(&event.payload));
        }
        Ok(true)
    }
}

impl Pull {
    fn take(&self, sequence: u64) -> Delivery {
        let mut events = self.stream.events.lock();
        let event = events.get_mut(&sequence).expect("it was due");
        event.attempts += 1;
        let again = self
            .stream
            .sky
            .strikes(self.stream.sky.weather.delivered_twice);
        event.due = match again {
            true => Instant::now(),
            false => Instant::now() + ACK_WAIT,
        };
        Delivery {
            subject: "changes".to_owned(),
            payload: event.payload.clone(),
            headers: Vec::new(),
            sequence,
            attempt: event.attempts,
            stored_ms: event.stored_ms,
            receipt: Box::new(Answer {
                stream: self.stream.clone(),
                life: self.life.clone(),
                sequence,
            }),
        }
    }
}

impl Answer {
    fn set(&self, change: impl FnOnce(&mut Event)) {
        let mut events = self.stream.events.lock();
        change(events.get_mut(&self.sequence).expect("it was delivered"));
        self.stream.changed.notify_waiters();
    }
}

#[async_trait]
impl Receipt for Answer {
    async fn ack(&self) -> Result<(), AnswerLost> {
        self.life.gate().await;
        // Whatever becomes of the answer: the invalidator was done with it here.
        self.stream.oracle.announced(self.sequence);
        if !self.stream.sky.strikes(self.stream.sky.weather.ack_lost) {
            self.set(|event| event.done = true);
        }
        Ok(())
    }

    async fn progress(&self) -> Result<(), AnswerLost> {
        self.life.gate().await;
        self.set(|event| event.due = Instant::now() + ACK_WAIT);
        Ok(())
    }

    async fn give_back(&self, pause: Duration) -> Result<(), AnswerLost> {
        self.life.gate().await;
        self.set(|event| event.due = Instant::now() + pause);
        Ok(())
    }
}
