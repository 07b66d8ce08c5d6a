//! The event formats: each file reads one, [`shapes`] tells them apart, [`cloudevents`]
//! looks into envelopes around them, and [`detect`] begins with the bytes.
//!
//! What each can give, and what surprises in it, is in the manual's page on formats.

pub mod canal;
pub mod cloudevents;
pub mod cockroach;
pub mod debezium;
pub mod debezium_flat;
pub mod debezium_rows;
pub mod detect;
pub mod fields;
pub mod maxwell;
pub mod message;
pub mod native;
pub mod pgstream;
pub mod received;
pub mod row;
pub mod sequin;
pub mod shapes;
pub mod time;
pub mod wal2json;
pub mod wal_listener;
