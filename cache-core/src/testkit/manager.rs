//! A service manager that hears what a service tells it.

use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::net::UnixDatagram;

use super::until::{TimedOut, until};

/// The largest message, in bytes.
const MESSAGE_BYTES_MAX: usize = 4096;

/// A socket for `NOTIFY_SOCKET`, and all that was told over it.
#[derive(Debug)]
pub struct FakeManager {
    socket: UnixDatagram,
    path: PathBuf,
    told: Mutex<Vec<String>>,
    _folder: TempDir,
}

impl FakeManager {
    /// A socket in a folder of its own.
    ///
    /// # Errors
    /// The system's.
    pub fn new() -> io::Result<Self> {
        let folder = TempDir::new()?;
        let path = folder.path().join("notify");
        Ok(Self {
            socket: UnixDatagram::bind(&path)?,
            path,
            told: Mutex::default(),
            _folder: folder,
        })
    }

    /// Where services reach it.
    pub fn path(&self) -> &OsStr {
        self.path.as_os_str()
    }

    /// All messages up to here, oldest first.
    pub fn told(&self) -> Vec<String> {
        let mut buffer = [0; MESSAGE_BYTES_MAX];
        let mut told = self.told.lock();
        while let Ok(length) = self.socket.try_recv(&mut buffer) {
            told.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
        }
        told.clone()
    }

    /// Whether a message had this line.
    pub fn heard(&self, line: &str) -> bool {
        let told = self.told();
        told.iter().any(|all| all.lines().any(|one| one == line))
    }

    /// Waits for a message with this line.
    ///
    /// # Errors
    /// [`TimedOut`] after `within`.
    pub async fn hears(&self, line: &str, within: Duration) -> Result<(), TimedOut> {
        until(within, line, || async { self.heard(line) }).await
    }
}
