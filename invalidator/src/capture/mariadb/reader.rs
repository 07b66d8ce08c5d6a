//! Turns the binary log into events, each with its place.

use crate::capture::event;
use crate::capture::mariadb::settings::Server;
use crate::capture::mariadb::statement::{Effect, effect};
use crate::capture::mariadb::value::{Charsets, Of};
use crate::capture::pgoutput::{Column, Datum, Old, Relation, RowMessage};
use crate::capture::place::Place;
use crate::capture::reader::{Batch, Outgoing};
use crate::change::TableName;
use crate::pattern::TablePattern;
use bytes::Bytes;
use mysql_async::binlog::events::{
    Event, EventData, OptionalMetadataField, RowsEventData, TableMapEvent,
};
use mysql_async::binlog::row::BinlogRow;
use mysql_async::consts::{ColumnFlags, ColumnType};

/// The events of MariaDB that hold others, compressed.
const COMPRESSED: std::ops::RangeInclusive<u8> = 165..=171;

/// What makes no sense, or cannot be read; why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the binary log cannot be read: {0}")]
pub struct Unreadable(pub String);

/// Reads one session of replication.
#[derive(Debug)]
pub struct Reader {
    prefix: String,
    tables: Vec<TablePattern>,
    charsets: Charsets,
    /// The stream has everything up to here.
    stored: Place,
    /// Where the transaction begins that is being read, and the last event of it.
    last: Place,
    /// Whether it has begun.
    is_open: bool,
    /// When the file was begun, which tells files of one name apart.
    created: u32,
}

impl Reader {
    /// Reads what comes after the event at `stored`, from the beginning of its
    /// transaction on.
    pub fn new(prefix: &str, server: &Server, charsets: Charsets, stored: Place) -> Self {
        Self {
            prefix: prefix.to_owned(),
            tables: server.tables.clone(),
            charsets,
            stored,
            last: Place {
                lsn: stored.lsn,
                index: 0,
            },
            is_open: false,
            created: 0,
        }
    }

    /// When the file that is being read was begun.
    pub fn created(&self) -> u32 {
        self.created
    }

    /// Where it began to read.
    pub fn begun(&self) -> u64 {
        self.stored.lsn
    }

    /// Where a heartbeat belongs, unless a transaction is being read.
    pub fn quiet(&self) -> Option<Place> {
        (!self.is_open).then_some(self.last)
    }

