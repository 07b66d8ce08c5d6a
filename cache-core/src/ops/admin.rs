//! The admin listener: `/live`, `/ready`, `/metrics`. Each service adds its own.

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use tokio::net::TcpListener;

/// Why a service is not ready; nothing if it is.
pub type NotReady = Arc<dyn Fn() -> Option<String> + Send + Sync>;

/// One look at the parts that a service works with.
pub type Look = Arc<dyn Fn() -> Pin<Box<dyn Future<Output = Vec<Part>> + Send>> + Send + Sync>;

/// A look that finds no parts: all there is to know is why the service is not ready.
pub fn no_parts() -> Look {
    Arc::new(|| Box::pin(async { Vec::new() }))
}

/// How one part is, whether or not the service is ready because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    name: String,
    said: Result<Option<String>, String>,
}

impl Part {
    /// It works.
    pub fn ok(name: impl Into<String>) -> Self {
        let name = name.into();
        let said = Ok(None);
        Self { name, said }
    }

    /// It works, and there is something to say of it.
    pub fn with(name: impl Into<String>, note: impl Into<String>) -> Self {
        let name = name.into();
        let said = Ok(Some(note.into()));
        Self { name, said }
    }

    /// It does not work.
    pub fn wrong(name: impl Into<String>, why: impl Into<String>) -> Self {
        let name = name.into();
        let said = Err(why.into());
        Self { name, said }
    }
}

/// One line, as in `redis: ok`.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, said } = self;
        let said = match said {
            Ok(None) => "ok".to_owned(),
            Ok(Some(note)) => format!("ok, {note}"),
            Err(why) => why.replace('\n', "; "),
        };
        write!(f, "{name}: {said}")
    }
}

/// What the admin listener shows.
#[derive(Clone)]
pub struct Admin {
    /// The series.
    pub registry: Arc<Registry>,
    /// Why the service is not ready; nothing if it is.
    pub not_ready: NotReady,
    /// What `/ready?verbose` looks at.
    pub look: Look,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}

impl Admin {
    /// The common routes.
    pub fn router(self) -> Router {
        Router::new()
            // Live means that the event loop answers. L2 being away must not
            // restart the service: it would come back to the same L2, but cold.
            .route("/live", get(async || "live\n"))
            .route("/ready", get(ready))
            .route("/metrics", get(metrics))
            .with_state(self)
    }
}

/// Serves until `shutdown` ends, and then what was already asked.
///
/// # Errors
/// The listener's.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    axum::serve(listener, router)
        .with_graceful_shutdown(shutdown)
        .await
}

/// With `?verbose`, how each part is; the code says the same as without.
async fn ready(State(admin): State<Admin>, RawQuery(query): RawQuery) -> (StatusCode, String) {
    let (code, mut text) = match (admin.not_ready)() {
        None => (StatusCode::OK, "ready\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    };
    let verbose = |query: &str| query.split('&').any(|it| it.starts_with("verbose"));
    if query.is_some_and(|query| verbose(&query)) {
        for part in (admin.look)().await {
            text += &format!("{part}\n");
        }
    }
    (code, text)
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let mut text = String::new();
    match encode(&mut text, &admin.registry) {
        Ok(()) => {
            let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, kind)], text).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
