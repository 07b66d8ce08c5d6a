//! The faults by name, how long each may hold up a change, and what it does.

mod bus;
mod database;
mod redis;

use super::book::Book;
use super::crew::Crew;
use super::servers::Servers;
use super::{SEATS, Seat};
use cache_core::testkit::until::pace;
use std::sync::Arc;
use std::time::Duration;

/// How long a change may be missing from answers once it is in the stream, while
/// nothing holds up those who carry it: the trust's span, and one step of L2.
pub(crate) const BOUND: Duration = Duration::from_millis(2_500);
/// The same, if who carried it died: the stream's patience (2 s), and a margin.
const GIVEN_BACK: Duration = Duration::from_millis(3_500);
/// How long a fault lasts whose length is ours to choose.
const HOLD: Duration = Duration::from_secs(3);

/// What strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing: how it is on a good day.
    Calm,
    /// A primary dies and comes back as a replica.
    PrimaryKilled,
    /// A primary hangs, and comes back believing in itself.
    PrimaryHangs,
    /// A replica takes over from a primary that is well.
    Takeover,
    /// A replica is cut off, and must take over without the last writes.
    ReplicaCut,
    /// Slots go from one primary to another.
    SlotsMigrate,
    /// Memory is short, under each policy in turn.
    MemoryPressure,
    /// The nodes forget all scripts, again and again.
    ScriptFlush,
    /// A primary comes back empty before anybody takes over.
    RestartedEmpty,
    /// All of Redis comes back empty.
    AllRestartedEmpty,
    /// A primary comes back with what it had a while ago.
    OldSnapshot,
    /// NATS dies and comes back.
    NatsKilled,
    /// NATS hangs: a partition without an error.
    NatsHangs,
    /// The stream is emptied before anybody reads it.
    StreamPurged,
    /// The stream drops what nobody has read.
    RetentionOverrun,
    /// A library process stands still, and reads on as if nothing had been.
    SlowSubscriber,
    /// An invalidator is halted with events in hand, and dies.
    InvalidatorKilled,
    /// The standby stops replaying while loaders read from it.
    ReplayPaused,
    /// Commits wait for a synchronous standby: events come before rows are visible.
    EventBeforeVisible,
    /// The database goes back to an earlier point.
    Restored,
    /// Wall clocks jump.
    ClockSteps,
    /// Two at once.
    Both(&'static [Fault; 2]),
}

/// All that strike alone.
pub(crate) const ALONE: [Fault; 20] = [
    Fault::PrimaryKilled,
    Fault::PrimaryHangs,
    Fault::Takeover,
    Fault::ReplicaCut,
    Fault::SlotsMigrate,
    Fault::MemoryPressure,
    Fault::ScriptFlush,
    Fault::RestartedEmpty,
    Fault::AllRestartedEmpty,
    Fault::OldSnapshot,
    Fault::NatsKilled,
    Fault::NatsHangs,
    Fault::StreamPurged,
    Fault::RetentionOverrun,
    Fault::SlowSubscriber,
    Fault::InvalidatorKilled,
    Fault::ReplayPaused,
    Fault::EventBeforeVisible,
    Fault::Restored,
    Fault::ClockSteps,
];

/// Pairs that hide each other's traces.
pub(crate) const MIXED: [Fault; 6] = [
    Fault::Both(&[Fault::PrimaryKilled, Fault::InvalidatorKilled]),
    Fault::Both(&[Fault::ReplicaCut, Fault::ReplayPaused]),
    Fault::Both(&[Fault::NatsHangs, Fault::PrimaryHangs]),
    Fault::Both(&[Fault::OldSnapshot, Fault::SlowSubscriber]),
    Fault::Both(&[Fault::MemoryPressure, Fault::InvalidatorKilled]),
    Fault::Both(&[Fault::NatsKilled, Fault::AllRestartedEmpty]),
];

/// What faults are done to.
pub(crate) struct Scene {
    pub(crate) servers: Servers,
    pub(crate) crew: Arc<Crew>,
    pub(crate) book: Arc<Book>,
}

impl Fault {
    /// In words.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Both([one, other]) => format!("{} and {}", one.name(), other.name()),
            alone => {
                let mut words = String::new();
                for letter in format!("{alone:?}").chars() {
                    if letter.is_uppercase() && !words.is_empty() {
                        words.push(' ');
                    }
                    words.extend(letter.to_lowercase());
                }
                words
            }
        }
    }

    /// How long a change may be missing from answers, from when the stream has it.
    pub(crate) fn bound(self) -> Duration {
        BOUND
            + match self {
                // Whoever carries changes is held up itself for as long.
                Self::NatsKilled | Self::NatsHangs => HOLD + GIVEN_BACK,
                Self::StreamPurged | Self::RetentionOverrun => HOLD + GIVEN_BACK,
                Self::InvalidatorKilled => HOLD + GIVEN_BACK,
                Self::Restored => GIVEN_BACK,
                Self::Both(both) => both.iter().map(|one| one.bound() - BOUND).sum(),
                _ => Duration::ZERO,
            }
    }
}

impl Scene {
    /// Does it, and undoes it.
    pub(crate) async fn strike(&self, fault: Fault) {
        match fault {
            Fault::Calm => pace(2 * HOLD).await,
            Fault::PrimaryKilled => self.primary_killed().await,
            Fault::PrimaryHangs => self.primary_hangs().await,
            Fault::Takeover => self.takeover().await,
            Fault::ReplicaCut => self.replica_cut().await,
            Fault::SlotsMigrate => self.slots_migrate().await,
            Fault::MemoryPressure => self.memory_pressure().await,
            Fault::ScriptFlush => self.script_flush().await,
            Fault::RestartedEmpty => self.restarted_empty().await,
            Fault::AllRestartedEmpty => self.all_restarted_empty().await,
            Fault::OldSnapshot => self.old_snapshot().await,
            Fault::NatsKilled => self.nats_killed().await,
            Fault::NatsHangs => self.nats_hangs().await,
            Fault::StreamPurged => self.stream_loses(true).await,
            Fault::RetentionOverrun => self.stream_loses(false).await,
            Fault::SlowSubscriber => self.slow_subscriber().await,
            Fault::InvalidatorKilled => self.invalidator_killed().await,
            Fault::ReplayPaused => self.replay_paused().await,
            Fault::EventBeforeVisible => self.event_before_visible().await,
            Fault::Restored => self.restored().await,
            Fault::ClockSteps => self.clock_steps().await,
            Fault::Both([one, other]) => {
                tokio::join!(Box::pin(self.strike(*one)), Box::pin(self.strike(*other)));
            }
        }
    }

    async fn slow_subscriber(&self) {
        let hand = self.crew.on(Seat::Library(0));
        hand.halt(true).await;
        pace(2 * HOLD).await;
        hand.halt(false).await;
    }

    async fn clock_steps(&self) {
        let hours = [2, -3, 1].map(|hours: i64| hours * 3_600_000);
        for (seat, step) in SEATS.into_iter().zip(hours) {
            self.crew.on(seat).tell(&format!("step {step}\n"));
        }
        pace(HOLD).await;
        self.crew.tell("step 0\n");
        pace(HOLD).await;
    }
}
