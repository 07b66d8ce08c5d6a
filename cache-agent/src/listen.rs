//! The doors of the API: a Unix socket, a loopback port, and one for clients of Redis.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// Who may connect to the socket by default: the owner and the group.
pub const MODE: u32 = 0o660;

/// Why a door could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another process answers at the socket.
    #[error("another process already listens on {0}")]
    Taken(PathBuf),
    /// Something that is no socket lies where the socket should be.
    #[error("{0} exists and is not a socket; remove it or choose another path")]
    NotASocket(PathBuf),
    /// The port or the path cannot be used.
    #[error("cannot listen on {at}: {source}")]
    Io {
        /// The address or path.
        at: String,
        /// What the system said.
        source: io::Error,
    },
}

/// A bound Unix socket, whose file goes when it is dropped.
#[derive(Debug)]
pub struct UnixDoor {
    listener: UnixListener,
    file: SocketFile,
}

/// The file of a socket; removed when dropped.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

/// Everything that is listened on.
#[derive(Debug)]
pub struct Doors {
    /// The API's Unix socket.
    pub unix: Option<UnixDoor>,
    /// The API's loopback port.
    pub tcp: Option<TcpListener>,
    /// The RESP door, on a loopback port.
    pub resp: Option<TcpListener>,
    /// The admin listener.
    pub admin: TcpListener,
    /// Where others read how it does, and nothing else.
    pub scrape: Option<TcpListener>,
}

impl UnixDoor {
    /// Binds the socket. A file left behind by a process that was killed is
    /// replaced; a living one is left alone.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub async fn bind(path: &Path) -> Result<Self, ListenError> {
        Self::bind_for(path, MODE).await
    }

    /// The same, for whom the mode lets connect.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub async fn bind_for(path: &Path, mode: u32) -> Result<Self, ListenError> {
        let failed = |source| ListenError::Io {
            at: path.display().to_string(),
            source,
        };
        match std::fs::symlink_metadata(path) {
            Ok(found) if !found.file_type().is_socket() => {
                return Err(ListenError::NotASocket(path.to_owned()));
            }
            Ok(_) if UnixStream::connect(path).await.is_ok() => {
                return Err(ListenError::Taken(path.to_owned()));
            }
            Ok(_) => std::fs::remove_file(path).map_err(failed)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(error)),
        }
        let listener = UnixListener::bind(path).map_err(failed)?;
        let file = SocketFile(path.to_owned());
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).map_err(failed)?;
        Ok(Self { listener, file })
    }

    /// The listener, and the file that must outlive it.
    pub fn open(self) -> (UnixListener, SocketFile) {
        (self.listener, self.file)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.file.0
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may be gone with its folder; then there is nothing to remove.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Binds a port.
///
/// # Errors
/// [`ListenError::Io`].
pub async fn tcp(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address)
        .await
        .map_err(|source| ListenError::Io {
            at: address.to_string(),
            source,
        })
}

/// Binds a port, or any free one if it is taken. Says whether it was.
///
/// # Errors
/// [`ListenError::Io`].
pub async fn tcp_or_free(mut address: SocketAddr) -> Result<(TcpListener, bool), ListenError> {
    match TcpListener::bind(address).await {
        Ok(listener) => Ok((listener, false)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            address.set_port(0);
            Ok((tcp(address).await?, true))
        }
        Err(source) => Err(ListenError::Io {
            at: address.to_string(),
            source,
        }),
    }
}
