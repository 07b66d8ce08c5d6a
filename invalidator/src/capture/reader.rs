//! Turns what the database sends into events, each with its place.

use crate::capture::event;
use crate::capture::pgoutput::{self, Message, Relation, RowMessage, Unreadable};
use crate::capture::place::Place;
use crate::format::received::MESSAGE_PREFIX;
use bytes::Bytes;
use pgwire_replication::ReplicationEvent;
use std::collections::HashMap;

/// The prefix of messages that the capture itself writes into the log, so that it always
/// has something to confirm.
pub const BEAT_PREFIX: &str = "cacheaside.beat";
/// PostgreSQL counts from the year 2000: its beginning, in milliseconds since the epoch.
const POSTGRES_EPOCH_MS: i64 = 946_684_800_000;

/// An event on its way into the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// Its place.
    pub place: Place,
    /// Its subject.
    pub subject: String,
    /// What it says, in the native format.
    pub payload: Bytes,
}

/// Events that are stored together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The events, in commit order.
    pub events: Vec<Outgoing>,
    /// The transactions that must be visible before.
    pub xids: Vec<u32>,
    /// Up to where the log is not needed once these are stored.
    pub done: Option<u64>,
    /// How many transactions end in it.
    pub transactions: u64,
    /// How many events the stream has already.
    pub skipped: u64,
    /// When the last transaction in it was committed, in milliseconds since the epoch.
    pub committed_ms: Option<u64>,
}

/// Reads one session of replication.
#[derive(Debug)]
pub struct Reader {
    prefix: String,
    /// The stream has everything up to here.
    stored: Place,
    tables: HashMap<u32, Relation>,
    open: Option<Transaction>,
}

#[derive(Debug)]
struct Transaction {
    xid: u32,
    /// The place of its last event.
    last: Place,
    committed_ms: u64,
}

impl Reader {
    /// Reads events for subjects under `prefix`, behind the place `stored`.
    pub fn new(prefix: &str, stored: Place) -> Self {
        Self {
            prefix: prefix.to_owned(),
            stored,
            tables: HashMap::new(),
            open: None,
        }
    }

    /// Adds what the database sent to `batch`.
    ///
    /// # Errors
    /// When it makes no sense: what came before may have been misread too.
    pub fn read(&mut self, sent: ReplicationEvent, batch: &mut Batch) -> Result<(), Unreadable> {
        match sent {
            ReplicationEvent::Begin {
                final_lsn,
                xid,
                commit_time_micros,
            } => {
                let committed_ms = commit_time_micros / 1_000 + POSTGRES_EPOCH_MS;
                self.open = Some(Transaction {
                    xid,
                    last: Place {
                        lsn: final_lsn.as_u64(),
                        index: 0,
                    },
                    committed_ms: committed_ms.try_into().unwrap_or(0),
                });
            }
            ReplicationEvent::Commit { .. } => self.commit(batch)?,
            ReplicationEvent::XLogData { data, .. } => self.change(data, batch)?,
            ReplicationEvent::Message {
                transactional,
                lsn,
                prefix,
                content,
            } => match (prefix.as_str(), transactional) {
                (MESSAGE_PREFIX, true) => {
                    let subject = format!("{}.message", self.prefix);
                    self.push(subject, event::message(&content), batch)?;
                }
                (MESSAGE_PREFIX, false) => {
                    self.alone(lsn.as_u64(), "message", event::message(&content), batch);
                }
                (BEAT_PREFIX, _) => self.alone(lsn.as_u64(), "beat", event::beat(), batch),
                _ => {}
            },
            ReplicationEvent::KeepAlive { .. } | ReplicationEvent::StoppedAt { .. } => {}
        }
        Ok(())
    }

    fn commit(&mut self, batch: &mut Batch) -> Result<(), Unreadable> {
        let ended = self.open.take();
        let ended = ended.ok_or(Unreadable("the end of a transaction that did not begin"))?;
        batch.transactions += 1;
        batch.committed_ms = Some(ended.committed_ms);
        // Only what the stream has a place of is ever confirmed, see `resume`.
        if ended.last.index > 0 {
            batch.done = Some(ended.last.lsn);
        }
        Ok(())
    }

    fn change(&mut self, data: Bytes, batch: &mut Batch) -> Result<(), Unreadable> {
        match pgoutput::parse(data)? {
            Message::Relation(relation) => {
                self.tables.insert(relation.id, relation);
                Ok(())
            }
            Message::Row(row) => self.row(&row, batch),
            Message::Truncate(ids) => ids.into_iter().try_for_each(|id| {
                let (subject, payload) = {
                    let relation = self.table(id)?;
                    let payload = event::truncate(relation, self.committed_ms());
                    (event::subject(&self.prefix, relation), payload)
                };
                self.push(subject, payload, batch)
            }),
            Message::Other => Ok(()),
        }
    }

    fn row(&mut self, row: &RowMessage, batch: &mut Batch) -> Result<(), Unreadable> {
        let relation = self.table(row.relation)?;
        let subject = event::subject(&self.prefix, relation);
        let payload = event::row(relation, row, self.committed_ms())?;
        self.push(subject, payload, batch)
    }

    fn table(&self, id: u32) -> Result<&Relation, Unreadable> {
        let table = self.tables.get(&id);
        table.ok_or(Unreadable("a row of a table that was not described"))
    }

    fn committed_ms(&self) -> u64 {
        self.open.as_ref().map_or(0, |open| open.committed_ms)
    }

    /// Adds an event of the transaction that is open.
    fn push(
        &mut self,
        subject: String,
        payload: Bytes,
        batch: &mut Batch,
    ) -> Result<(), Unreadable> {
        let open = self.open.as_mut();
        let open = open.ok_or(Unreadable("a change outside a transaction"))?;
        open.last.index += 1;
        if open.last <= self.stored {
            batch.skipped += 1;
            return Ok(());
        }
        if batch.xids.last() != Some(&open.xid) {
            batch.xids.push(open.xid);
        }
        batch.events.push(Outgoing {
            place: open.last,
            subject,
            payload,
        });
        Ok(())
    }

    /// Adds an event that belongs to no transaction.
    fn alone(&mut self, lsn: u64, token: &str, payload: Bytes, batch: &mut Batch) {
        let place = Place { lsn, index: 0 };
        batch.done = Some(lsn);
        if place <= self.stored {
            batch.skipped += 1;
            return;
        }
        batch.events.push(Outgoing {
            place,
            subject: format!("{}.{token}", self.prefix),
            payload,
        });
    }
}
