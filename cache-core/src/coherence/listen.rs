//! Hears the bus, feeds `apply`, and knows when something was missed.
//!
//! Four signs of a loss, each of which drops all of L1:
//! 1. a hole in a publisher's numbers, or a heartbeat ahead of the last one heard;
//! 2. a publisher never heard before that does not begin with its first message;
//! 3. a publisher that fell silent without a farewell: its last message may be lost;
//! 4. the bus says so itself (reconnect, full buffer), or bytes that are no message.
//!
//! L1 is trusted while this process hears its own pings come back and, where an
//! invalidator carries the changes, that invalidator's heartbeat. A ping counts from
//! when it was sent, so a backlog on the way does not pass for freshness.

use crate::bus::{Bus, BusError, Heard, Subscription};
use crate::clock::{Clock, Tick};
use crate::coherence::apply::Applier;
use crate::coherence::inspect::SelfCheck;
use crate::event::{Event, Observer};
use crate::guard::horizon::Horizon;
use crate::guard::landmarks::Landmarks;
use crate::guard::trust::Trust;
use crate::wire::invalidation::{Content, Message, Publisher, Violation};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{broadcast, watch};

/// The most publishers remembered. More than this many processes announcing in
/// one domain would cost gaps, not answers.
const PUBLISHERS_MAX: usize = 4_096;

/// The reason of a gap that the numbers show.
const HOLE: &str = "a hole in a publisher's numbers";

/// How often signs of life are sent, and how long one is believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The time between two heartbeats or pings. 500 ms by default: two small
    /// messages a second a process, and a cut is noticed within `trust`.
    pub heartbeat: Duration,
    /// How long L1 answers after the last sign of life. 2 s by default: three
    /// heartbeats may go missing.
    pub trust: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(500),
            trust: Duration::from_secs(2),
        }
    }
}

/// Whose sign of life lets L1 be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// An invalidator's heartbeat, and the own echo.
    Invalidator,
    /// The own echo alone: for deployments in which only applications announce.
    Echo,
}

/// What a listener works with.
#[derive(Debug)]
pub struct Listener {
    /// Where messages come from.
    pub bus: Arc<dyn Bus>,
    /// Where they go.
    pub applier: Arc<Applier>,
    /// Where inspections go.
    pub self_check: Arc<SelfCheck>,
    /// Where violations go that other processes told of.
    pub violations: broadcast::Sender<Violation>,
    /// What is heard of L2.
    pub horizon: Arc<Horizon>,
    /// What is heard of the database's log.
    pub landmarks: Arc<Landmarks>,
    /// Whether L1 may answer.
    pub trust: Arc<Trust>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Who is told.
    pub observer: Arc<dyn Observer>,
    /// How often and how long.
    pub timing: Timing,
    /// Whose sign of life counts.
    pub proof: Proof,
}

/// What was heard of one publisher.
#[derive(Debug)]
struct Known {
    last: u64,
    heard: Tick,
    silent: bool,
}

/// The state of one subscription.
#[derive(Debug)]
struct Ear {
    publishers: HashMap<Publisher, Known>,
    pings: u64,
    /// The pings under way and when they were sent.
    sent: Vec<(u64, Tick)>,
    echoed: Option<Tick>,
    invalidator: Option<Tick>,
    /// Whether L1 was trusted when it was last looked at, for telling of a change.
    trusted: bool,
}

