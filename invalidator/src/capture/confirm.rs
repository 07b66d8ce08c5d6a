//! When the database may forget its log.
//!
//! NATS says that an event is stored before the disk has it: by default it syncs every two
//! minutes. After a power cut the stream may lack its last events, and only the database's
//! log still has them:
//!
//! 1. an event is stored, and the capture confirms its place
//! 2. the database removes its log up to there
//! 3. the power goes, and the stream comes back without the event
//!
//! So a place is confirmed only when it has been stored for some time.

use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Into how many steps the time is divided: places within one are confirmed together.
const STEPS: u32 = 64;

/// Places that are stored and not confirmed yet.
#[derive(Debug)]
pub struct Confirm {
    after: Duration,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// Until here, later places take this one's stead.
    open_until: Instant,
    lsn: u64,
}

impl Confirm {
    /// Places are confirmed this long after they were stored, and at most a
    /// sixty-fourth of that later.
    pub fn new(after: Duration) -> Self {
        let waiting = VecDeque::new();
        Self { after, waiting }
    }

    /// Everything up to this place is stored.
    pub fn stored(&mut self, lsn: u64, now: Instant) {
        match self.waiting.back_mut() {
            Some(last) if now <= last.open_until => last.lsn = lsn,
            _ => {
                let open_until = now + self.after / STEPS;
                self.waiting.push_back(Waiting { open_until, lsn });
            }
        }
    }

    /// The place that may be confirmed by this time, if there is one more.
    pub fn due(&mut self, now: Instant) -> Option<u64> {
        let mut due = None;
        while let Some(first) = self.waiting.front()
            && first.open_until + self.after <= now
        {
            due = Some(first.lsn);
            self.waiting.pop_front();
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_confirmed_when_it_has_been_stored_for_long_enough() {
        let second = Duration::from_secs(1);
        let start = Instant::now();
        let mut confirm = Confirm::new(64 * second);
        for step in 0..=200 {
            let now = start + step * second;
            confirm.stored(u64::from(step), now);
            let due = confirm.due(now);
            assert!(due.is_none_or(|lsn| lsn + 64 <= u64::from(step)));
            assert!(confirm.waiting.len() <= 66, "few are remembered");
        }
        let end = start + 400 * second;
        assert_eq!(confirm.due(end), Some(200));
        assert_eq!(confirm.due(end), None);
    }

    #[test]
    fn a_place_that_others_follow_at_once_is_confirmed_all_the_same() {
        let mut confirm = Confirm::new(Duration::from_secs(64));
        let start = Instant::now();
        let mut confirmed = None;
        for millis in 0..70_000_u64 {
            let now = start + Duration::from_millis(millis);
            confirm.stored(millis, now);
            confirmed = confirm.due(now).or(confirmed);
        }
        assert!(confirmed > Some(3_000), "{confirmed:?}");
    }
}
