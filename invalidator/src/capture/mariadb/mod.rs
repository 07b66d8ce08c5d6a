//! The changes of a MariaDB, out of its binary log:
//!
//! ```toml
//! [mariadb]
//! url = "mariadb://capture@db.example:3306"   # and more, see [`crate::at`]
//! tables = ["shop.users", "shop.order_*"]     # default: all
//! server_id = 4242             # a number that no other replica of it has
//! barrier = true               # an event waits until readers see its transaction
//! heartbeat = "10s"            # so often an event says how far it came
//!
//! [events]
//! url = "nats://127.0.0.1:4222"
//! stream = "CDC"
//! prefix = "cdc"               # subjects are cdc.<database>.<table>
//! create_stream = false
//! keep = "7d"
//!
//! [admin]
//! address = "127.0.0.1:9466"
//! ```
//!
//! The server needs `log_bin`, `binlog_format = ROW`, and `binlog_row_image` and
//! `binlog_row_metadata = FULL`; the role needs `REPLICATION SLAVE` and `BINLOG MONITOR`.
//! With full images every event has the whole old row.
//!
//! Its log is kept by time (`binlog_expire_logs_seconds`), not for a reader: whoever is
//! away for longer finds a gap, and every cache is cleared. An event's place is that of
//! the first byte of its transaction, with the number of the file before it.
//!
//! What is told as if the whole table had changed: `TRUNCATE`, `DROP`, `RENAME` and
//! `ALTER TABLE`. What clears every cache: a dropped database, a statement that changes
//! rows and was not logged as rows, and the commit of an XA transaction, whose rows were
//! told when it was prepared.
//!
//! MySQL speaks the same protocol, but does not say which part of its log a reader sees;
//! there, `barrier = false` is the only way, and events may be early.

pub mod app;
pub mod reader;
pub mod run;
pub mod session;
pub mod settings;
pub mod statement;
pub mod value;
