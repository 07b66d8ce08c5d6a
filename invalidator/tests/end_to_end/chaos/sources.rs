//! Where a library process loads from: the primary, or a hot standby that says how far
//! it has replayed.

use crate::rows::{self, Source};
use cache_core::model::as_of::AsOf;
use cache_core::model::position::Position;
use cache_core::random::{Random, SystemRandom};
use cache_core::source::{Cause, Loaded, Wanted};
use cache_core::testkit::until::pace;
use std::sync::Arc;
use std::time::Duration;
use tokio_postgres::{Client, Statement};

/// Value and place from one statement: the relay writes the place of an event only
/// after the commit that it is about.
const STANDBY: &str = "SELECT users.version, progress.epoch, progress.place \
    FROM users, progress WHERE users.id = $1";

/// A process's connections to the database.
#[derive(Clone)]
pub(crate) struct Sources {
    primary: Arc<Source>,
    standby: Option<Arc<(Client, Statement)>>,
}

impl Sources {
    /// Connects; with a `standby`, half of the loads are read there.
    pub(crate) async fn connect(primary: &str, standby: Option<&str>) -> Self {
        let standby = match standby {
            Some(at) => {
                let client = rows::connect(at).await;
                let query = client.prepare(STANDBY).await.expect("the tables are there");
                Some(Arc::new((client, query)))
            }
            None => None,
        };
        Self {
            primary: Arc::new(Source::connect(primary).await),
            standby,
        }
    }

    /// Loads what a cache asks for.
    pub(crate) async fn load(&self, wanted: Wanted<u64>) -> Result<Loaded<u64>, Cause> {
        let row: i64 = wanted.text()["user:".len()..].parse()?;
        let loaded = self.load_row(row).await?;
        match loaded.as_of {
            // The standby has not come far enough.
            AsOf::Position(at) if at < wanted.at_least => self.load_primary(row).await,
            _ => Ok(loaded),
        }
    }

    /// Loads a row from either.
    pub(crate) async fn load_row(&self, row: i64) -> Result<Loaded<u64>, Cause> {
        let standby = self.standby.as_ref();
        if let Some(standby) = standby.filter(|_| SystemRandom.next().is_multiple_of(2))
            // A query that replay cancels is the primary's.
            && let Ok(found) = standby.0.query_one(&standby.1, &[&row]).await
        {
            let epoch = found.get::<_, i64>(1) as u32;
            let at = Position::new(epoch, found.get::<_, i64>(2) as u64, 0);
            let loaded = Loaded::value(found.get::<_, i64>(0) as u64);
            return Ok(loaded.read_at(AsOf::Position(at)));
        }
        self.load_primary(row).await
    }

    /// Now and then slowly, so that changes come in between.
    async fn load_primary(&self, row: i64) -> Result<Loaded<u64>, Cause> {
        let version = self.primary.version(row).await?;
        let draw = SystemRandom.next();
        if draw.is_multiple_of(8) {
            pace(Duration::from_millis(draw % 20)).await;
        }
        Ok(Loaded::value(version))
    }
}

/// Makes the table in which the relay says how far it is.
pub(crate) async fn create_progress(client: &Client) {
    let table = "CREATE TABLE progress (epoch bigint, place bigint); \
        INSERT INTO progress VALUES (0, 0)";
    client
        .batch_execute(table)
        .await
        .expect("the table is made");
}
