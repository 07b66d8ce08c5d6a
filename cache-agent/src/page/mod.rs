//! The built-in page and its numbers, on the admin listener.

use crate::stats::Stats;
use axum::Router;
use axum::http::header;
use axum::response::{Html, IntoResponse, Json};
use axum::routing::get;
use std::sync::Arc;

/// One file, without anything from elsewhere: it works where there is no network.
const PAGE: &str = include_str!("index.html");
/// The page runs its own script and nothing else, and talks to its own agent.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; \
                      style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'";

/// The routes `/` and `/stats.json`; `look` takes one look at the agent.
pub fn router(look: Arc<dyn Fn() -> Stats + Send + Sync>) -> Router {
    let page = async || ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(PAGE));
    let stats = async move || {
        let stats = look();
        ([(header::CACHE_CONTROL, "no-store")], Json(stats)).into_response()
    };
    Router::new()
        .route("/", get(page))
        .route("/stats.json", get(stats))
}
