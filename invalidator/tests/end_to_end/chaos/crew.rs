//! The reading processes, as their parent sees them. Each has a queue of its own: one
//! that is halted holds up nobody.

use super::Seat;
use crate::process;
use crate::service::signal;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Child;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// One process.
pub(crate) struct Hand {
    pub(crate) seat: Seat,
    child: Child,
    halted: AtomicBool,
    lines: mpsc::UnboundedSender<String>,
    words: tokio::sync::Mutex<mpsc::UnboundedReceiver<String>>,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Crew {
    hands: Mutex<Vec<Arc<Hand>>>,
}

impl Crew {
    /// One more process in this role; it reads on return.
    pub(crate) async fn hire(&self, seat: Seat, role: String) {
        let (child, mut stdin, mut stdout) = process::spawn(&role);
        let (lines, mut to_write) = mpsc::unbounded_channel::<String>();
        let (heard, words) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            while let Some(line) = to_write.recv().await {
                if stdin.write_all(line.as_bytes()).await.is_err() {
                    return;
                }
            }
        });
        tokio::spawn(async move {
            while let Some(word) = process::word(&mut stdout).await {
                if heard.send(word).is_err() {
                    return;
                }
            }
        });
        let hand = Arc::new(Hand {
            seat,
            child,
            halted: AtomicBool::new(false),
            lines,
            words: tokio::sync::Mutex::new(words),
        });
        assert_eq!(hand.word().await, "ready", "{seat:?}");
        self.hands.lock().push(hand);
    }

    /// Tells all of them.
    pub(crate) fn tell(&self, lines: &str) {
        for hand in &*self.hands.lock() {
            // One that ended is found out by whoever asks it.
            let _ = hand.lines.send(lines.to_owned());
        }
    }

    /// Asks all that are not halted; each answer's first word is the question's.
    pub(crate) async fn ask(&self, question: &str) -> Vec<(Seat, String)> {
        let hands: Vec<_> = self.hands.lock().clone();
        let asked = hands.into_iter().filter(|hand| !hand.is_halted());
        let answers = asked.map(|hand| async move {
            let answer = hand.ask(question).await;
            (hand.seat, answer)
        });
        futures_util::future::join_all(answers).await
    }

    /// The process on a seat.
    pub(crate) fn on(&self, seat: Seat) -> Arc<Hand> {
        let hands = self.hands.lock();
        let hand = hands.iter().find(|hand| hand.seat == seat);
        hand.expect("the seat is taken").clone()
    }
}

impl Hand {
    pub(crate) fn is_halted(&self) -> bool {
        self.halted.load(Ordering::Relaxed)
    }

    /// Tells this one alone.
    pub(crate) fn tell(&self, line: &str) {
        let _ = self.lines.send(line.to_owned());
    }

    async fn ask(&self, question: &str) -> String {
        self.tell(&format!("{question}\n"));
        let answer = self.word().await;
        let (subject, rest) = answer.split_once(' ').unwrap_or((&answer, ""));
        assert_eq!(subject, question, "{:?}", self.seat);
        rest.to_owned()
    }

    async fn word(&self) -> String {
        let mut words = self.words.lock().await;
        let word = timeout(PATIENCE, words.recv()).await;
        let word = word.unwrap_or_else(|_| panic!("{:?} does not answer", self.seat));
        word.unwrap_or_else(|| panic!("{:?} has ended", self.seat))
    }

    /// Stops the process where it stands, or lets it go on.
    pub(crate) async fn halt(&self, halted: bool) {
        if halted {
            self.halted.store(true, Ordering::Relaxed);
            signal(&self.child, "STOP").await;
        } else {
            signal(&self.child, "CONT").await;
            self.halted.store(false, Ordering::Relaxed);
        }
    }
}
