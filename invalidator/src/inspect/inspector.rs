//! The rounds: take in what was announced, ask every process, read L2, mend and tell
//! what is violated.

use super::nines::Tally;
use super::reads::read_all;
use super::sampler::Samples;
use super::schedule::Schedule;
use super::verdict::{Sight, Verdict, judge};
use super::{ROUND, Sample};
use crate::batch::Batch;
use crate::metrics::Metrics;
use cache_core::clock::Clock;
use cache_core::coherence::announce::{ANNOUNCE_MAX, Announced, Announcer};
use cache_core::coherence::voice::Voice;
use cache_core::event::{Event, Found, Observer, Tier};
use cache_core::model::position::Position;
use cache_core::model::second_look::SecondLook;
use cache_core::tier::Remote;
use cache_core::wire::invalidation::{Inspection, Target, Violation};
use cache_core::{Domain, Name};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::time::{MissedTickBehavior, interval};

/// How many violations one round tells one by one: what breaks in this number breaks
/// for one reason, and the counters have the rest.
const TOLD_MAX: usize = 32;
/// How many of the reports of other processes one round reads.
const REPORTS_MAX: usize = 64;

/// The inspector of one invalidator.
#[derive(Debug)]
pub struct Inspector {
    domain: Name,
    remote: Arc<dyn Remote>,
    announcer: Arc<Announcer>,
    voice: Arc<Voice>,
    observer: Arc<dyn Observer>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    samples: Samples,
    reports: broadcast::Receiver<Violation>,
    schedule: Schedule,
    tally: Tally,
    /// What is violated in L2 and not mended yet.
    unmended: Vec<(Target, Position)>,
    /// How many violations this round has told.
    told: usize,
}

impl Inspector {
    /// An inspector of what is announced in a domain. It holds parts of the domain, not
    /// the domain, which may run it.
    pub fn new(domain: &Domain, metrics: Arc<Metrics>, samples: Samples) -> Self {
        Self {
            domain: domain.name().clone(),
            remote: domain.remote().clone(),
            announcer: domain.announcer().clone(),
            voice: domain.voice().clone(),
            observer: domain.observer().clone(),
            clock: domain.clock().clone(),
            reports: domain.violations(),
            schedule: Schedule::new(samples.settings().samples_max()),
            metrics,
            samples,
            tally: Tally::default(),
            unmended: Vec::new(),
            told: 0,
        }
    }

    /// Inspects for ever.
    pub async fn run(mut self) {
        let mut tick = interval(ROUND);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            self.told = 0;
            self.take_in();
            self.hear();
            for look in SecondLook::ALL {
                self.look(look).await;
            }
            self.mend().await;
            self.schedule.forget(self.clock.now());
            self.metrics.nines(self.tally.nines());
            if let Some(more) = self.told.checked_sub(TOLD_MAX + 1) {
                tracing::error!(more = more + 1, "violations that are not told one by one");
            }
        }
    }

    fn take_in(&mut self) {
        for sample in self.samples.take() {
            if !self.schedule.add(sample) {
                self.metrics.not_sampled();
            }
        }
    }

    /// Counts and tells what processes found in their L1s.
    fn hear(&mut self) {
        for _ in 0..REPORTS_MAX {
            match self.reports.try_recv() {
                Ok(violation) => self.reported(&violation),
                Err(TryRecvError::Lagged(missed)) => self.count_reports(missed),
                Err(TryRecvError::Empty | TryRecvError::Closed) => return,
            }
        }
    }

    fn reported(&mut self, violation: &Violation) {
        let Violation {
            target,
            position,
            held,
        } = violation;
        // What another invalidator has asked about, it counts and tells.
        let Some(sample) = self.schedule.find(target, *position) else {
            return;
        };
        let look = sample.history.last().map_or("none", SecondLook::word);
        let (history, age) = (sample.history, self.age(sample));
        self.count_reports(1);
        if self.may_tell() {
            tracing::error!(
                tier = "l1", invalidated = %target, %position, look, ?age, %held, in_l2 = %history,
                "an L1 held what had been invalidated; it has dropped it"
            );
        }
    }

    fn count_reports(&mut self, count: u64) {
        self.tally.violated += count;
        self.metrics.reported(count);
    }

    /// Takes one look at all that is due for it. Nothing is mended yet: what is announced
    /// again for L2's sake would mend an L1 before it was asked.
    async fn look(&mut self, look: SecondLook) {
        // Twice what comes in, so that a backlog shrinks.
        let most = 2 * self.samples.settings().round_max();
        let mut due = self.schedule.due(look, self.clock.now(), most);
        if due.is_empty() {
            return;
        }
        let asked: Vec<_> = due.iter().map(Sample::inspection).collect();
        // If the bus is away, its listeners drop all they have when it is back.
        let _ = self.voice.inspect(look, &asked).await;
        let readings = read_all(&*self.remote, &self.domain, &due).await;
        for (sample, reading) in due.iter_mut().zip(readings) {
            let verdict = judge(&reading, sample.position);
            self.found(look, sample, &verdict);
            sample.history.add(look, verdict.found());
        }
        self.schedule.taken(look, due);
    }

    fn found(&mut self, look: SecondLook, sample: &Sample, verdict: &Verdict) {
        let (tier, found) = (Tier::L2, verdict.found());
        self.observer
            .observe(&Event::Inspected { tier, look, found });
        self.tally.checked += u64::from(found != Found::Unknown);
        if let Verdict::Violated(sight) = verdict {
            self.tally.violated += 1;
            self.tell(look, sample, sight);
            // Beyond, the next look finds it again.
            if self.unmended.len() < ANNOUNCE_MAX {
                self.unmended.push((sample.target.clone(), sample.position));
            }
        }
    }

    fn tell(&mut self, look: SecondLook, sample: &Sample, sight: &Sight) {
        if !self.may_tell() {
            return;
        }
        let Sample {
            target,
            position,
            history,
            ..
        } = sample;
        let (look, age) = (look.word(), self.age(sample));
        tracing::error!(
            tier = "l2", invalidated = %target, %position, look, ?age, found = %sight, before = %history,
            "L2 held what had been invalidated; it is announced again"
        );
    }

    fn may_tell(&mut self) -> bool {
        self.told += 1;
        self.told <= TOLD_MAX
    }

    /// The time since the announcement.
    fn age(&self, sample: &Sample) -> Duration {
        self.clock.now().since(sample.announced)
    }

    /// Announces again what L2 lacks, until L2 takes it. As a repetition: everybody has
    /// heard of it once, and nobody has to know that L2 may still be away.
    async fn mend(&mut self) {
        let mut batch = Batch::new();
        for (target, position) in &self.unmended {
            batch.add(target, *position, None);
        }
        for changes in batch.announcements() {
            let Ok(answers) = self.announcer.announce_again(&changes).await else {
                return;
            };
            let taken: HashSet<_> = changes
                .iter()
                .zip(answers)
                .filter(|(_, answer)| matches!(answer, Announced::Everywhere(_)))
                .map(|(change, _)| change.target())
                .collect();
            self.unmended.retain(|(target, _)| !taken.contains(target));
        }
    }
}

impl Sample {
    fn inspection(&self) -> Inspection {
        Inspection {
            target: self.target.clone(),
            position: self.position,
        }
    }
}
