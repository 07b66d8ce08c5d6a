//! How an event leaves: its invalidations are announced, then its dead letter is
//! written, and only then the stream is told that it is done.
//!
//! ```text
//! 1. L2 applies      a crash after 1: the event comes again, L2 applies it again
//! 2. the bus carries a crash after 2: the same; listeners apply it again
//! 3. the letter      a crash after 3: the same; the stream of letters keeps one
//! 4. the ack
//! ```
//!
//! Every step may be done twice, so nothing has to be remembered. An ack any earlier
//! would lose the event in a crash between the ack and the step after it.

use crate::batch::Batch;
use crate::dead_letter::{DeadLetters, Letter};
use crate::delivery::Receipt;
use crate::inspect::sampler::Sampler;
use crate::metrics::{Entered, Metrics, Stage};
use cache_core::clock::{Clock, Tick};
use cache_core::coherence::announce::{Announced, Announcer, Change};
use cache_core::model::position::Position;
use cache_core::wire::invalidation::Target;
use futures_util::{StreamExt, stream};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;

/// How long an event rests whose dead letter could not be written.
const LETTER_PAUSE: Duration = Duration::from_secs(2);
/// How many events are settled at once.
const SETTLE_AT_ONCE: usize = 64;

/// An event between its delivery and its answer.
#[derive(Debug)]
pub struct InFlight {
    /// What is not announced yet.
    pub left: Vec<Target>,
    /// Whether the bus has carried it, though L2 did not take it: then everybody
    /// waits for L2 alone.
    pub told: bool,
    /// Its position; none for the second time.
    pub position: Option<Position>,
    /// What is announced a second time, if it is.
    pub second: Vec<Target>,
    /// When the source changed, in milliseconds since the epoch.
    pub changed_ms: Option<u64>,
    /// When the stream took it, in milliseconds since the epoch.
    pub stored_ms: u64,
    /// The dead letter to write.
    pub letter: Option<Letter>,
    /// Answers for it.
    pub receipt: Box<dyn Receipt>,
    /// When the stream's patience began.
    pub patience_since: Tick,
    /// Its share of the limit on events in flight.
    pub permit: OwnedSemaphorePermit,
    /// Counts it as in flight.
    pub entered: Entered,
}

impl InFlight {
    /// The same, to be announced the second time.
    #[must_use]
    pub fn again(self) -> Self {
        Self {
            left: self.second,
            second: Vec::new(),
            position: None,
            told: false,
            ..self
        }
    }
}

/// What one round of announcements came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Whether anything was announced.
    pub progress: bool,
    /// What kept the rest.
    pub obstacle: Option<String>,
}

/// Where events leave through.
#[derive(Debug)]
pub struct Outbox {
    /// The door for changes that go out.
    pub announcer: Arc<Announcer>,
    /// Where dead letters go.
    pub letters: Arc<dyn DeadLetters>,
    /// The series.
    pub metrics: Arc<Metrics>,
    /// Where what was announced is looked at again, if it is.
    pub sampler: Option<Sampler>,
    /// Time.
    pub clock: Arc<dyn Clock>,
}

impl Outbox {
    /// Announces what is left of these events, each target once. The first attempt
    /// and every repetition are this same step.
    pub async fn announce(&self, events: &mut [InFlight]) -> Round {
        let (again, first): (Vec<_>, Vec<_>) = events.iter_mut().partition(|event| event.told);
        let mut round = Round::default();
        self.announce_part(first, false, &mut round).await;
        self.announce_part(again, true, &mut round).await;
        round
    }

