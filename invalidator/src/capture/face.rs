//! What a capture shows to those who watch over it: series, and whether it is ready.

use crate::metrics::VERSION;
use crate::source::Link;
use cache_core::Error;
use cache_core::clock::SystemClock;
use cache_core::ops::admin::{self, Admin};
use cache_core::ops::process;
use parking_lot::RwLock;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Why something is not ready; nothing if it is.
pub type NotReady = Arc<RwLock<Option<String>>>;

/// What is shown.
#[derive(Debug)]
pub struct Face {
    registry: Registry,
    link: Link,
    not_ready: NotReady,
}

impl Face {
    /// Shows the connection and these series.
    pub fn new<S>(link: Link, series: impl FnOnce(&mut Registry) -> S) -> (Self, S) {
        let mut registry = Registry::default();
        process::register(&mut registry, Arc::new(SystemClock::new()), VERSION);
        let series = series(&mut registry);
        let face = Self {
            registry,
            link,
            not_ready: Arc::new(RwLock::new(Some("starting".to_owned()))),
        };
        (face, series)
    }

    /// Where to say what is waited for.
    pub fn not_ready(&self) -> NotReady {
        self.not_ready.clone()
    }

    /// Shows it for as long as `life` goes on.
    ///
    /// # Errors
    /// Those of `life`.
    pub async fn show_while(
        self,
        admin: TcpListener,
        life: impl Future<Output = Result<(), Error>>,
    ) -> Result<(), Error> {
        let Self {
            registry,
            link,
            not_ready,
        } = self;
        let shown = Admin {
            registry: Arc::new(registry),
            look: admin::no_parts(),
            not_ready: Arc::new(move || {
                let away = (!link.is_up()).then(|| "NATS is away".to_owned());
                not_ready.read().clone().or(away)
            }),
        };
        let close = CancellationToken::new();
        let closed = close.clone().cancelled_owned();
        let serving = tokio::spawn(admin::serve(admin, shown.router(), closed));
        let ended = life.await;
        close.cancel();
        // Whoever asks in this moment is told, or finds it gone.
        drop(serving);
        ended
    }
}
