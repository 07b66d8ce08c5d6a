//! The table, with the version that each row was written with, and all that was ever
//! written to it.

use crate::rows;
use cache_core::{BulkWriter, Due, Loaded, WriteError};
use std::collections::HashMap;
use tokio::sync::Mutex;
use tokio_postgres::{Client, Statement};

const TABLES: &str = "
    CREATE TABLE orders (id bigint PRIMARY KEY, version bigint, value bigint);
    CREATE TABLE history (at bigserial, id bigint, version bigint, value bigint);
    CREATE TABLE statements (at bigserial)";

/// A row that has this version or a higher one is left alone. The history is part of the
/// same statement, and so of the same commit.
const WRITE: &str = "
    WITH due AS (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[])
            AS due (id, version, value)),
        statement AS (INSERT INTO statements DEFAULT VALUES),
        written AS (INSERT INTO orders AS o SELECT * FROM due
            ON CONFLICT (id) DO UPDATE
                SET version = excluded.version, value = excluded.value
                WHERE o.version < excluded.version
            RETURNING id, version, value)
    INSERT INTO history (id, version, value) SELECT * FROM written RETURNING id";

pub(crate) async fn create(client: &Client) {
    let made = client.batch_execute(TABLES).await;
    made.expect("the tables are made");
}

/// Writes batches over one connection, made anew when it breaks.
pub(crate) struct Writer {
    at: String,
    open: Mutex<Option<(Client, Statement)>>,
}

impl Writer {
    pub(crate) async fn connect(at: &str) -> Self {
        Self {
            at: at.to_owned(),
            open: Mutex::new(None),
        }
    }
}

#[async_trait::async_trait]
impl BulkWriter<u64> for Writer {
    async fn write_many(&self, due: Vec<Due<u64>>) -> Result<Vec<Option<Loaded<u64>>>, WriteError> {
        // Dropped on the way, by a timeout, the connection goes with it.
        let mut open = self.open.lock().await;
        let (client, statement) = match open.take() {
            Some(open) => open,
            None => {
                let client = rows::connect(&self.at).await;
                let statement = client.prepare(WRITE).await?;
                (client, statement)
            }
        };
        let id = |due: &Due<u64>| {
            let text = std::str::from_utf8(&due.key).expect("a number");
            text.parse::<i64>().expect("a number")
        };
        let ids: Vec<_> = due.iter().map(id).collect();
        let versions: Vec<_> = due.iter().map(|due| due.version as i64).collect();
        let value = |due: &Due<u64>| due.value.expect("nothing is deleted") as i64;
        let values: Vec<_> = due.iter().map(value).collect();
        let written = client.query(&statement, &[&ids, &versions, &values]).await;
        let written = written?;
        *open = Some((client, statement));
        let written: Vec<i64> = written.iter().map(|row| row.get(0)).collect();
        let answer = |due: &Due<u64>| written.contains(&id(due)).then(|| due.value.into());
        Ok(due.iter().map(answer).collect())
    }
}

/// The value of each row.
pub(crate) async fn rows(client: &Client) -> HashMap<i64, i64> {
    let rows = client.query("SELECT id, value FROM orders", &[]).await;
    let rows = rows.expect("Postgres is up");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Everything that was written, in its order: row, version, value.
pub(crate) async fn history(client: &Client) -> Vec<(i64, i64, i64)> {
    let query = "SELECT id, version, value FROM history ORDER BY at";
    let rows = client.query(query, &[]).await.expect("Postgres is up");
    let row = |row: &tokio_postgres::Row| (row.get(0), row.get(1), row.get(2));
    rows.iter().map(row).collect()
}

pub(crate) async fn statements(client: &Client) -> u64 {
    let count = client.query_one("SELECT count(*) FROM statements", &[]);
    let count: i64 = count.await.expect("Postgres is up").get(0);
    count as u64
}
