//! What is done to Postgres.

use super::{HOLD, Scene};
use crate::rows::wall_us;
use cache_core::testkit::servers::postgres::STANDBY;
use cache_core::testkit::until::pace;

impl Scene {
    pub(super) async fn replay_paused(&self) {
        self.replay("SELECT pg_wal_replay_pause()").await;
        pace(HOLD).await;
        self.replay("SELECT pg_wal_replay_resume()").await;
    }

    /// Commits are in the log, and decoded, while no reader sees them yet.
    pub(super) async fn event_before_visible(&self) {
        self.set("synchronous_commit", "remote_apply").await;
        self.set("synchronous_standby_names", STANDBY).await;
        pace(HOLD / 3).await;
        self.replay("SELECT pg_wal_replay_pause()").await;
        pace(HOLD).await;
        self.replay("SELECT pg_wal_replay_resume()").await;
        self.set("synchronous_standby_names", "").await;
        self.set("synchronous_commit", "on").await;
    }

    /// The rows go back, and no log tells of it. The operator does what the manual
    /// says: the invalidators stop, the database is restored, and they start in the
    /// next epoch.
    pub(super) async fn restored(&self) {
        self.book.pause().await;
        let saved_us = wall_us();
        self.execute("CREATE TABLE saved AS SELECT id, version FROM users")
            .await;
        self.book.resume();
        pace(HOLD).await;
        self.book.pause().await;
        let mut invalidators = self.servers.invalidators.lock().await;
        for invalidator in invalidators.drain(..) {
            invalidator.kill().await;
        }
        drop(invalidators);
        let epoch = self.book.epoch() + 1;
        self.execute(&format!(
            "BEGIN; INSERT INTO restored VALUES (now()); \
             UPDATE users SET version = saved.version FROM saved WHERE users.id = saved.id; \
             UPDATE progress SET epoch = {epoch}; COMMIT; DROP TABLE saved"
        ))
        .await;
        self.book.restored(saved_us, epoch);
        self.servers.start_invalidators(epoch).await;
        self.book.restored_is_due();
        self.book.resume();
        pace(HOLD).await;
    }

    async fn set(&self, name: &str, value: &str) {
        self.execute(&format!("ALTER SYSTEM SET {name} = '{value}'"))
            .await;
        self.execute("SELECT pg_reload_conf()").await;
    }

    async fn execute(&self, statement: &str) {
        let done = self.servers.database.batch_execute(statement).await;
        done.expect("the primary is never touched");
    }

    async fn replay(&self, statement: &str) {
        let done = self.servers.replay.batch_execute(statement).await;
        done.expect("the standby is never touched");
    }
}