impl Listener {
    /// Listens until the bus is closed. `ready` becomes true when every later
    /// message is sure to be heard.
    ///
    /// # Errors
    /// The bus's, when it cannot be subscribed to.
    pub async fn run(self, ready: watch::Sender<bool>) -> Result<(), BusError> {
        let mut subscription = self.bus.subscribe().await?;
        let mut ear = Ear {
            publishers: HashMap::new(),
            pings: 0,
            sent: Vec::new(),
            echoed: None,
            invalidator: None,
            trusted: false,
        };
        let mut beat = tokio::time::interval(self.timing.heartbeat);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                // The beat first: however much is heard, pings go out. And the
                // same order each time, so that a simulated run can be repeated.
                biased;
                _ = beat.tick() => self.beat(&mut ear, &mut *subscription).await,
                heard = subscription.next() => {
                    let Some(heard) = heard else { return Ok(()) };
                    self.hear(&mut ear, heard);
                    if ear.echoed.is_some() {
                        ready.send_if_modified(|ready| !std::mem::replace(ready, true));
                    }
                }
            }
            self.tell_of_trust(&mut ear);
        }
    }

    fn hear(&self, ear: &mut Ear, heard: Heard) {
        let now = self.clock.now();
        match heard {
            Heard::Message(bytes) => match Message::decode(&bytes) {
                Some(message) => self.message(ear, message, now),
                None => self.applier.gap("a message that cannot be read"),
            },
            Heard::Echo(nonce) => {
                if let Some(at) = ear.sent.iter().position(|(sent, _)| *sent == nonce) {
                    ear.echoed = Some(ear.sent[at].1);
                    ear.sent.drain(..=at);
                }
                self.renew(ear);
            }
            Heard::Lost(reason) => {
                self.trust.lapse();
                self.applier.gap(reason);
                ear.echoed = None;
                ear.invalidator = None;
                ear.sent.clear();
                ear.publishers.clear();
            }
        }
    }

    fn message(&self, ear: &mut Ear, message: Message, now: Tick) {
        let reason = match message.content {
            Content::Inspect { .. } | Content::Violated(_) => ear.went_on(&message, now),
            Content::Invalidate(_) => ear.missed(&message, true, now),
            Content::Heartbeat { .. } | Content::Farewell | Content::Landmark(_) => {
                ear.missed(&message, false, now)
            }
        };
        if let Some(reason) = reason {
            self.applier.gap(reason);
        }
        match message.content {
            Content::Invalidate(all) => all.iter().for_each(|one| self.applier.apply(one)),
            Content::Heartbeat { invalidator, seen } => {
                self.horizon.raise_seen(seen);
                if invalidator {
                    // When it was sent, nobody here knows; the ping's age covers it.
                    ear.invalidator = Some(now);
                    self.renew(ear);
                }
            }
            Content::Farewell => {
                if let Some(known) = ear.publishers.get_mut(&message.publisher) {
                    known.silent = true;
                }
            }
            Content::Landmark(landmark) => self.landmarks.hear(landmark),
            Content::Inspect { look, all } => self.self_check.inspect(look, &all),
            // An error means that nobody in this process inspects.
            Content::Violated(all) => all.into_iter().for_each(|one| {
                let _ = self.violations.send(one);
            }),
        }
    }

    fn renew(&self, ear: &Ear) {
        let from = match self.proof {
            Proof::Echo => ear.echoed,
            Proof::Invalidator => ear.echoed.zip(ear.invalidator).map(|(a, b)| a.min(b)),
        };
        if let Some(from) = from {
            self.trust.renew(from, self.timing.trust);
        }
    }

    /// Trust also ends by itself, so it is looked at, not followed.
    fn tell_of_trust(&self, ear: &mut Ear) {
        let held = self.trust.holds(self.clock.now());
        if held != ear.trusted {
            ear.trusted = held;
            self.observer.observe(&Event::Trust { held });
        }
    }

    /// Sends a ping, and looks for publishers that fell silent.
    async fn beat(&self, ear: &mut Ear, subscription: &mut dyn Subscription) {
        let now = self.clock.now();
        ear.pings += 1;
        // As many as fit into the trust's span; older ones would prove nothing.
        ear.sent
            .retain(|(_, sent)| now.since(*sent) <= self.timing.trust);
        if subscription.ping(ear.pings).await.is_ok() {
            ear.sent.push((ear.pings, now));
        }
        let before = ear.publishers.len();
        let limit = self.timing.trust;
        ear.publishers
            .retain(|_, known| known.silent || now.since(known.heard) <= limit);
        if ear.publishers.len() < before {
            self.applier.gap("a publisher fell silent");
        }
    }
}

impl Ear {
    /// Compares the number of a message that is no sign of life. A process that only
    /// tells what an inspection found is no publisher whose silence would be a loss; what
    /// it announced before it was heard first may be one.
    fn went_on(&mut self, message: &Message, now: Tick) -> Option<&'static str> {
        let Some(known) = self.publishers.get_mut(&message.publisher) else {
            let reason = self.missed(message, false, now);
            if let Some(known) = self.publishers.get_mut(&message.publisher) {
                known.silent = true;
            }
            return reason;
        };
        let before = std::mem::replace(&mut known.last, message.sequence);
        (before != message.sequence).then_some(HOLE)
    }

    /// Notes a message's number; the reason, if one before it was missed.
    fn missed(&mut self, message: &Message, announces: bool, now: Tick) -> Option<&'static str> {
        if self.publishers.len() >= PUBLISHERS_MAX {
            self.publishers.clear();
        }
        let sequence = message.sequence;
        let before = if announces {
            sequence.wrapping_sub(1)
        } else {
            sequence
        };
        match self.publishers.get_mut(&message.publisher) {
            Some(known) => {
                let reason = (known.last != before).then_some(HOLE);
                *known = Known {
                    last: sequence,
                    heard: now,
                    silent: false,
                };
                reason
            }
            None => {
                let known = Known {
                    last: sequence,
                    heard: now,
                    silent: false,
                };
                self.publishers.insert(message.publisher, known);
                (before != 0).then_some("a publisher whose beginning was not heard")
            }
        }
    }
}
