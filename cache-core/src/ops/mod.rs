//! What the two services share beside caching: telemetry, what the system knows of the
//! process, the end of life, the service manager, the admin listener and its page.

pub mod admin;
pub mod exit;
pub mod manager;
pub mod page;
pub mod process;
pub mod shutdown;
pub mod telemetry;
