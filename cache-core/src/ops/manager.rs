//! What a service tells the service manager that started it (`sd_notify`): that it serves,
//! what it does, and that it lives.
//!
//! Without `NOTIFY_SOCKET` all of it does nothing.

use crate::ops::admin::NotReady;
use sd_notify::NotifyState;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{MissedTickBehavior, interval};

/// How often it is looked whether there is something else to say in the status line.
const LOOK: Duration = Duration::from_millis(500);
/// What a service is called that is ready.
const READY: &str = "ready";

/// The service manager, if there is one. Clones speak over one socket.
#[derive(Clone, Debug, Default)]
pub struct Manager {
    line: Option<Arc<Line>>,
    /// How long it waits for a sign of life.
    watchdog: Option<Duration>,
    /// Whether it could not be told that the service serves.
    owes_ready: Arc<AtomicBool>,
}

/// The variables by which a service manager says where it listens.
#[derive(Clone, Debug, Default)]
pub struct Variables {
    /// `NOTIFY_SOCKET`: a path, or a name that begins with `@`.
    pub socket: Option<OsString>,
    /// `WATCHDOG_USEC`: how long it waits for a sign of life, in microseconds.
    pub watchdog_usec: Option<OsString>,
    /// `WATCHDOG_PID`: whose sign of life it waits for; anybody's if it is absent.
    pub watchdog_pid: Option<OsString>,
}

#[derive(Debug)]
struct Line {
    socket: UnixDatagram,
    to: SocketAddr,
}

impl Manager {
    /// The one that these variables name, for the process `pid`.
    ///
    /// # Errors
    /// What cannot be the address of a socket, or the system's when it gives none.
    pub fn new(variables: &Variables, pid: u32) -> io::Result<Self> {
        let Some(name) = variables.socket.as_ref().filter(|name| !name.is_empty()) else {
            return Ok(Self::default());
        };
        let to = address(name)?;
        let socket = UnixDatagram::unbound()?;
        // A manager that does not listen must not hold the service up.
        socket.set_nonblocking(true)?;
        let text = |variable: &Option<OsString>| variable.as_ref()?.to_str()?.parse::<u64>().ok();
        let ours = text(&variables.watchdog_pid).is_none_or(|whose| whose == u64::from(pid));
        let usec = text(&variables.watchdog_usec).filter(|usec| ours && *usec > 0);
        Ok(Self {
            line: Some(Arc::new(Line { socket, to })),
            watchdog: usec.map(Duration::from_micros),
            owes_ready: Arc::default(),
        })
    }

    /// The service serves from here on.
    pub fn ready(&self) {
        let told = self.tell(&[NotifyState::Ready]);
        self.owes_ready.store(!told, Ordering::Release);
    }

    /// The service reads its configuration again, until [`Manager::ready`].
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => {
                self.tell(&[NotifyState::Reloading, now]);
            }
            Err(error) => tracing::warn!(%error, "the service manager is not told of a reload"),
        }
    }

    /// The service comes to its end, within `at_most`. A manager that grants more anyway
    /// goes on granting it.
    pub fn stopping(&self, at_most: Duration) {
        let usec = u32::try_from(at_most.as_micros()).unwrap_or(u32::MAX);
        self.owes_ready.store(false, Ordering::Release);
        self.tell(&[
            NotifyState::Stopping,
            NotifyState::Status("draining"),
            NotifyState::ExtendTimeoutUsec(usec),
        ]);
    }

    /// Says what keeps the service from being ready, when that changes, and twice in each
    /// span of the watchdog that it lives; for ever.
    ///
    /// The sign of life comes from the runtime that serves, so it stops when nothing is
    /// served any more. That Redis or NATS is away stops nothing.
    pub async fn attend(self, not_ready: NotReady) {
        if self.line.is_none() {
            return std::future::pending().await;
        }
        let every = self.watchdog.map_or(LOOK, |span| LOOK.min(span / 2));
        // A timer of zero length is a panic.
        let mut tick = interval(every.max(Duration::from_millis(1)));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut said = None;
        let mut fed = None;
        loop {
            let now = tick.tick().await;
            // Its queue was full; without this word it ends the service.
            if self.owes_ready.load(Ordering::Acquire) {
                self.ready();
            }
            let status = not_ready().unwrap_or_else(|| READY.to_owned());
            if said.as_ref() != Some(&status) {
                // One line: a new one would begin another message.
                let line = status.replace('\n', "; ");
                if self.tell(&[NotifyState::Status(&line)]) {
                    said = Some(status);
                }
            }
            let Some(span) = self.watchdog else { continue };
            // A tick early rather than a tick late.
            if fed.is_none_or(|fed| now.duration_since(fed) + every >= span / 2) {
                self.tell(&[NotifyState::Watchdog]);
                fed = Some(now);
            }
        }
    }

    /// Whether nothing is left to be told.
    fn tell(&self, all: &[NotifyState<'_>]) -> bool {
        let Some(line) = &self.line else { return true };
        let text: Vec<_> = all.iter().map(ToString::to_string).collect();
        let sent = line
            .socket
            .send_to_addr(text.join("\n").as_bytes(), &line.to);
        if let Err(error) = &sent {
            tracing::warn!(%error, ?text, "the service manager could not be told");
        }
        sent.is_ok()
    }
}

/// A path, or with `@` a name that lies in no folder.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes().strip_prefix(b"@") {
        None => SocketAddr::from_pathname(name),
        Some(name) => abstract_address(name),
    }
}

#[cfg(target_os = "linux")]
fn abstract_address(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn abstract_address(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}
