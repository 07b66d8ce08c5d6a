//! The table in Postgres, and the change events an application makes of it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio_postgres::{Client, NoTls, Statement};

/// How many rows change.
pub(crate) const ROWS: i64 = 20;

/// A connection of its own.
pub(crate) async fn connect(at: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(at, NoTls)
        .await
        .expect("Postgres is up");
    tokio::spawn(connection);
    client
}

/// Makes the table, with so many rows at version 1.
pub(crate) async fn create(client: &Client, rows: i64) {
    let table = "CREATE TABLE IF NOT EXISTS users \
        (id bigint PRIMARY KEY, name text, team_id bigint, version bigint)";
    client
        .batch_execute(table)
        .await
        .expect("the table is made");
    let fill = "INSERT INTO users SELECT id, 'user', 1, 1 FROM generate_series(0, $1::bigint) AS id \
        ON CONFLICT DO NOTHING";
    client
        .execute(fill, &[&(rows - 1)])
        .await
        .expect("the rows are made");
}

/// A connection that reads rows, by one prepared statement.
pub(crate) struct Source {
    client: Client,
    version: Statement,
}

impl Source {
    /// Connects; the table must be there.
    pub(crate) async fn connect(at: &str) -> Self {
        let client = connect(at).await;
        let query = "SELECT version FROM users WHERE id = $1";
        let version = client.prepare(query).await.expect("the table is there");
        Self { client, version }
    }

    pub(crate) async fn version(&self, row: i64) -> Result<u64, tokio_postgres::Error> {
        let found = self.client.query_one(&self.version, &[&row]).await?;
        Ok(found.get::<_, i64>(0) as u64)
    }
}

/// Commits the next version of a row; returns it and the moment of the commit.
pub(crate) async fn change(client: &Client, row: i64) -> (u64, u64) {
    let update = "UPDATE users SET version = version + 1 WHERE id = $1 RETURNING version";
    let updated = client
        .query_one(update, &[&row])
        .await
        .expect("the row is updated");
    (updated.get::<_, i64>(0) as u64, wall_us())
}

/// The change as Debezium tells it of a table with `REPLICA IDENTITY FULL`.
pub(crate) fn event(row: i64, version: u64, committed_us: u64) -> String {
    serde_json::json!({
        "payload": {
            "before": { "id": row, "name": "user", "team_id": 1, "version": version - 1 },
            "after": { "id": row, "name": "user", "team_id": 1, "version": version },
            "source": {
                "connector": "postgresql", "db": "postgres",
                "schema": "public", "table": "users", "lsn": 24_023_128,
            },
            "op": "u",
            "ts_ms": committed_us / 1_000,
        }
    })
    .to_string()
}

pub(crate) fn key(row: i64) -> String {
    format!("user:{row}")
}

/// Microseconds of the machine's wall clock, which all its processes share.
#[expect(
    clippy::disallowed_methods,
    reason = "lags are measured across processes"
)]
pub(crate) fn wall_us() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO);
    since.as_micros() as u64
}