    async fn announce_part(&self, mut events: Vec<&mut InFlight>, again: bool, round: &mut Round) {
        let mut batch = Batch::new();
        let mut places = Vec::with_capacity(events.len());
        for event in &events {
            let add = |target| batch.add(target, event.position, event.changed_ms);
            places.push(event.left.iter().map(add).collect::<Vec<_>>());
        }
        let mut done = Vec::with_capacity(batch.len());
        let mut told = true;
        for changes in batch.announcements() {
            let answers = if again {
                self.announcer.announce_again(&changes).await
            } else {
                self.announcer.announce(&changes).await
            };
            match answers {
                Ok(answers) => {
                    self.sample(&changes, &answers);
                    done.extend(answers.into_iter().map(|answer| match answer {
                        Announced::Everywhere(_) => true,
                        Announced::NotInL2(why) => {
                            round.obstacle.get_or_insert(why);
                            false
                        }
                    }));
                }
                Err(error) => {
                    told = false;
                    round.obstacle.get_or_insert(error.to_string());
                    done.extend(changes.iter().map(|_| false));
                }
            }
        }
        round.progress |= done.contains(&true);
        for (event, places) in events.iter_mut().zip(places) {
            let mut places = places.into_iter();
            event.told = told;
            event
                .left
                .retain(|_| places.next().is_none_or(|place| !done[place]));
        }
    }

    /// Hands over what is in L2 and on the bus, to be looked at again.
    fn sample(&self, changes: &[Change], answers: &[Announced]) {
        let Some(sampler) = &self.sampler else { return };
        let now = self.clock.now();
        for (change, answer) in changes.iter().zip(answers) {
            if let Announced::Everywhere(position) = answer
                && !sampler.offer(change.target(), *position, now)
            {
                self.metrics.not_sampled();
            }
        }
    }

    /// Takes out the events that are announced, and will be a second time.
    pub fn first_time_done(&self, events: &mut Vec<InFlight>) -> Vec<InFlight> {
        let is_done = |event: &mut InFlight| event.left.is_empty() && !event.second.is_empty();
        let done: Vec<_> = events.extract_if(.., is_done).collect();
        done.iter().for_each(|event| self.note_lag(event));
        done
    }

    /// Takes out the events that are announced and answers for them.
    pub async fn settle(&self, events: &mut Vec<InFlight>) {
        let announced = events.extract_if(.., |event| event.left.is_empty());
        let (letters, plain): (Vec<_>, Vec<_>) = announced.partition(|one| one.letter.is_some());
        // One by one: an answer is handed to the connection, and waits for nobody.
        for event in plain {
            self.answer(event).await;
        }
        stream::iter(letters)
            .for_each_concurrent(SETTLE_AT_ONCE, |event| self.answer(event))
            .await;
    }

    /// Gives events back, to be delivered again at once.
    pub async fn give_back(&self, events: Vec<InFlight>) {
        for event in events {
            if let Err(error) = event.receipt.give_back(Duration::ZERO).await {
                tracing::debug!(%error, "an event comes back only after `ack_wait`");
            }
        }
    }

    /// Asks the stream for more patience with events that have used up a third of it.
    pub async fn keep(&self, events: &mut [InFlight], ack_wait: Duration) {
        let now = self.clock.now();
        for event in events {
            if now.since(event.patience_since) >= ack_wait / 3 {
                event.patience_since = now;
                // If this is lost, the event is delivered twice, which is harmless.
                let _ = event.receipt.progress().await;
            }
        }
    }

    async fn answer(&self, event: InFlight) {
        if let Some(letter) = &event.letter {
            if let Err(error) = self.letters.write(letter).await {
                tracing::warn!(%error, sequence = letter.sequence, "the event is given back");
                let _ = event.receipt.give_back(LETTER_PAUSE).await;
                return;
            }
            self.metrics.letter(&letter.rule);
        }
        // The second time is not what anybody waits for.
        if event.position.is_some() {
            self.note_lag(&event);
        }
        if let Err(error) = event.receipt.ack().await {
            tracing::debug!(%error, "the event will come again");
        }
    }

    fn note_lag(&self, event: &InFlight) {
        let now_ms = self.clock.wall_ms();
        let stage = Stage::StreamToAnnounced;
        self.metrics.lag(stage, event.stored_ms, now_ms);
    }
}