    /// Adds what the log says to `batch`; `map` has the tables that rows are of.
    ///
    /// # Errors
    /// When it makes no sense: what came before may have been misread too.
    pub fn read<'m>(
        &mut self,
        sent: &Event,
        map: impl FnOnce(u64) -> Option<&'m TableMapEvent<'static>>,
        batch: &mut Batch,
    ) -> Result<(), Unreadable> {
        let header = sent.header();
        if COMPRESSED.contains(&header.event_type_raw()) {
            let why = "it is compressed; SET GLOBAL log_bin_compress = OFF";
            return Err(Unreadable(why.to_owned()));
        }
        let data = sent
            .read_data()
            .map_err(|error| Unreadable(error.to_string()))?;
        let committed_ms = u64::from(header.timestamp()) * 1_000;
        match data {
            Some(EventData::FormatDescriptionEvent(_)) => self.created = header.timestamp(),
            // The first one says where it was begun to be read, in a way that differs
            // between servers.
            Some(EventData::RotateEvent(_)) if self.created == 0 => {}
            Some(EventData::RotateEvent(rotate)) => {
                let file = number(&rotate.name());
                let file = file.ok_or_else(|| Unreadable("a file without a number".to_owned()))?;
                self.last = Place {
                    lsn: at(file, rotate.position()),
                    index: 0,
                };
                self.is_open = false;
            }
            Some(EventData::XidEvent(_)) => self.end(header.log_pos(), committed_ms, batch),
            Some(EventData::QueryEvent(query)) => {
                let told = effect(&query.query(), &query.schema());
                self.statement(told, header.log_pos(), committed_ms, batch);
            }
            Some(EventData::RowsEvent(rows)) => {
                let map = map(rows.table_id());
                let map = map.ok_or_else(|| Unreadable("rows of an unknown table".to_owned()))?;
                self.rows(&rows, map, committed_ms, batch)?;
            }
            Some(EventData::TransactionPayloadEvent(_)) => {
                let why = "it is compressed; SET GLOBAL binlog_transaction_compression = OFF";
                return Err(Unreadable(why.to_owned()));
            }
            Some(EventData::IncidentEvent(_)) => {
                let lost = event::lost("the server lost a part of its binary log");
                self.push("lost", lost, batch);
            }
            _ => {}
        }
        Ok(())
    }

    fn statement(&mut self, told: Effect, log_pos: u32, committed_ms: u64, batch: &mut Batch) {
        match told {
            Effect::Begin => self.is_open = true,
            Effect::End => self.end(log_pos, committed_ms, batch),
            Effect::Nothing => {}
            Effect::Tables(tables) => {
                for (schema, table) in tables {
                    let relation = Relation {
                        id: 0,
                        schema,
                        table,
                        columns: Vec::new(),
                    };
                    if self.is_wanted(&relation) {
                        let payload = event::truncate(&relation, committed_ms);
                        self.push_of(&relation, payload, batch);
                    }
                }
                self.end_alone(log_pos, committed_ms, batch);
            }
            Effect::Unknown(why) => {
                self.push("lost", event::lost(why), batch);
                self.end_alone(log_pos, committed_ms, batch);
            }
        }
    }

    /// A statement outside a transaction is one by itself.
    fn end_alone(&mut self, log_pos: u32, committed_ms: u64, batch: &mut Batch) {
        if !self.is_open {
            self.end(log_pos, committed_ms, batch);
        }
    }

    fn end(&mut self, log_pos: u32, committed_ms: u64, batch: &mut Batch) {
        batch.transactions += 1;
        batch.committed_ms = Some(committed_ms);
        self.is_open = false;
        let next = at(self.last.lsn >> 32, u64::from(log_pos));
        // In a file beyond 4 GiB places wrap around. Then everything up to its end is
        // counted as one transaction.
        if next > self.last.lsn {
            self.last = Place {
                lsn: next,
                index: 0,
            };
        }
    }

    fn rows(
        &mut self,
        rows: &RowsEventData<'_>,
        map: &TableMapEvent<'_>,
        committed_ms: u64,
        batch: &mut Batch,
    ) -> Result<(), Unreadable> {
        let mut relation = Relation {
            id: 0,
            schema: map.database_name().into_owned(),
            table: map.table_name().into_owned(),
            columns: Vec::new(),
        };
        if !self.is_wanted(&relation) {
            return Ok(());
        }
        let wrong = |error: std::io::Error| Unreadable(error.to_string());
        let words = words(map).map_err(wrong)?;
        for row in rows.rows(map) {
            let (old, new) = row.map_err(wrong)?;
            if let (true, Some(row)) = (relation.columns.is_empty(), old.as_ref().or(new.as_ref()))
            {
                relation.columns = columns(row)?;
            }
            let tuple = |row: BinlogRow| self.tuple(&row, &words);
            let (old, new) = (old.map(tuple), new.map(tuple));
            let message = RowMessage {
                relation: 0,
                is_update: old.is_some() && new.is_some(),
                old: old.map(|tuple| Old {
                    is_whole: true,
                    tuple,
                }),
                new,
            };
            let payload = event::row(&relation, &message, committed_ms);
            let payload = payload.map_err(|error| Unreadable(error.to_string()))?;
            self.push_of(&relation, payload, batch);
        }
        Ok(())
    }

    fn tuple(&self, row: &BinlogRow, words: &[Vec<String>]) -> Vec<Datum> {
        let mut words = words.iter();
        let columns = row.columns_ref().iter().enumerate();
        let cells = columns.map(|(index, column)| {
            let kind = column.column_type();
            let is_enum = kind == ColumnType::MYSQL_TYPE_ENUM;
            let of = Of {
                kind,
                collation: column.character_set(),
                words: is_enum.then(|| words.next()).flatten().map(Vec::as_slice),
            };
            let value = row.as_ref(index);
            value.map_or(Datum::Unknown, |value| self.charsets.datum(value, of))
        });
        cells.collect()
    }

    fn is_wanted(&self, relation: &Relation) -> bool {
        let name = TableName {
            database: None,
            schema: relation.schema.clone(),
            table: relation.table.clone(),
        };
        self.tables.is_empty() || self.tables.iter().any(|pattern| pattern.fits(&name))
    }

    fn push_of(&mut self, relation: &Relation, payload: Bytes, batch: &mut Batch) {
        let subject = event::subject(&self.prefix, relation);
        self.add(subject, payload, batch);
    }

    fn push(&mut self, token: &str, payload: Bytes, batch: &mut Batch) {
        self.add(format!("{}.{token}", self.prefix), payload, batch);
    }

    fn add(&mut self, subject: String, payload: Bytes, batch: &mut Batch) {
        self.last.index += 1;
        if self.last <= self.stored {
            batch.skipped += 1;
            return;
        }
        batch.events.push(Outgoing {
            place: self.last,
            subject,
            payload,
        });
    }
}

/// A place in the file with this number.
pub fn at(file: u64, position: u64) -> u64 {
    file << 32 | position.min(u64::from(u32::MAX))
}

/// The number of a file, as 17 of `binlog.000017`.
pub fn number(file: &str) -> Option<u64> {
    file.rsplit_once('.')?.1.parse().ok()
}

fn columns(row: &BinlogRow) -> Result<Vec<Column>, Unreadable> {
    let columns = row.columns_ref().iter().map(|column| {
        let name = column.name_str();
        if name.starts_with('@') {
            let why = "it has no names of columns; SET GLOBAL binlog_row_metadata = FULL";
            return Err(Unreadable(why.to_owned()));
        }
        Ok(Column {
            name: name.as_ref().into(),
            is_identity: column.flags().contains(ColumnFlags::PRI_KEY_FLAG),
            is_bool: false,
        })
    });
    columns.collect()
}

/// The words of each enumeration, in the order of their columns.
fn words(map: &TableMapEvent<'_>) -> std::io::Result<Vec<Vec<String>>> {
    let mut all = Vec::new();
    for field in map.iter_optional_meta() {
        if let OptionalMetadataField::EnumStrValue(enums) = field? {
            for words in enums.iter_values() {
                let words = words?;
                let words = words.values().iter();
                all.push(words.map(|word| word.value().into_owned()).collect());
            }
        }
    }
    Ok(all)
}
