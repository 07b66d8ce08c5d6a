//! What every process does when it is inspected: it looks whether one of its own L1s
//! would serve what an announced invalidation should have ended.
//!
//! Only a violation is said on the bus: a large fleet that answered every question
//! would talk of nothing else. That all is well, each process counts by itself.

use crate::clock::Clock;
use crate::coherence::apply::Applier;
use crate::coherence::voice::Voice;
use crate::event::{Event, Found, Observer, Tier};
use crate::guard::trust::Trust;
use crate::model::position::Position;
use crate::model::second_look::SecondLook;
use crate::wire::invalidation::{INSPECTIONS_MAX, Inspection, Invalidation, Violation};
use std::sync::Arc;
use tokio::sync::mpsc;

/// How many violations may wait for the bus. Beyond, they are counted and mended here
/// all the same, and nobody is told.
pub const UNTOLD_MAX: usize = 1_024;
const _: () = assert!(UNTOLD_MAX >= INSPECTIONS_MAX);

/// Looks into the L1s of this process.
#[derive(Debug)]
pub struct SelfCheck {
    /// Whose L1s are looked into, and the door by which a violation is ended.
    pub applier: Arc<Applier>,
    /// Whether L1 would answer at all.
    pub trust: Arc<Trust>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Who is told of every look.
    pub observer: Arc<dyn Observer>,
    /// Violations on their way to the bus.
    pub untold: mpsc::Sender<Violation>,
}

impl SelfCheck {
    /// Looks; drops what it finds to be violated.
    pub fn inspect(&self, look: SecondLook, all: &[Inspection]) {
        let trusted = self.trust.holds(self.clock.now());
        for one in all {
            if let Some(held) = self.oldest(look, one, trusted) {
                self.end(look, one, held);
            }
        }
    }

    /// The lowest position that an L1 would still serve, if that is too low.
    fn oldest(&self, look: SecondLook, one: &Inspection, trusted: bool) -> Option<Position> {
        let mut oldest: Option<Position> = None;
        self.applier.look_into(&one.target, |served| {
            let old = served.filter(|served| *served < one.position);
            oldest = oldest.into_iter().chain(old).min();
            let found = match old {
                Some(_) => Found::Violated,
                None if trusted => Found::Held,
                None => Found::Unknown,
            };
            self.observer.observe(&Event::Inspected {
                tier: Tier::L1,
                look,
                found,
            });
        });
        oldest
    }

    fn end(&self, look: SecondLook, one: &Inspection, held: Position) {
        let Inspection { target, position } = one.clone();
        let look = look.word();
        tracing::error!(%target, %position, %held, look, "L1 held what had been invalidated");
        self.applier.apply(&Invalidation {
            target: target.clone(),
            position,
            changed_ms: None,
            in_l2: true,
        });
        let _ = self.untold.try_send(Violation {
            target,
            position,
            held,
        });
    }
}

/// Says on the bus what was found, until nothing more can be found. Apart from the
/// listener, which must not wait for a bus that takes its time.
pub async fn tell(voice: Arc<Voice>, mut untold: mpsc::Receiver<Violation>) {
    let mut all = Vec::with_capacity(INSPECTIONS_MAX);
    while untold.recv_many(&mut all, INSPECTIONS_MAX).await > 0 {
        // If the bus is away, its listeners drop all they have when it is back.
        let _ = voice.violated(&all).await;
        all.clear();
    }
}
