//! The event formats: each file reads one, [`detect`] tells them apart.

pub mod base64;
pub mod debezium;
pub mod detect;
pub mod fields;
pub mod message;
pub mod native;
pub mod received;
pub mod row;
