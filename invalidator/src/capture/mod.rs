//! Change data capture: the changes of a PostgreSQL database, straight into JetStream.
//!
//! ```text
//! replication slot -> reader (pgoutput, rows to events) -> barrier (is it visible?)
//!                  -> journal (the stream, in commit order) -> confirm (release WAL)
//! ```
//!
//! | to know | read |
//! | --- | --- |
//! | what is sent by the database | [`pgoutput`] |
//! | what is written into the stream | [`event`], [`reader`] |
//! | why an event waits before it is written | [`snapshot`] |
//! | how order and numbers are kept, and zombies fenced | [`journal`] |
//! | where it goes on after a crash, and when that is impossible | [`resume`] |
//! | when the database may forget its log | [`confirm`] |
//! | the slot and the publication | [`slot`], [`session`] |
//! | the file and the series | [`settings`], [`series`] |
//! | the same of a MariaDB | [`mariadb`] |
//! | what a table holds, where there is no replication | [`outbox`] |
//! | how it all runs | [`run`], [`app`] |
//!
//! Nothing is kept but in the stream itself: its last event says how far the capture
//! came. So there is no second place that could say something else after a crash.

pub mod again;
pub mod app;
pub mod confirm;
pub mod event;
pub mod face;
pub mod journal;
pub mod mariadb;
pub mod outbox;
pub mod pgoutput;
pub mod place;
pub mod reader;
pub mod resume;
pub mod run;
pub mod series;
pub mod session;
pub mod settings;
pub mod slot;
pub mod snapshot;
pub mod stream;
