//! A capture as a service: with its series, and an admin listener that tells how it is.

use crate::capture::face::Face;
use crate::capture::run::Capture;
use crate::capture::series::Series;
use crate::capture::settings::Settings;
use crate::source::Link;
use cache_core::Error;
use cache_core::clock::SystemClock;
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
    let link = Link::connect(&settings.events.at, "cacheaside-capture").await?;
    let (face, series) = Face::new(link.clone(), Series::new);
    let capture = Capture {
        series: Arc::new(series),
        clock: Arc::new(SystemClock::new()),
        not_ready: face.not_ready(),
        link,
        settings,
    };
    face.show_while(admin, capture.run(stop)).await
}
