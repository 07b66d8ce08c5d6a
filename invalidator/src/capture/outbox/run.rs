//! Takes rows, stores their events, deletes the rows.

use crate::capture::again::again;
use crate::capture::event::{EVENT_BYTES_MAX, lost, message};
use crate::capture::face::NotReady;
use crate::capture::outbox::series::Series;
use crate::capture::outbox::settings::Settings;
use crate::capture::stream;
use crate::postgres;
use crate::source::Link;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use cache_core::clock::Clock;
use cache_core::{Error, Kind};
use futures_util::future::try_join_all;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_postgres::{Client, Transaction};
use tokio_util::sync::CancellationToken;

/// How long a batch may take.
const BATCH_TIMEOUT: Duration = Duration::from_secs(30);
const CARRYING: &str = "carrying events out of the outbox";

/// What an outbox works with.
#[derive(Clone, Debug)]
pub struct Relay {
    /// The file.
    pub settings: Settings,
    /// The NATS with the stream.
    pub link: Link,
    /// The series.
    pub series: Arc<Series>,
    /// Dates the last look.
    pub clock: Arc<dyn Clock>,
    /// Where it says what it waits for.
    pub not_ready: NotReady,
}

/// Rows that were taken, and are locked until the transaction ends.
struct Taken {
    ids: Vec<i64>,
    events: Vec<Bytes>,
    /// How long the oldest has waited, in seconds.
    waited_s: f64,
}

impl Relay {
    /// Runs until `stop`. It needs no drain: what was not deleted is carried again.
    ///
    /// # Errors
    /// [`Kind::Mismatch`] when the stream is not set up for it. Anything else is waited
    /// for.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        let over = |has_failed| {
            if has_failed {
                self.series.failed();
            }
        };
        again(&stop, &self.not_ready, || self.session(), over).await
    }

    /// Carries rows until something fails.
    async fn session(&self) -> Result<(), Error> {
        stream::open(&self.link, &self.settings.events).await?;
        let mut client = postgres::connect(&self.settings.outbox.at).await?;
        loop {
            let carried = timeout(BATCH_TIMEOUT, self.batch(&mut client)).await;
            let late = || Err(self.failed("it took too long"));
            let count = carried.unwrap_or_else(|_| late())?;
            *self.not_ready.write() = None;
            if count < self.settings.outbox.batch as usize {
                sleep(self.settings.outbox.poll).await;
            }
        }
    }

    /// One batch; how many rows it had.
    async fn batch(&self, client: &mut Client) -> Result<usize, Error> {
        let refused = |error: tokio_postgres::Error| {
            Error::new(Kind::Unavailable, CARRYING, self.subject()).because(error)
        };
        let transaction = client.transaction().await.map_err(refused)?;
        let taken = self.take(&transaction).await.map_err(refused)?;
        let count = taken.ids.len();
        if count > 0 {
            self.store(&taken).await?;
            let table = &self.settings.outbox.table;
            let delete = format!("DELETE FROM {table} WHERE id = ANY($1)");
            let deleted = transaction.execute(&delete, &[&taken.ids]).await;
            deleted.map_err(refused)?;
        }
        transaction.commit().await.map_err(refused)?;
        self.series
            .carried(count, taken.waited_s, self.clock.wall_ms());
        Ok(count)
    }

    async fn take(&self, transaction: &Transaction<'_>) -> Result<Taken, tokio_postgres::Error> {
        let (table, batch) = (&self.settings.outbox.table, self.settings.outbox.batch);
        let take = format!(
            "SELECT id, event::text, extract(epoch FROM clock_timestamp() - written_at)::float8 \
             FROM {table} ORDER BY id LIMIT {batch} FOR UPDATE SKIP LOCKED"
        );
        let rows = transaction.query(&take, &[]).await?;
        let waited = rows.iter().map(|row| row.get::<_, f64>(2));
        let event = |text: String| match text.len() {
            0..=EVENT_BYTES_MAX => message(&text.into()),
            // It would be refused again and again, and nothing behind it come through.
            size => lost(&format!("an event of the outbox has {size} bytes")),
        };
        Ok(Taken {
            waited_s: waited.fold(0.0, f64::max),
            ids: rows.iter().map(|row| row.get(0)).collect(),
            events: rows.iter().map(|row| event(row.get(1))).collect(),
        })
    }

    async fn store(&self, taken: &Taken) -> Result<(), Error> {
        let events = &self.settings.events;
        let store = async {
            let mut answers = Vec::with_capacity(taken.events.len());
            for (id, event) in taken.ids.iter().zip(&taken.events) {
                let message = PublishMessage::build()
                    .payload(event.clone())
                    // Carried twice within the stream's window, it is stored once.
                    .message_id(format!("{}:{id}", self.settings.outbox.table))
                    .expected_stream(&events.stream);
                let subject = format!("{}.event", events.prefix);
                answers.push(self.link.context.send_publish(subject, message).await?);
            }
            try_join_all(answers.into_iter().map(IntoFuture::into_future)).await
        };
        let stored = store.await;
        stored.map(drop).map_err(|error| {
            Error::new(Kind::Unavailable, CARRYING, events.stream.as_str()).because(error)
        })
    }

    fn subject(&self) -> String {
        self.settings.outbox.at.subject()
    }

    fn failed(&self, hint: &'static str) -> Error {
        Error::new(Kind::Unavailable, CARRYING, self.subject()).hint(hint)
    }
}
