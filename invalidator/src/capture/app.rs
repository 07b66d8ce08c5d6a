//! A capture as a service: with its series, and an admin listener that tells how it is.

use crate::capture::run::Capture;
use crate::capture::series::Series;
use crate::capture::settings::Settings;
use crate::metrics;
use crate::source::Link;
use cache_core::Error;
use cache_core::clock::SystemClock;
use cache_core::ops::admin::{self, Admin};
use parking_lot::RwLock;
use prometheus_client::registry::Registry;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Lives until `stop`.
///
/// # Errors
/// [`cache_core::Kind::Unavailable`] when NATS is not there at the start, and whatever
/// ends [`Capture::run`].
pub async fn live(
    settings: Settings,
    admin: TcpListener,
    stop: CancellationToken,
) -> Result<(), Error> {
    let link = Link::connect(&settings.events.url, "cacheaside-capture").await?;
    let mut registry = Registry::default();
    metrics::build_info(&mut registry);
    let capture = Capture {
        series: Arc::new(Series::new(&mut registry)),
        clock: Arc::new(SystemClock::new()),
        not_ready: Arc::new(RwLock::new(Some("starting".to_owned()))),
        link,
        settings,
    };
    let close = CancellationToken::new();
    let router = how_it_is(&capture, registry).router();
    let serving = tokio::spawn(admin::serve(admin, router, close.clone().cancelled_owned()));
    let ended = capture.run(stop).await;
    close.cancel();
    // Whoever asks in this moment is told, or finds it gone.
    drop(serving);
    ended
}

fn how_it_is(capture: &Capture, registry: Registry) -> Admin {
    let (not_ready, link) = (capture.not_ready.clone(), capture.link.clone());
    Admin {
        registry: Arc::new(registry),
        not_ready: Arc::new(move || {
            let away = (!link.is_up()).then(|| "NATS is away".to_owned());
            not_ready.read().clone().or(away)
        }),
    }
}
