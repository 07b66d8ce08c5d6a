//! The life of a capture of MariaDB: session after session, each from where the stream
//! ends.

use crate::capture::again::again;
use crate::capture::event;
use crate::capture::face::NotReady;
use crate::capture::journal::{Journal, Stored};
use crate::capture::mariadb::reader::Reader;
use crate::capture::mariadb::session::{Log, Session, changes};
use crate::capture::mariadb::settings::Settings;
use crate::capture::place::{Lsn, Origin, Place};
use crate::capture::reader::{Batch, Outgoing};
use crate::capture::series::Series;
use crate::source::Link;
use cache_core::clock::Clock;
use cache_core::{Error, Kind};
use futures_util::{FutureExt, StreamExt};
use mysql_async::BinlogStream;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

const READING: &str = "reading the binary log";
/// The most events that are stored together, but for those of one event of the log.
const EVENTS_MAX: usize = 1_024;
/// The place of the first event in each file.
const FIRST: u64 = 4;
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
    /// The place from which the server could not read its log; 0 for none.
    pub unreadable: Arc<AtomicU64>,
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
        let Settings { server, events, .. } = &self.settings;
        let mut session = Session::connect(server).await?;
        let charsets = session.charsets().await?;
        let (mut journal, stored) = Journal::open(&self.link, events).await?;
        let log = session.log().await?;
        let (place, mut changes) = match self.resume(&stored, &log).await? {
            Ok(resumed) => resumed,
            Err(why) => self.begin(&log, &why, &mut journal).await?,
        };
        let mut reader = Reader::new(&events.prefix, server, charsets, place);
        // The file says when it was begun before it says anything else.
        let mut batch = Batch::default();
        while reader.created() == 0 {
            self.take(&mut changes, &mut reader, &mut batch).await?;
        }
        self.series.active(true);
        *self.not_ready.write() = None;
        tracing::info!(%place, "the binary log is being read");
        let following = Following {
            capture: self,
            session,
            journal,
            reader,
        };
        Err(following.run(changes, batch).await)
    }

    /// Where the stream ends, if the server's log goes on there; else why it does not.
    async fn resume(
        &self,
        stored: &Stored,
        log: &Log,
    ) -> Result<Result<(Place, BinlogStream), String>, Error> {
        let Some((place, origin)) = stored else {
            return Ok(Err("the stream has no event of a capture".to_owned()));
        };
        if self.unreadable.load(Relaxed) == place.lsn {
            let at = Lsn(place.lsn);
            return Ok(Err(format!(
                "the server cannot read its log at {at} (file/place)"
            )));
        }
        let Some(file) = log.file_of(place.lsn) else {
            let at = Lsn(place.lsn);
            return Ok(Err(format!("the server has no log at {at} (file/place)")));
        };
        let created = self.created(file).await?;
        if self.origin(created) != *origin {
            return Ok(Err(format!("{file} is another file than it was")));
        }
        let changes = changes(&self.settings.server, file, place.lsn).await?;
        Ok(Ok((*place, changes)))
    }

    /// Begins at the end of the log, after every reader was told.
    async fn begin(
        &self,
        log: &Log,
        why: &str,
        journal: &mut Journal,
    ) -> Result<(Place, BinlogStream), Error> {
        tracing::error!(why, "changes may be missing; every cache is cleared");
        let place = Place {
            lsn: log.end,
            index: 0,
        };
        let file = log.file_of(place.lsn).ok_or_else(|| {
            let subject = self.settings.server.at.subject();
            Error::new(Kind::Unavailable, READING, subject).hint("its log has just gone on")
        })?;
        let created = self.created(file).await?;
        let lost = Outgoing {
            place,
            subject: format!("{}.lost", self.settings.events.prefix),
            payload: event::lost(why),
        };
        journal.append(&self.origin(created), &[lost]).await?;
        self.series.lost();
        let changes = changes(&self.settings.server, file, place.lsn).await?;
        Ok((place, changes))
    }

    /// When a file of the log was begun. Read from its beginning: in another file of that
    /// name, the place that the stream has may be in the middle of something.
    async fn created(&self, file: &str) -> Result<u32, Error> {
        let Settings { server, events, .. } = &self.settings;
        let mut changes = changes(server, file, FIRST).await?;
        let nothing = Place::default();
        let mut reader = Reader::new(&events.prefix, server, Default::default(), nothing);
        while reader.created() == 0 {
            self.take(&mut changes, &mut reader, &mut Batch::default())
                .await?;
        }
        Ok(reader.created())
    }

    fn origin(&self, created: u32) -> Origin {
        Origin {
            system: "mariadb".to_owned(),
            timeline: created,
        }
    }

    /// Reads the next event of the log. Nothing is lost if it is dropped while it waits.
    async fn take(
        &self,
        changes: &mut BinlogStream,
        reader: &mut Reader,
        batch: &mut Batch,
    ) -> Result<(), Error> {
        let failed = || {
            Error::new(
                Kind::Unavailable,
                READING,
                self.settings.server.at.subject(),
            )
        };
        let sent = match changes.next().await {
            Some(Ok(sent)) => sent,
            Some(Err(error)) => {
                if is_unreadable(&error) {
                    self.unreadable.store(reader.begun(), Relaxed);
                }
                return Err(failed().because(error));
            }
            None => return Err(failed().hint("the server ended the session")),
        };
        let read = reader.read(&sent, |id| changes.get_tme(id), batch);
        read.map_err(|unreadable| failed().because(unreadable))
    }
}

