//! Changes out of a table, for databases that grant no replication: the transaction that
//! changes a row writes what it makes invalid into the same database, by itself or by a
//! trigger, and this carries it into the stream.
//!
//! ```toml
//! [outbox]
//! url = "postgres://app@db.example:5432/shop"   # and more, see [`crate::at`]
//! table = "public.cacheaside_outbox"            # as `invalidator capture outbox-sql` makes it
//! batch = 500                                   # rows that are carried together
//! poll = "100ms"                                # the pause when there was no more
//!
//! [events]
//! url = "nats://127.0.0.1:4222"
//! stream = "CDC"
//! prefix = "outbox"                             # subjects are outbox.event
//! create_stream = false
//! keep = "7d"
//!
//! [admin]
//! address = "127.0.0.1:9466"
//! ```
//!
//! A row is deleted after the stream has stored its event, in the transaction that took
//! it: whoever dies in between leaves it to the next one. So an event may come twice, and
//! never not at all. Any number of instances may run; `SKIP LOCKED` shares the rows out.
//!
//! Nobody sees a row of the table before its transaction is visible to everybody. So no
//! event is early here, and nothing has to wait as in [`crate::capture::snapshot`].

pub mod app;
pub mod run;
pub mod series;
pub mod settings;
pub mod sql;
