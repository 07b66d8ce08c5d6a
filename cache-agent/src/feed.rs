//! What the agent hears of changes, kept for a while for those who watch.
//!
//! One ring serves all of them: each is a place in it, so a slow one costs nothing, and
//! finds that its place is gone.

use cache_core::coherence::apply::Tap;
use cache_core::wire::invalidation::{Invalidation, Target};
use parking_lot::Mutex;
use std::collections::VecDeque;
use tokio::sync::watch;

/// How many are kept: a second or more of the busiest stream, a few megabytes at most.
pub const KEPT_MAX: usize = 16_384;

/// One thing that was heard.
#[derive(Clone, Debug, PartialEq)]
pub enum Told {
    /// This became invalid.
    Invalid(Invalidation),
    /// Something may not have been heard, for this reason.
    Gap(String),
    /// From here on the agent would hear of a change, or no longer.
    Hears(bool),
}

/// What a cursor stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The number of the next one to be told.
    Here(u64),
    /// Something in another process.
    Elsewhere,
    /// It is no cursor.
    Nowhere,
}

/// The last things that were heard.
#[derive(Debug)]
pub struct Feed {
    /// Which process's it is: a cursor of another one is worth nothing here.
    id: u64,
    ring: Mutex<Ring>,
    news: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Ring {
    /// The number of the first one that is kept.
    first: u64,
    kept: VecDeque<Told>,
}

impl Feed {
    /// An empty one; `id` is drawn by chance.
    pub fn new(id: u64) -> Self {
        Self {
            id,
            ring: Mutex::default(),
            news: watch::Sender::new(0),
        }
    }

    /// From here on the agent would hear of a change, or no longer.
    pub fn hears(&self, hears: bool) {
        self.push(Told::Hears(hears));
    }

    /// The number of the next one.
    pub fn head(&self) -> u64 {
        self.ring.lock().head()
    }

    /// Up to so many from a number on; nothing if they are not kept any more.
    pub fn read(&self, from: u64, most: usize) -> Option<Vec<Told>> {
        let ring = self.ring.lock();
        if !(ring.first..=ring.head()).contains(&from) {
            return None;
        }
        let skip = usize::try_from(from - ring.first).ok()?;
        Some(ring.kept.iter().skip(skip).take(most).cloned().collect())
    }

    /// Changes with each one.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// A number as a cursor.
    pub fn cursor(&self, number: u64) -> String {
        format!("{:016x}-{number:x}", self.id)
    }

    /// What a cursor stands for.
    pub fn place(&self, cursor: &str) -> Place {
        let hex = |text: &str| {
            let fits = (1..=16).contains(&text.len());
            let plain = fits && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            plain.then(|| u64::from_str_radix(text, 16).ok()).flatten()
        };
        let parts = cursor.split_once('-');
        match parts.and_then(|(id, number)| hex(id).zip(hex(number))) {
            Some((id, number)) if id == self.id => Place::Here(number),
            Some(_) => Place::Elsewhere,
            None => Place::Nowhere,
        }
    }

    fn push(&self, told: Told) {
        let head = {
            let mut ring = self.ring.lock();
            if ring.kept.len() >= KEPT_MAX {
                ring.kept.pop_front();
                ring.first += 1;
            }
            ring.kept.push_back(told);
            ring.head()
        };
        self.news.send_replace(head);
    }
}

impl Ring {
    fn head(&self) -> u64 {
        self.first + self.kept.len() as u64
    }
}

impl Tap for Feed {
    fn applied(&self, one: &Invalidation) {
        self.push(match one.target {
            // It concerns every cache, and nobody outside knows which keys are in it.
            Target::Bucket(_) => Told::Gap("Redis had lost changes".to_owned()),
            Target::Key { .. } | Target::Tag { .. } => Told::Invalid(one.clone()),
        });
    }

    fn gap(&self, reason: &str) {
        self.push(Told::Gap(reason.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_from_any_number_and_the_rest_is_lost() {
        let feed = Feed::new(7);
        for _ in 0..KEPT_MAX + 3 {
            feed.gap("a test");
        }
        feed.hears(true);
        assert_eq!(feed.head(), KEPT_MAX as u64 + 4);
        assert_eq!(feed.read(3, 9), None, "pushed out");
        assert_eq!(feed.read(4, 9).map(|all| all.len()), Some(9));
        assert_eq!(feed.read(feed.head() - 1, 9), Some(vec![Told::Hears(true)]));
        assert_eq!(feed.read(feed.head(), 9), Some(Vec::new()));
        assert_eq!(feed.read(feed.head() + 1, 9), None, "never given out");
    }

    #[test]
    fn a_cursor_is_of_its_own_process() {
        let (feed, other) = (Feed::new(7), Feed::new(8));
        assert_eq!(feed.place(&feed.cursor(300)), Place::Here(300));
        assert_eq!(other.place(&feed.cursor(300)), Place::Elsewhere);
        for strange in [
            "",
            "7",
            "x-1",
            "1-x",
            "-",
            "1-",
            "+1-1",
            "00000000000000001-1",
        ] {
            assert_eq!(feed.place(strange), Place::Nowhere, "{strange}");
        }
    }
}