/// Whether the server says that its log cannot be read there, and never will
/// (`ER_MASTER_FATAL_ERROR_READING_BINLOG`).
fn is_unreadable(error: &mysql_async::Error) -> bool {
    matches!(error, mysql_async::Error::Server(said) if said.code == 1236)
}

/// A session that has begun.
struct Following<'c> {
    capture: &'c Capture,
    session: Session,
    journal: Journal,
    reader: Reader,
}

impl Following<'_> {
    /// Carries changes until something fails.
    async fn run(mut self, mut changes: BinlogStream, mut batch: Batch) -> Error {
        let mut tick = interval(self.capture.settings.server.heartbeat);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let created = self.reader.created();
            let done = tokio::select! {
                taken = self.capture.take(&mut changes, &mut self.reader, &mut batch) => taken,
                _ = tick.tick() => self.beat(&mut batch).await,
            };
            if let Err(error) = done {
                return error;
            }
            if let Err(error) = self.fill(&mut changes, &mut batch, created).await {
                return error;
            }
            let ready = std::mem::take(&mut batch);
            if let Err(error) = self.store(ready, self.reader.created()).await {
                return error;
            }
        }
    }

    /// Takes what has come already. Events before the end of a file are stored as of that
    /// file.
    async fn fill(
        &mut self,
        changes: &mut BinlogStream,
        batch: &mut Batch,
        mut created: u32,
    ) -> Result<(), Error> {
        loop {
            if self.reader.created() != created {
                self.store(std::mem::take(batch), created).await?;
                created = self.reader.created();
            }
            if batch.events.len() >= EVENTS_MAX {
                return Ok(());
            }
            let next = self.capture.take(changes, &mut self.reader, batch);
            match next.now_or_never() {
                Some(taken) => taken?,
                None => return Ok(()),
            }
        }
    }

    async fn store(&mut self, batch: Batch, created: u32) -> Result<(), Error> {
        let capture = self.capture;
        if let Some(last) = batch.events.last() {
            self.pass(last.place.lsn).await?;
        }
        let origin = capture.origin(created);
        self.journal.append(&origin, &batch.events).await?;
        capture.series.stored(&batch, capture.clock.wall_ms());
        Ok(())
    }

    /// Waits until every reader sees the transaction that begins here. The log has it as
    /// a whole, so whoever sees beyond its beginning sees all of it.
    async fn pass(&mut self, begins: u64) -> Result<(), Error> {
        let [mut pause, longest] = LOOKS;
        while self.capture.settings.server.barrier && self.session.visible().await? <= begins {
            self.capture.series.waits();
            sleep(pause).await;
            pause = longest.min(2 * pause);
        }
        Ok(())
    }

    /// Says how far it came, so that the stream's last event is never old, and asks the
    /// server whether it lives.
    async fn beat(&mut self, batch: &mut Batch) -> Result<(), Error> {
        let log = self.session.log().await?;
        let behind = log
            .end
            .saturating_sub(self.reader.quiet().map_or(0, |place| place.lsn));
        self.capture.series.retained(behind);
        let Some(place) = self.reader.quiet() else {
            return Ok(());
        };
        let beat = Outgoing {
            place,
            subject: format!("{}.beat", self.capture.settings.events.prefix),
            payload: event::beat(),
        };
        batch.events.push(beat);
        Ok(())
    }
}
