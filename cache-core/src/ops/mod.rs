//! What the two services share beside caching: telemetry, the end of life, and the
//! admin listener.

pub mod admin;
pub mod exit;
pub mod shutdown;
pub mod telemetry;
