//! Transactions of random size.

use cache_core::testkit::until::pace;
use rand::Rng;
use rand::rngs::StdRng;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio_postgres::Client;

/// The most rows that one statement changes.
const ROWS_MAX: usize = 1_000;
/// How far the writers may be ahead of the stream, in changes: so they go on for as long
/// as processes are killed.
const AHEAD_MAX: u64 = 20_000;

/// What all writers together have done.
#[derive(Debug)]
pub(crate) struct Progress {
    wanted: u64,
    changes: AtomicU64,
    transactions: AtomicU64,
    rolled_back: AtomicU64,
    stored: AtomicU64,
}

/// One writer; it has half of the rows for itself.
pub(crate) struct Writer {
    client: Client,
    half: i64,
    rows: i64,
    random: StdRng,
    progress: Arc<Progress>,
}

impl Progress {
    pub(crate) fn new(wanted: u64) -> Self {
        Self {
            wanted,
            changes: AtomicU64::new(0),
            transactions: AtomicU64::new(0),
            rolled_back: AtomicU64::new(0),
            stored: AtomicU64::new(0),
        }
    }

    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Relaxed)
    }

    pub(crate) fn transactions(&self) -> u64 {
        self.transactions.load(Relaxed)
    }

    pub(crate) fn rolled_back(&self) -> u64 {
        self.rolled_back.load(Relaxed)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.changes() >= self.wanted
    }

    /// The stream has so many events.
    pub(crate) fn stored(&self, events: u64) {
        self.stored.store(events, Relaxed);
    }

    fn is_ahead(&self) -> bool {
        self.changes() > self.stored.load(Relaxed) + AHEAD_MAX
    }
}

impl Writer {
    pub(crate) fn new(
        client: Client,
        half: i64,
        rows: i64,
        random: StdRng,
        progress: Arc<Progress>,
    ) -> Self {
        Self {
            client,
            half,
            rows,
            random,
            progress,
        }
    }

    /// Changes rows until there are enough changes.
    pub(crate) async fn run(mut self) {
        while !self.progress.is_over() {
            if self.progress.is_ahead() {
                pace(Duration::from_millis(10)).await;
                continue;
            }
            self.transaction().await;
        }
    }

    async fn transaction(&mut self) {
        self.sql("BEGIN").await;
        let mut changes = 0;
        for _ in 0..self.random.random_range(1..=3) {
            changes += match self.random.random_range(0..10) {
                0 => self.come_again().await,
                _ => self.update().await,
            };
        }
        if self.random.random_bool(0.1) {
            self.sql("ROLLBACK").await;
            self.progress.rolled_back.fetch_add(1, Relaxed);
            return;
        }
        self.sql("COMMIT").await;
        self.progress.changes.fetch_add(changes, Relaxed);
        self.progress.transactions.fetch_add(1, Relaxed);
    }

    /// Rows get their next version.
    async fn update(&mut self) -> u64 {
        // As many small transactions as large ones.
        let most = ROWS_MAX >> self.random.random_range(0..10);
        let ids: Vec<_> = (0..self.random.random_range(1..=most.max(1)))
            .map(|_| self.id())
            .collect();
        let sql = "UPDATE users SET version = version + 1 WHERE id = ANY($1)";
        let updated = self.client.execute(sql, &[&ids]).await;
        updated.expect("Postgres is up")
    }

    /// A row goes, and comes again with its next version.
    async fn come_again(&mut self) -> u64 {
        let id = self.id();
        let sql = "DELETE FROM users WHERE id = $1 RETURNING version";
        let gone = self.client.query_one(sql, &[&id]).await;
        let version: i64 = gone.expect("Postgres is up").get(0);
        let sql = "INSERT INTO users (id, version) VALUES ($1, $2)";
        let came = self.client.execute(sql, &[&id, &(version + 1)]).await;
        1 + came.expect("Postgres is up")
    }

    fn id(&mut self) -> i64 {
        self.random.random_range(0..self.rows / 2) * 2 + self.half
    }

    async fn sql(&self, sql: &str) {
        self.client
            .batch_execute(sql)
            .await
            .expect("Postgres is up");
    }
}
