//! Takes writes out of the queue and writes them to the source, while this process leads.

use super::backoff::Failed;
use super::flush::{Fate, Flusher};
use super::window::{Latest, Window};
use crate::clock::Tick;
use crate::event::QueueEvent;
use crate::queue::{Lead, QueueError, Queued};
use crate::source::Cause;
use crate::wire::queued::{self, QueuedWrite};
use std::sync::Arc;
use std::time::Duration;

/// How long the leader waits for a write before it looks at what else is due.
const LISTEN: Duration = Duration::from_millis(100);
/// The pause after the queue did not answer.
const PAUSE: Duration = Duration::from_millis(200);
/// How much longer than a last call of the writer its round may take: a step in L2, and what
/// a queue takes to say that it does not answer.
const GRACE: Duration = Duration::from_secs(5);
/// How often the backlog is looked at.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// What a leader knows.
struct Leading {
    lead: Box<dyn Lead>,
    window: Window,
    /// What is no write, and is to be put aside.
    garbage: Vec<Queued>,
    /// The version up to which the queue was told that the source has all.
    forgotten: u64,
    /// How many calls of the writer succeeded, and how many in a row failed.
    successes: u64,
    streak: u32,
    /// No call is made before.
    not_before: Tick,
    reported: Tick,
    /// Until when the queue may be drained, once the domain is being left.
    leaves: Option<Tick>,
}

/// Why a leader stops.
enum Stop {
    Deposed,
    Leaving,
}

