//! Free loopback ports that stay ours.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::{env, process};

use parking_lot::Mutex;

use super::ServerError;

/// Below the range from which systems hand out ports to outgoing connections:
/// none of those can take the port of a server that is down for a moment.
const FIRST: u32 = 15_000;
const COUNT: u32 = 13_000;

/// Ports tried before giving up.
const TRIES: u32 = 400;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A loopback port reserved across processes until it is dropped.
#[derive(Debug)]
pub(super) struct Port {
    number: u16,
    /// Keeps other programs away until the server starts.
    listener: Mutex<Option<TcpListener>>,
    /// Keeps other tests away while the server lives or is to be restarted.
    _lock: File,
}

impl Port {
    /// Finds a port that nobody listens on and no other test has reserved.
    pub(super) fn reserve() -> Result<Self, ServerError> {
        let folder = lock_folder()?;
        for _ in 0..TRIES {
            let step = NEXT.fetch_add(1, Ordering::Relaxed);
            let offset = process::id().wrapping_mul(101).wrapping_add(step) % COUNT;
            let number = u16::try_from(FIRST + offset).unwrap_or(u16::MAX);
            let file = folder.join(number.to_string());
            let lock = File::create(&file)
                .map_err(ServerError::io(format!("creating {}", file.display())))?;
            if lock.try_lock().is_err() {
                continue;
            }
            if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, number)) {
                return Ok(Self {
                    number,
                    listener: Mutex::new(Some(listener)),
                    _lock: lock,
                });
            }
        }
        Err(ServerError::NoPort { tried: TRIES })
    }

    pub(super) fn number(&self) -> u16 {
        self.number
    }

    /// Makes room for the server: to be called just before it starts.
    pub(super) fn free(&self) {
        self.listener.lock().take();
    }
}

/// One folder per user, since one user's lock files are closed to another.
fn lock_folder() -> Result<PathBuf, ServerError> {
    let user = fs::metadata("/proc/self").map_or(0, |me| me.uid());
    let folder = env::temp_dir().join(format!("cacheaside-test-ports-{user}"));
    fs::create_dir_all(&folder)
        .map_err(ServerError::io(format!("creating {}", folder.display())))?;
    Ok(folder)
}
