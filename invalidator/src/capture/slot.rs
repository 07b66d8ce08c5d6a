//! The replication slot and the publication: what must be there, and what it lacks.

use crate::capture::place::Lsn;
use crate::capture::session::{Session, is_true, place};
use crate::capture::settings::{Database, Table};
use cache_core::{Error, Kind};

const DOING: &str = "looking at the slot and the publication";

/// How the slot is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Whether it was made just now.
    pub is_new: bool,
    /// Whether somebody reads from it.
    pub is_taken: bool,
    /// Up to where the database may have forgotten its log.
    pub confirmed: u64,
    /// How many bytes of log the database keeps for it.
    pub retained: u64,
}

/// Sees to it that both are there and fit.
///
/// # Errors
/// [`Kind::Mismatch`] with the statement that mends it, where they do not;
/// [`Kind::Unavailable`] when the database does not answer.
pub async fn ready(session: &mut Session, database: &Database) -> Result<Slot, Error> {
    let level = session.ask(DOING, "SHOW wal_level").await?;
    if first(&level) != Some("logical") {
        return Err(unfit(
            database,
            "`wal_level` must be logical: ALTER SYSTEM SET wal_level = logical, and restart",
        ));
    }
    publication(session, database).await?;
    if let Some(slot) = look(session, database).await? {
        return Ok(slot);
    }
    let name = &database.slot;
    if !database.create {
        return Err(unfit(
            database,
            format!(
                "there is no slot; write `create = true`, or run \
                 SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')"
            ),
        ));
    }
    tracing::info!(name, "making the slot, as soon as older transactions end");
    let make = format!("SELECT pg_create_logical_replication_slot('{name}', 'pgoutput')");
    session.ask_for_long("making the slot", &make).await?;
    let made = look(session, database).await?;
    let made = made.ok_or_else(|| unfit(database, "the slot that was made is not there"))?;
    Ok(Slot {
        is_new: true,
        ..made
    })
}

/// How the slot is, if there is one.
///
/// # Errors
/// [`Kind::Mismatch`] when it is no slot for a capture of this database, or its log is
/// gone; [`Kind::Unavailable`] when the database does not answer.
pub async fn look(session: &mut Session, database: &Database) -> Result<Option<Slot>, Error> {
    let name = &database.slot;
    let rows = session
        .ask(
            DOING,
            &format!(
                "SELECT plugin = 'pgoutput' AND database = current_database(), active, \
                 confirmed_flush_lsn, pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)::bigint, \
                 wal_status = 'lost' FROM pg_replication_slots WHERE slot_name = '{name}'"
            ),
        )
        .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    if !is_true(row.first()) {
        return Err(unfit(
            database,
            format!("the slot {name} is not one of pgoutput in this database; choose another"),
        ));
    }
    let is_taken = is_true(row.get(1));
    let retained = row.get(3).and_then(|cell| cell.as_deref()?.parse().ok());
    // Whoever makes a slot has taken it, and it has no place yet.
    let confirmed = place(row.get(2)).or(is_taken.then_some(0));
    let (Some(confirmed), false) = (confirmed, is_true(row.get(4))) else {
        return Err(unfit(
            database,
            format!(
                "the database has removed the log that the slot needs; run \
                 SELECT pg_drop_replication_slot('{name}'), and every cache is cleared once"
            ),
        ));
    };
    Ok(Some(Slot {
        is_new: false,
        is_taken,
        confirmed,
        retained: retained.unwrap_or(0),
    }))
}

async fn publication(session: &mut Session, database: &Database) -> Result<(), Error> {
    let name = &database.publication;
    let sql = format!(
        "SELECT pubinsert AND pubupdate AND pubdelete AND pubtruncate, pubviaroot, puballtables \
         FROM pg_publication WHERE pubname = '{name}'"
    );
    let found = session.ask(DOING, &sql).await?;
    let Some(row) = found.first() else {
        let make = create(database);
        return match database.create {
            true => session.ask("making the publication", &make).await.map(drop),
            false => Err(unfit(
                database,
                format!("there is no publication; write `create = true`, or run {make}"),
            )),
        };
    };
    if !is_true(row.first()) {
        return Err(unfit(
            database,
            format!(
                "the publication leaves changes out; run ALTER PUBLICATION \"{name}\" SET \
                 (publish = 'insert, update, delete, truncate')"
            ),
        ));
    }
    if !is_true(row.get(1)) {
        tracing::warn!(
            name,
            "rows of partitions come under the partition's name; ALTER PUBLICATION … SET \
             (publish_via_partition_root = true) gives them the table's"
        );
    }
    let sql =
        format!("SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = '{name}'");
    let published = session.ask(DOING, &sql).await?;
    let is_published = |schema: &str, table: &str| {
        published.iter().any(|row| {
            let [Some(of), Some(it)] = row.as_slice() else {
                return false;
            };
            of == schema && it == table
        })
    };
    let missing = database.tables.iter().find(|table| match table {
        Table::All => !is_true(row.get(2)),
        Table::Named { schema, table } => !is_published(schema, table),
    });
    match missing {
        None => Ok(()),
        Some(Table::All) => Err(unfit(
            database,
            format!("the publication {name} is not for all tables; name those that it has"),
        )),
        Some(table) => Err(unfit(
            database,
            format!(
                "the publication lacks a table; run ALTER PUBLICATION \"{name}\" ADD TABLE {}",
                table.quoted()
            ),
        )),
    }
}

/// The statement that makes the publication.
fn create(database: &Database) -> String {
    let tables: Vec<_> = database.tables.iter().map(Table::quoted).collect();
    let tables = match database.tables.as_slice() {
        [] | [Table::All] => "ALL TABLES".to_owned(),
        _ => format!("TABLE {}", tables.join(", ")),
    };
    format!(
        "CREATE PUBLICATION \"{}\" FOR {tables} WITH (publish_via_partition_root = true)",
        database.publication
    )
}

fn first(rows: &[crate::capture::session::Row]) -> Option<&str> {
    rows.first()?.first()?.as_deref()
}

fn unfit(database: &Database, hint: impl Into<String>) -> Error {
    Error::new(Kind::Mismatch, DOING, database.at.subject()).hint(hint.into())
}

impl Slot {
    /// Where the database may have forgotten its log, for people.
    pub fn confirmed(&self) -> Lsn {
        Lsn(self.confirmed)
    }
}