impl<V: Send + Sync + 'static> Flusher<V> {
    /// Writes until the domain is left, and then for as long as it may. A queue that does not
    /// answer then holds nobody up: what it holds is written by the next leader.
    pub(super) async fn run(self: Arc<Self>) {
        let late = async {
            self.tiers.domain.leaving().cancelled().await;
            // A call that was begun is never left: whether the source has taken it would not be
            // told to anybody's L1.
            let last = self.tiers.policy.write_timeout;
            tokio::time::sleep(self.behind.drain + last + GRACE).await;
        };
        tokio::select! {
            () = self.clone().lead() => {}
            () = late => {
                let cache = &self.tiers.policy.name;
                tracing::warn!(%cache, "left while the queue of writes did not answer");
            }
        }
    }

    async fn lead(self: Arc<Self>) {
        let leaving = self.tiers.domain.leaving();
        loop {
            let lead = || self.queue.lead(self.span());
            let lead = match leaving.run_until_cancelled(lead()).await {
                // Nobody else ever writes what waits in this process's memory.
                None if !self.queue.is_durable() => {
                    tokio::time::timeout(self.behind.drain, lead()).await.ok()
                }
                lead => lead,
            };
            match lead {
                None => return,
                Some(Ok(lead)) => match self.clone().drain(lead).await {
                    Stop::Leaving => return,
                    // What waits is told by whoever leads from here on.
                    Stop::Deposed => self.observe(QueueEvent::Backlog {
                        waiting: 0,
                        oldest: Duration::ZERO,
                    }),
                },
                Some(Err(error)) => {
                    self.silent(&error);
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    fn silent(&self, error: &QueueError) {
        let cache = &self.tiers.policy.name;
        tracing::warn!(%cache, %error, "the queue of writes does not answer");
    }

    /// How long a silent leader is waited for: one that writes is silent for as long as
    /// that takes.
    fn span(&self) -> Duration {
        self.tiers.policy.write_timeout * 2 + Duration::from_secs(5)
    }

    async fn drain(self: Arc<Self>, lead: Box<dyn Lead>) -> Stop {
        let mut leading = Leading {
            lead,
            window: Window::default(),
            garbage: Vec::new(),
            forgotten: 0,
            successes: 0,
            streak: 0,
            not_before: Tick::default(),
            reported: Tick::default(),
            leaves: None,
        };
        loop {
            match self.round(&mut leading).await {
                Ok(None) => {}
                Ok(Some(Stop::Leaving)) => {
                    self.report(&mut leading).await;
                    leading.lead.resign().await;
                    return Stop::Leaving;
                }
                Ok(Some(stop)) => return stop,
                Err(QueueError::Deposed) => return Stop::Deposed,
                Err(error) => {
                    self.silent(&error);
                    let now = self.tiers.domain.clock().now();
                    if leading.leaves.is_some_and(|until| now >= until) {
                        return Stop::Leaving;
                    }
                    if leading.lead.leads_for().is_zero() {
                        return Stop::Deposed;
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Reads what is new, and writes what is due.
    async fn round(self: &Arc<Self>, leading: &mut Leading) -> Result<Option<Stop>, QueueError> {
        let clock = self.tiers.domain.clock();
        if self.tiers.domain.leaving().is_cancelled() && leading.leaves.is_none() {
            leading.leaves = Some(clock.now().after(self.behind.drain));
        }
        leading.lead.hold().await?;
        let read = self.read(leading).await?;
        self.put_garbage_aside(leading).await;
        if clock.now().since(leading.reported) >= REPORT_EVERY {
            self.report(leading).await;
        }
        // A call that outlasts the lead could overtake the next leader's. Not after the batch
        // is taken: what fails here would lose it.
        if leading.lead.leads_for() < self.tiers.policy.write_timeout {
            leading.lead.hold().await?;
        }
        let batch = self.due(leading);
        let is_idle = batch.is_empty();
        if !is_idle {
            self.flush(leading, batch).await?;
        }
        if let Some(done) = leading.window.done_up_to()
            && done > leading.forgotten
        {
            leading.lead.forget(done).await?;
            leading.forgotten = done;
        }
        let rests = is_idle && read == 0;
        let is_over = |until| clock.now() >= until || rests && leading.window.is_empty();
        if leading.leaves.is_some_and(is_over) {
            return Ok(Some(Stop::Leaving));
        }
        if rests && self.is_full(leading) {
            tokio::time::sleep(LISTEN).await;
        }
        Ok(None)
    }

    fn is_full(&self, leading: &Leading) -> bool {
        leading.window.is_full(self.behind.keys_max)
    }

    async fn read(&self, leading: &mut Leading) -> Result<usize, QueueError> {
        if self.is_full(leading) {
            return Ok(0);
        }
        let turn = leading.not_before.since(self.tiers.domain.clock().now());
        let patience = match leading.window.fresh() {
            0 if leading.leaves.is_some() && leading.window.is_empty() => Duration::ZERO,
            0 => LISTEN,
            _ => self.gathers_for(leading).max(turn).min(LISTEN),
        };
        let most = self.behind.batch * 4;
        let writes = leading.lead.next(most, patience).await?;
        let read = writes.len();
        let now = self.tiers.domain.clock().now();
        for write in writes {
            match queued::open(&write.body) {
                Some(QueuedWrite { key, .. }) => leading.window.push(key, write, now),
                None => {
                    leading.window.pass(write.version);
                    leading.garbage.push(write);
                }
            }
        }
        Ok(read)
    }

    async fn put_garbage_aside(&self, leading: &mut Leading) {
        while let Some(write) = leading.garbage.last() {
            let why = "it is not a write, or it is damaged";
            if self.put_aside(write, why).await.is_err() {
                return;
            }
            leading.window.passed(write.version);
            leading.garbage.pop();
        }
    }

    /// How much longer writes wait for others.
    fn gathers_for(&self, leading: &Leading) -> Duration {
        if leading.leaves.is_some() || leading.window.fresh() >= self.behind.batch {
            return Duration::ZERO;
        }
        let now = self.tiers.domain.clock().now();
        let waited = leading.window.since().map(|since| now.since(since));
        self.behind.age.saturating_sub(waited.unwrap_or_default())
    }

    /// What is to be written: what failed before what is new, in turns.
    fn due(&self, leading: &mut Leading) -> Vec<Latest> {
        let now = self.tiers.domain.clock().now();
        let (most, streak) = (self.behind.batch, leading.streak);
        if now < leading.not_before {
            return Vec::new();
        }
        let failing = match leading.successes.is_multiple_of(2) || leading.window.fresh() == 0 {
            true => leading.window.take_failing(most, streak, now),
            false => Vec::new(),
        };
        if !failing.is_empty() || !self.gathers_for(leading).is_zero() {
            return failing;
        }
        leading.window.take_fresh(most)
    }

    async fn flush(
        self: &Arc<Self>,
        leading: &mut Leading,
        batch: Vec<Latest>,
    ) -> Result<(), QueueError> {
        let flusher = self.clone();
        let (clock, timeout) = (self.tiers.domain.clock(), self.tiers.policy.write_timeout);
        let lasts = leading.lead.leads_for().saturating_sub(timeout);
        let until = clock.now().after(lasts);
        // Also when the domain is left: the source may have it already.
        let writing = async move { Ok(flusher.write_apart(batch, until).await) };
        let fates = self.tiers.domain.see_through(writing).await;
        // What it held is not in the window any more: begin anew with what the queue has.
        let fates = fates.map_err(|_| QueueError::Deposed)?;
        let mut answered = false;
        let mut failed = Vec::new();
        for (latest, fate) in fates {
            answered |= !matches!(fate, Fate::Failed);
            match fate {
                Fate::Written => leading.window.done(&latest),
                Fate::Refused(why) => failed.extend(self.refused(leading, latest, &why).await),
                Fate::Failed => failed.push(latest),
            }
        }
        leading.successes += u64::from(answered);
        leading.streak = if answered { 0 } else { leading.streak + 1 };
        if !failed.is_empty() {
            self.put_back(leading, failed);
        }
        Ok(())
    }

    /// Puts the write of a key aside, and the one before in its place: without waiting for
    /// others, the source would have that one. Returns the key if the queue does not answer.
    async fn refused(&self, leading: &mut Leading, latest: Latest, why: &Cause) -> Option<Latest> {
        let mut before = None;
        for version in latest.older.iter().rev() {
            match leading.lead.read_again(*version).await {
                Ok(None) => {}
                Ok(found) => {
                    before = found;
                    break;
                }
                Err(_) => return Some(latest),
            }
        }
        // The last step: after it, the write is not known here any more.
        let aside = self.put_aside(&latest.write, &why.to_string()).await;
        if aside.is_err() {
            return Some(latest);
        }
        let now = self.tiers.domain.clock().now();
        leading.window.refused(latest, before, now);
        None
    }

    fn put_back(&self, leading: &mut Leading, failed: Vec<Latest>) {
        let (behind, now) = (&self.behind, self.tiers.domain.clock().now());
        leading.not_before = now.after(behind.pause(leading.streak));
        for latest in failed {
            let failed = Failed::again(latest.failed, leading.successes, now, behind);
            leading.window.put_back(latest, failed);
        }
    }

    /// Tells how much waits; as lost, if the domain is left and the queue dies with it.
    async fn report(&self, leading: &mut Leading) {
        let clock = self.tiers.domain.clock();
        leading.reported = clock.now();
        let Ok(backlog) = self.queue.backlog().await else {
            return;
        };
        let oldest = backlog
            .oldest_ms
            .map_or(0, |oldest| clock.wall_ms().saturating_sub(oldest));
        self.observe(QueueEvent::Backlog {
            waiting: backlog.waiting,
            oldest: Duration::from_millis(oldest),
        });
        let ends = leading.leaves.is_some_and(|until| clock.now() >= until);
        if ends && backlog.waiting > 0 && !self.queue.is_durable() {
            let (cache, writes) = (&self.tiers.policy.name, backlog.waiting);
            tracing::error!(%cache, writes, "writes are lost: their queue ends with this process");
            self.observe(QueueEvent::Lost { writes });
        }
    }
}
