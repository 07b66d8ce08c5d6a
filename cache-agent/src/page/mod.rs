//! The built-in page and its figures, on the admin listener.
//!
//! `/` is the page, `/page.json` what it asks for each second, `/explain.json` answers its one
//! question about a key. `/stats.json` is for scripts.

pub mod explain;
pub mod looked;
pub mod sight;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::header;
use axum::middleware;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use cache_core::ops::page::parts::{self, Page};
use looked::Looked;

/// The page itself.
pub const PAGE: Page = Page {
    html: include_str!("index.html"),
    scripts: &[
        ("agent.js", include_str!("agent.js")),
        ("counted.js", include_str!("counted.js")),
        ("explain.js", include_str!("explain.js")),
        ("tables.js", include_str!("tables.js")),
        ("trouble.js", include_str!("trouble.js")),
    ],
};

/// The routes of the page.
pub fn router(looked: Looked) -> Router {
    let of_keys = Router::new()
        .route("/page.json", get(sight))
        .route("/explain.json", post(explain::explain))
        .route_layer(middleware::from_fn(parts::by_address_only));
    Router::new()
        .route("/stats.json", get(stats))
        .merge(of_keys)
        .with_state(looked)
        .merge(PAGE.router())
}

async fn stats(State(looked): State<Looked>) -> Response {
    let stats = (looked.look)();
    ([(header::CACHE_CONTROL, "no-store")], Json(stats)).into_response()
}

/// The query `cache=…` says whose hot keys are wanted; else those of all.
async fn sight(State(looked): State<Looked>, RawQuery(query): RawQuery) -> Response {
    let named = query
        .as_deref()
        .and_then(|query| query.strip_prefix("cache="));
    parts::moment(sight::Sight::of(&looked, named))
}
