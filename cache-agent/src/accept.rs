//! Connections to the port and to the Unix socket: so many at once to each, those to the
//! port encrypted if the settings say so, and only those of clients that begin to speak.

use bytes::{Buf, Bytes};
use cache_core::access::{Identity, Tls};
use parking_lot::Mutex;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::WebPkiClientVerifier;
use std::fmt::{self, Display};
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::{Connected, TcpConnectInfo, UdsConnectInfo};

/// How many connections there are at once by default: each costs some 100 KiB at worst,
/// and services share one for all their calls.
pub const CONNECTIONS_MAX: usize = 1024;
/// How long a client may take to begin to speak: long on any network, and short enough
/// that silent ones take no places.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long it is waited after the system refused to accept one.
const PAUSE: Duration = Duration::from_millis(50);
/// How often it is said that there are too many connections.
const SAY_EVERY: Duration = Duration::from_secs(60);
/// What every client of HTTP/2 says first, in bytes.
const PREFACE: usize = 24;

/// Who is accepted.
#[derive(Clone, Debug)]
pub struct Accept {
    /// How connections are encrypted, if they are.
    pub tls: Option<ServerTls>,
    /// How many there are at once, of each door.
    pub connections_max: usize,
    /// How long a client may take to begin to speak.
    pub patience: Duration,
}

/// The files of TLS, which are read at each connection. Clones share what was read last.
#[derive(Clone)]
pub struct ServerTls {
    own: Identity,
    client_ca: Option<PathBuf>,
    /// What the files came to when they were last good.
    last: Arc<Mutex<Arc<ServerConfig>>>,
}

/// A connection of a client that has begun to speak.
pub struct Accepted<I> {
    stream: Box<dyn Stream>,
    /// What was read before anybody asked for it.
    said: Bytes,
    from: I,
    _place: OwnedSemaphorePermit,
}

/// Connections of clients that have begun to speak; `I` tells whence each comes.
pub type Taken<I> = ReceiverStream<io::Result<Accepted<I>>>;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// What is listened on.
trait Door: Send + Sync + 'static {
    type Stream: Stream + Connected<ConnectInfo: Send> + 'static;

    /// The next connection.
    fn next(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

impl Door for TcpListener {
    type Stream = TcpStream;

    async fn next(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.accept().await?;
        // Answers are small and awaited one by one: never held back for more.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Door for UnixListener {
    type Stream = UnixStream;

    async fn next(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

impl Default for Accept {
    fn default() -> Self {
        Self {
            tls: None,
            connections_max: CONNECTIONS_MAX,
            patience: PATIENCE,
        }
    }
}

impl Accept {
    /// The connections to a port, until nobody takes them any more.
    pub fn from(self, listener: TcpListener) -> Taken<TcpConnectInfo> {
        self.take(listener)
    }

    /// The same to a Unix socket, which nothing encrypts: its file says who may connect.
    pub fn from_unix(self, listener: UnixListener) -> Taken<UdsConnectInfo> {
        let tls = None;
        Self { tls, ..self }.take(listener)
    }

    fn take<D: Door>(self, door: D) -> Taken<<D::Stream as Connected>::ConnectInfo> {
        let (sender, accepted) = mpsc::channel(1);
        tokio::spawn(async move {
            let places = Arc::new(Semaphore::new(self.connections_max));
            let mut said: Option<Instant> = None;
            loop {
                let stream = tokio::select! {
                    accepted = door.next() => accepted,
                    () = sender.closed() => return,
                };
                let stream = match stream {
                    Ok(stream) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(PAUSE).await;
                        continue;
                    }
                };
                let Ok(place) = places.clone().try_acquire_owned() else {
                    if said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
                        let most = self.connections_max;
                        tracing::warn!(most, "too many connections: more are closed at once");
                        said = Some(Instant::now());
                    }
                    continue;
                };
                let (accept, sender) = (self.clone(), sender.clone());
                tokio::spawn(async move {
                    let began = tokio::time::timeout(accept.patience, accept.begin(stream, place));
                    match began.await {
                        Ok(Ok(accepted)) => drop(sender.send(Ok(accepted)).await),
                        Ok(Err(error)) => tracing::debug!(%error, "a connection did not begin"),
                        Err(_) => tracing::debug!("a client did not begin to speak"),
                    }
                });
            }
        });
        ReceiverStream::new(accepted)
    }

    async fn begin<S>(
        &self,
        stream: S,
        place: OwnedSemaphorePermit,
    ) -> io::Result<Accepted<S::ConnectInfo>>
    where
        S: Stream + Connected + 'static,
    {
        let from = stream.connect_info();
        let mut stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(tls) => Box::new(TlsAcceptor::from(tls.now()).accept(stream).await?),
        };
        let mut preface = [0_u8; PREFACE];
        stream.read_exact(&mut preface).await?;
        Ok(Accepted {
            stream,
            said: Bytes::copy_from_slice(&preface),
            from,
            _place: place,
        })
    }
}

impl ServerTls {
    /// Shows `own`; with `client_ca`, only clients that it signed are let in.
    ///
    /// # Errors
    /// What is wrong with a file.
    pub fn new(own: Identity, client_ca: Option<PathBuf>) -> Result<Self, String> {
        let last = config(&own, client_ca.as_deref())?;
        Ok(Self {
            own,
            client_ca,
            last: Arc::new(Mutex::new(Arc::new(last))),
        })
    }

    /// What the files say at this moment, or what they last said that was good.
    fn now(&self) -> Arc<ServerConfig> {
        let mut last = self.last.lock();
        match config(&self.own, self.client_ca.as_deref()) {
            Ok(config) => *last = Arc::new(config),
            Err(problem) => tracing::warn!(problem, "the certificates from before go on"),
        }
        last.clone()
    }
}

fn config(own: &Identity, client_ca: Option<&Path>) -> Result<ServerConfig, String> {
    let wrong = |file: &Path, error: &dyn Display| format!("{}: {error}", file.display());
    let (chain, key) = own.read().map_err(|error| error.to_string())?;
    let provider = Arc::new(ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| error.to_string())?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(ca) => {
            let trusted = Tls {
                ca: Some(ca.to_owned()),
                ..Tls::default()
            };
            let roots = trusted.authorities().map_err(|error| error.to_string())?;
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = verifier.build().map_err(|error| wrong(ca, &error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder.with_single_cert(chain, key);
    let mut config = config.map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            let (cert, key) = (own.cert.display(), own.key.display());
            format!("{cert}: the key in {key} does not fit it; give both from one request")
        }
        other => wrong(&own.cert, &other),
    })?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

impl<I: Unpin> AsyncRead for Accepted<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.said.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, into);
        }
        let count = self.said.len().min(into.remaining());
        into.put_slice(&self.said[..count]);
        self.said.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<I: Unpin> AsyncWrite for Accepted<I> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<I: Clone + Send + Sync + 'static> Connected for Accepted<I> {
    type ConnectInfo = I;

    fn connect_info(&self) -> I {
        self.from.clone()
    }
}

impl<I: fmt::Debug> fmt::Debug for Accepted<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Accepted({:?})", self.from)
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls")
            .field("own", &self.own)
            .field("client_ca", &self.client_ca)
            .finish_non_exhaustive()
    }
}
