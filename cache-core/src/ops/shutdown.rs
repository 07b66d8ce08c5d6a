//! The end of a service's life: one signal asks, a second one insists.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Which signal came, as the exit code that stands for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked(pub u8);

/// Hears SIGTERM and SIGINT.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Begins to hear them; from here on they do not end the process by themselves.
    ///
    /// # Errors
    /// The system's, if it has no room for handlers.
    pub fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// The next signal: 143 for SIGTERM, 130 for SIGINT.
    pub async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.terminate.recv() => Asked(143),
            _ = self.interrupt.recv() => Asked(130),
        }
    }
}
