//! Looks at the stream beside the loop: how far everything is, whether it is still
//! the same stream, and whether it dropped events that nobody had read.

use crate::batch::Batch;
use crate::landmark;
use crate::mapping::everything;
use crate::metrics::Metrics;
use crate::pause::Flag;
use crate::source::{Backlog, Source};
use cache_core::coherence::announce::Announced;
use cache_core::model::key::Name;
use cache_core::model::position::Position;
use cache_core::{Domain, Error, Kind};
use parking_lot::RwLock;
use std::convert::Infallible;
use std::mem;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// How often the stream is looked at: about once a heartbeat, which tells how far
/// everything is.
const EVERY: Duration = Duration::from_millis(500);

/// Why the service is not ready; nothing if it is.
pub type NotReady = Arc<RwLock<Option<&'static str>>>;

/// What looking works with.
#[derive(Debug)]
pub struct Watch {
    /// The stream and its consumer.
    pub source: Source,
    /// The series.
    pub metrics: Arc<Metrics>,
    /// Who announces, and tells how far everything is.
    pub domain: Arc<Domain>,
    /// Every cache that an event may be about.
    pub caches: Vec<Name>,
    /// How far everything was before this instance read anything.
    pub first: Backlog,
    /// Where it says that the stream does not answer.
    pub not_ready: NotReady,
    /// What stops all instances, kept in NATS.
    pub flag: Flag,
    /// Where this instance hears of it.
    pub paused: watch::Sender<bool>,
}

impl Watch {
    /// Looks until the stream is another one than at the start.
    pub async fn run(self) -> Error {
        // Apart: a flag that nobody tells of must not keep anybody from saying how far
        // the stream is.
        tokio::select! {
            error = self.follow() => error,
            never = self.heed() => match never {},
            never = self.mark() => match never {},
        }
    }

    async fn follow(&self) -> Error {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut before = self.first;
        let mut gap = Gap::default();
        loop {
            tick.tick().await;
            match self.source.backlog().await {
                Ok(now) => {
                    if now.last < before.last {
                        return self.source.lost_its_end();
                    }
                    if let Some(error) = self.overtaken() {
                        return error;
                    }
                    self.metrics.backlog(now.pending, now.ack_pending);
                    let done = self.source.position(now.done);
                    match *self.paused.borrow() {
                        // Nobody carries what comes: no L1 may be trusted for this one.
                        true => self.domain.rests_at(done),
                        false if gets_somewhere(&before, &now) => self.domain.done_up_to(done),
                        false => {}
                    }
                    *self.not_ready.write() = None;
                    gap.look(&before, &now, self.source.settings.filter.is_some());
                    if let Some(lost) = gap.open()
                        && self.clear_all(lost).await
                    {
                        gap.cleared = lost;
                    }
                    before = now;
                }
                Err(error) if error.kind() == Kind::Mismatch => return error,
                Err(error) => {
                    tracing::warn!(%error, "the stream does not answer");
                    *self.not_ready.write() = Some("the stream does not answer");
                    // A consumer that somebody deleted may go on delivering to whoever
                    // waits there already, and nobody would see how far it is.
                    match self.source.clone().reopen().await {
                        Err(error) if error.kind() == Kind::Mismatch => return error,
                        reopened => drop(reopened),
                    }
                }
            }
        }
    }

    /// Tells those who read replicas how far the stream is in its database's log, if that is
    /// asked for.
    async fn mark(&self) -> Infallible {
        if !self.source.settings.landmarks {
            std::future::pending::<()>().await;
        }
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Some(landmark) = landmark::newest(&self.source).await {
                self.domain.tell_landmark(landmark).await;
            }
        }
    }

    /// Looks whether all instances are to rest. An answer that does not come changes
    /// nothing.
    async fn heed(&self) -> Infallible {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let is_paused = match self.flag.read().await {
                Ok(paused) => paused.is_some(),
                Err(error) => {
                    tracing::warn!(%error, "whether to pause is not known");
                    continue;
                }
            };
            self.metrics.paused(is_paused);
            let changed = self
                .paused
                .send_if_modified(|paused| mem::replace(paused, is_paused) != is_paused);
            if changed && is_paused {
                // As far as was said before; what matters is that nobody goes on.
                self.domain.rests_at(Position::ZERO);
            }
        }
    }

    /// Another instance works in a newer epoch: what this one announces is refused.
    fn overtaken(&self) -> Option<Error> {
        let (own, heard) = (
            self.source.settings.epoch,
            self.domain.horizon().seen().epoch,
        );
        (heard > own).then(|| {
            let stream = self.source.settings.stream.as_str();
            Error::new(Kind::Mismatch, "carrying events of", stream).hint(format!(
                "another instance is in epoch {heard}, this one in {own}"
            ))
        })
    }

    /// Clears every cache: nobody can say what the lost events were about.
    async fn clear_all(&self, lost: u64) -> bool {
        let mut batch = Batch::new();
        for target in everything(self.caches.iter().cloned()) {
            batch.add(&target, self.source.position(lost), None);
        }
        for changes in batch.announcements() {
            match self.domain.announcer().announce(&changes).await {
                Ok(told)
                    if told
                        .iter()
                        .all(|one| matches!(one, Announced::Everywhere(_))) => {}
                _ => return false,
            }
        }
        tracing::error!(
            lost,
            "the stream dropped events that were not read; all is cleared"
        );
        self.metrics.overrun();
        true
    }
}

