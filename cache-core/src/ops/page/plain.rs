//! A page whose document holds nothing but series, so whoever may read those may ask for it by any
//! name.

use crate::clock::{Clock, Tick};
use crate::ops::admin::NotReady;
use crate::ops::page::parts::{self, About, Page};
use crate::ops::page::series::{self, Names, Series};
use axum::extract::State;
use axum::response::Response;
use axum::{Router, routing::get};
use prometheus_client::registry::Registry;
use serde::Serialize;
use std::fmt;
use std::sync::Arc;

/// What the document is made from.
#[derive(Clone)]
pub struct Plain {
    /// The service's version.
    pub version: &'static str,
    /// All series that the page reads.
    pub wanted: &'static Names,
    /// The series.
    pub registry: Arc<Registry>,
    /// Why the service is not ready; nothing if it is.
    pub not_ready: NotReady,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// When the service started.
    pub began: Tick,
}

#[derive(Serialize)]
struct Sight {
    about: About,
    /// The time here, in milliseconds since the epoch: what is so long ago by the service's
    /// clock is so by no other.
    now_ms: u64,
    series: Series,
}

/// The routes of the page, and `/page.json`.
pub fn router(page: Page, plain: Plain) -> Router {
    Router::new()
        .route("/page.json", get(sight))
        .with_state(plain)
        .merge(page.router())
}

async fn sight(State(plain): State<Plain>) -> Response {
    let uptime = plain.clock.now().since(plain.began);
    parts::moment(Sight {
        about: About::new(plain.version, uptime, (plain.not_ready)()),
        now_ms: plain.clock.wall_ms(),
        series: series::read(&plain.registry, plain.wanted),
    })
}

impl fmt::Debug for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plain").finish_non_exhaustive()
    }
}
