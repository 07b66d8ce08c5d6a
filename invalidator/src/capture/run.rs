//! The life of a capture: session after session, each from where the stream ends.

use crate::capture::again::again;
use crate::capture::confirm::Confirm;
use crate::capture::event;
use crate::capture::face::NotReady;
use crate::capture::journal::Journal;
use crate::capture::place::{Origin, Place};
use crate::capture::reader::{BEAT_PREFIX, Batch, Outgoing, Reader};
use crate::capture::resume::{Found, Resume};
use crate::capture::series::Series;
use crate::capture::session::{Changes, Session};
use crate::capture::settings::{Database, Settings};
use crate::capture::slot;
use crate::capture::snapshot::Snapshot;
use crate::source::Link;
use cache_core::clock::Clock;
use cache_core::{Error, Kind};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

/// The pauses between two looks at what readers see.
const LOOKS: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(50)];

/// What a capture works with.
#[derive(Clone, Debug)]
pub struct Capture {
    /// The file.
    pub settings: Settings,
    /// The NATS with the stream.
    pub link: Link,
    /// The series.
    pub series: Arc<Series>,
    /// Dates events for lag.
    pub clock: Arc<dyn Clock>,
    /// Where it says what it waits for.
    pub not_ready: NotReady,
}

impl Capture {
    /// Runs until `stop`. It needs no drain: what is not stored comes again.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] when the database or the stream is not set up for it. Anything
    /// else is waited for.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        let over = |_| self.series.active(false);
        again(&stop, &self.not_ready, || self.session(), over).await
    }

    /// Reads the log until something fails.
    async fn session(&self) -> Result<(), Error> {
        let Settings {
            database, events, ..
        } = &self.settings;
        let mut session = Session::connect(database).await?;
        let slot = slot::ready(&mut session, database).await?;
        if slot.is_taken {
            tracing::debug!("another instance reads from the slot");
            return Ok(());
        }
        // After the slot was found free: whoever had it may have written until then.
        let (mut journal, stored) = Journal::open(&self.link, events).await?;
        let (origin, end) = session.origin().await?;
        let found = Found {
            stored,
            origin,
            confirmed: slot.confirmed,
            end,
            is_new: slot.is_new,
        };
        let after = self.resume(&found, &mut journal).await?;
        let changes = Changes::start(database, after.lsn, slot.confirmed).await?;
        self.series.active(true);
        *self.not_ready.write() = None;
        let (confirmed, origin) = (slot.confirmed(), found.origin);
        tracing::info!(%after, %confirmed, %origin, "changes are being read");
        let following = Following {
            capture: self,
            reader: Reader::new(&events.prefix, after),
            barrier: Barrier::new(database),
            confirm: Confirm::new(database.confirm_after),
            session,
            journal,
            origin,
        };
        Err(following.run(changes).await)
    }

    /// Where to go on; where changes may be missing, every reader is told first.
    async fn resume(&self, found: &Found, journal: &mut Journal) -> Result<Place, Error> {
        let (place, why) = match found.resume() {
            Resume::After(place) => return Ok(place),
            Resume::Lost(place, why) => (place, why),
        };
        tracing::error!(why, "changes may be missing; every cache is cleared");
        let lost = Outgoing {
            place,
            subject: format!("{}.lost", self.settings.events.prefix),
            payload: event::lost(&why),
        };
        journal.append(&found.origin, &[lost]).await?;
        self.series.lost();
        Ok(place)
    }
}

/// A session that has begun.
struct Following<'c> {
    capture: &'c Capture,
    session: Session,
    journal: Journal,
    origin: Origin,
    reader: Reader,
    barrier: Barrier,
    confirm: Confirm,
}

impl Following<'_> {
    /// Carries changes until something fails.
    async fn run(mut self, mut changes: Changes) -> Error {
        let mut tick = interval(self.capture.settings.database.heartbeat);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                sent = changes.next() => match sent {
                    Ok(sent) => self.carry(sent).await,
                    Err(error) => Err(error),
                },
                _ = tick.tick() => self.beat().await,
            };
            if let Err(error) = done {
                return error;
            }
            if let Some(lsn) = self.confirm.due(Instant::now()) {
                changes.confirm(lsn);
            }
        }
    }

    async fn carry(
        &mut self,
        sent: Vec<pgwire_replication::ReplicationEvent>,
    ) -> Result<(), Error> {
        let mut batch = Batch::default();
        for event in sent {
            self.reader.read(event, &mut batch).map_err(|unreadable| {
                let subject = self.capture.settings.database.at.subject();
                Error::new(Kind::Unavailable, "reading the changes", subject).because(unreadable)
            })?;
        }
        let waits = || self.capture.series.waits();
        self.barrier
            .pass(&batch.xids, &mut self.session, waits)
            .await?;
        self.journal.append(&self.origin, &batch.events).await?;
        self.capture
            .series
            .stored(&batch, self.capture.clock.wall_ms());
        if let Some(lsn) = batch.done {
            self.confirm.stored(lsn, Instant::now());
        }
        Ok(())
    }

    /// Writes a message into the log. It comes back as an event, so that there is always
    /// something to confirm, and a quiet database forgets the log of its busy neighbours.
    async fn beat(&mut self) -> Result<(), Error> {
        let sql = format!("SELECT pg_logical_emit_message(false, '{BEAT_PREFIX}', '')");
        self.session.ask("writing a heartbeat", &sql).await?;
        let database = &self.capture.settings.database;
        if let Some(slot) = slot::look(&mut self.session, database).await? {
            self.capture.series.retained(slot.retained);
        }
        Ok(())
    }
}

/// What keeps events back until every reader sees their transaction, see [`Snapshot`].
struct Barrier {
    is_on: bool,
    latest: Option<Snapshot>,
}

impl Barrier {
    fn new(database: &Database) -> Self {
        Self {
            is_on: database.barrier,
            latest: None,
        }
    }

    async fn pass(
        &mut self,
        xids: &[u32],
        session: &mut Session,
        waits: impl Fn(),
    ) -> Result<(), Error> {
        let [mut pause, longest] = LOOKS;
        let mut looked = false;
        loop {
            let seen = |snapshot: &Snapshot| xids.iter().all(|xid| snapshot.sees(*xid));
            if !self.is_on || self.latest.as_ref().is_some_and(seen) || xids.is_empty() {
                return Ok(());
            }
            if looked {
                waits();
                sleep(pause).await;
                pause = longest.min(2 * pause);
            }
            looked = true;
            self.latest = Some(session.snapshot().await?);
        }
    }
}
