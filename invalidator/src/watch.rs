//! Looks at the stream beside the loop: how far everything is, whether it is still
//! the same stream, and whether it dropped events that nobody had read.

use crate::batch::Batch;
use crate::mapping::everything;
use crate::metrics::Metrics;
use crate::source::{Backlog, Source};
use cache_core::coherence::announce::{Announced, Announcer};
use cache_core::model::key::Name;
use cache_core::{Error, Kind};
use parking_lot::RwLock;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How often the stream is looked at.
const EVERY: Duration = Duration::from_secs(2);

/// Why the service is not ready; nothing if it is.
pub type NotReady = Arc<RwLock<Option<&'static str>>>;

/// What looking works with.
#[derive(Debug)]
pub struct Watch {
    /// The stream and its consumer.
    pub source: Source,
    /// The series.
    pub metrics: Arc<Metrics>,
    /// The door for changes that go out.
    pub announcer: Arc<Announcer>,
    /// Every cache that an event may be about.
    pub caches: Vec<Name>,
    /// Where it says that the stream does not answer.
    pub not_ready: NotReady,
}

impl Watch {
    /// Looks until the stream is another one than at the start.
    pub async fn run(self) -> Error {
        let mut tick = interval(EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut cleared = 0;
        loop {
            tick.tick().await;
            match self.source.backlog().await {
                Ok(backlog) => {
                    self.metrics.backlog(backlog.pending, backlog.ack_pending);
                    *self.not_ready.write() = None;
                    let filtered = self.source.settings.filter.is_some();
                    if let Some(lost) = lost_up_to(&backlog, cleared, filtered)
                        && self.clear_all(lost).await
                    {
                        cleared = lost;
                    }
                }
                Err(error) if error.kind() == Kind::Mismatch => return error,
                Err(error) => {
                    tracing::warn!(%error, "the stream does not answer");
                    *self.not_ready.write() = Some("the stream does not answer");
                }
            }
        }
    }

    /// Clears every cache: nobody can say what the lost events were about.
    async fn clear_all(&self, lost: u64) -> bool {
        let mut batch = Batch::new();
        for target in everything(self.caches.iter().cloned()) {
            batch.add(&target, self.source.position(lost), None);
        }
        for changes in batch.announcements() {
            match self.announcer.announce(&changes).await {
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

/// The last of the events that the stream dropped although they were not answered
/// for, if there are any that are not `cleared` yet.
///
/// Behind a filter nobody can tell: dropped events may have been about something
/// else, and clearing everything again and again would be worse. An event that is
/// late, but in hand, can look lost too; that clears once more than needed.
pub fn lost_up_to(backlog: &Backlog, cleared: u64, filtered: bool) -> Option<u64> {
    let lost = backlog.first.checked_sub(1)?;
    (!filtered && lost > backlog.done.max(cleared)).then_some(lost)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backlog(done: u64, first: u64, last: u64) -> Backlog {
        Backlog {
            pending: 0,
            ack_pending: 0,
            done,
            first,
            last,
        }
    }

    #[test]
    fn dropped_events_are_lost_only_if_nobody_was_done_with_them() {
        assert_eq!(
            lost_up_to(&backlog(0, 1, 9), 0, false),
            None,
            "all still there"
        );
        assert_eq!(
            lost_up_to(&backlog(0, 0, 0), 0, false),
            None,
            "an empty stream"
        );
        assert_eq!(
            lost_up_to(&backlog(9, 10, 9), 0, false),
            None,
            "dropped after they were done"
        );
        assert_eq!(
            lost_up_to(&backlog(4, 8, 9), 0, false),
            Some(7),
            "5 to 7 were not read"
        );
        assert_eq!(
            lost_up_to(&backlog(4, 8, 9), 7, false),
            None,
            "cleared for that already"
        );
        assert_eq!(
            lost_up_to(&backlog(4, 9, 9), 7, false),
            Some(8),
            "one more is gone"
        );
        assert_eq!(
            lost_up_to(&backlog(4, 8, 9), 0, true),
            None,
            "nobody can tell"
        );
    }
}
