//! What the two services share beside caching: telemetry, the end of life, the service
//! manager, and the admin listener.

pub mod admin;
pub mod exit;
pub mod manager;
pub mod shutdown;
pub mod telemetry;
