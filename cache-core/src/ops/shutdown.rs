//! Signals: one asks for the end of a service's life, a second one insists, and another
//! kind asks it to read its configuration again.

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

/// Hears SIGHUP.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// Begins to hear it; from here on it does not end the process. For services only:
    /// whoever runs at a terminal ends with it.
    ///
    /// # Errors
    /// The system's, if it has no room for a handler.
    pub fn new() -> std::io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// The next one. Several that came meanwhile are one.
    pub async fn next(&mut self) {
        self.0.recv().await;
    }
}
