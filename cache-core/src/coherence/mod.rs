//! How a change goes out (`announce`), comes in (`apply`), and how a process
//! knows that nothing was missed (`listen`, `heartbeat`, `inspect`).

pub mod announce;
pub mod apply;
pub mod heartbeat;
pub mod inspect;
pub mod listen;
pub mod retry;
pub mod voice;