/// Whether events are being carried: none waits, or some went on since the last look.
fn gets_somewhere(before: &Backlog, now: &Backlog) -> bool {
    now.pending == 0 || now.given > before.given || now.done > before.done
}

/// Events that the stream dropped before anybody had read them.
#[derive(Clone, Copy, Debug, Default)]
struct Gap {
    /// The last of them.
    lost: u64,
    /// Up to where everything has been cleared for it.
    cleared: u64,
}

impl Gap {
    /// Looks for one. Behind a filter, events that nobody reads are dropped all the
    /// time; but if some that are read wait, one of those may be among them.
    fn look(&mut self, before: &Backlog, now: &Backlog, filtered: bool) {
        let waiting = before.pending + before.ack_pending > 0;
        if let Some(lost) = lost_up_to(before, now, self.cleared)
            && (waiting || !filtered)
        {
            self.lost = self.lost.max(lost);
        }
    }

    /// The last lost event that nothing has been cleared for yet. It stays until all
    /// is cleared, however the stream goes on: L2 may be away just then.
    fn open(&self) -> Option<u64> {
        (self.lost > self.cleared).then_some(self.lost)
    }
}

/// The last event that the stream dropped although it was not read, or not answered
/// for, if there is one that is not `cleared` yet.
///
/// What the consumer has done is looked at as it was `before`: by now it may have
/// gone on behind the gap, and what it was given since then would hide what it was
/// not. An event that was given, done and dropped between two looks is taken for a
/// lost one; that clears once more than needed, with streams that keep next to
/// nothing.
pub fn lost_up_to(before: &Backlog, now: &Backlog, cleared: u64) -> Option<u64> {
    let dropped = now.first.checked_sub(1)?;
    let unread = dropped > before.given;
    let unanswered = dropped > now.done.max(before.done);
    (dropped > cleared && (unread || unanswered)).then_some(dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backlog(given: u64, done: u64, first: u64) -> Backlog {
        Backlog {
            pending: 0,
            ack_pending: 0,
            given,
            done,
            first,
            last: 99,
        }
    }

    /// Two looks at a consumer that does nothing between them.
    fn at_rest(given: u64, done: u64, first: u64, cleared: u64) -> Option<u64> {
        lost_up_to(
            &backlog(given, done, first),
            &backlog(given, done, first),
            cleared,
        )
    }

    #[test]
    fn dropped_events_are_lost_only_if_nobody_was_done_with_them() {
        assert_eq!(at_rest(0, 0, 1, 0), None, "all still there");
        assert_eq!(at_rest(0, 0, 0, 0), None, "an empty stream");
        assert_eq!(at_rest(9, 9, 10, 0), None, "dropped after they were done");
        assert_eq!(at_rest(4, 4, 8, 0), Some(7), "5 to 7 were not read");
        assert_eq!(at_rest(9, 4, 8, 0), Some(7), "5 to 7 were not answered for");
        assert_eq!(at_rest(4, 4, 8, 7), None, "cleared for that already");
        assert_eq!(at_rest(4, 4, 9, 7), Some(8), "one more is gone");
    }

    #[test]
    fn a_gap_stays_open_until_all_is_cleared() {
        let mut gap = Gap::default();
        gap.look(&backlog(4, 4, 1), &backlog(10, 10, 8), false);
        assert_eq!(gap.open(), Some(7));
        gap.look(&backlog(10, 10, 8), &backlog(10, 10, 8), false);
        assert_eq!(gap.open(), Some(7), "L2 was away, and nothing was cleared");
        gap.cleared = 7;
        assert_eq!(gap.open(), None);
    }

    #[test]
    fn behind_a_filter_only_what_waits_can_be_lost() {
        let mut gap = Gap::default();
        gap.look(&backlog(4, 4, 1), &backlog(4, 4, 8), true);
        assert_eq!(gap.open(), None, "others' events");
        let waiting = Backlog {
            pending: 1,
            ..backlog(4, 4, 1)
        };
        gap.look(&waiting, &backlog(4, 4, 8), true);
        assert_eq!(gap.open(), Some(7));
    }

    #[test]
    fn a_backlog_that_nobody_takes_is_no_progress() {
        let waiting = |given, done| Backlog {
            pending: 3,
            ..backlog(given, done, 1)
        };
        assert!(gets_somewhere(&waiting(4, 4), &waiting(5, 4)));
        assert!(gets_somewhere(&waiting(4, 3), &waiting(4, 4)));
        assert!(!gets_somewhere(&waiting(4, 4), &waiting(4, 4)));
        assert!(
            gets_somewhere(&backlog(4, 4, 1), &backlog(4, 4, 1)),
            "all quiet"
        );
    }

    #[test]
    fn a_consumer_that_went_on_behind_the_gap_does_not_hide_it() {
        let now = backlog(10, 10, 8);
        assert_eq!(lost_up_to(&backlog(4, 4, 1), &now, 0), Some(7));
        assert_eq!(
            lost_up_to(&backlog(7, 7, 1), &now, 0),
            None,
            "7 had been done before"
        );
    }
}
