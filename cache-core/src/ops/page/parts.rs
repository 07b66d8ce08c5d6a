//! Serves a page and what both pages share, and says who may ask.

use axum::Router;
use axum::extract::{Path, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::get;
use serde::Serialize;
use std::net::IpAddr;
use std::time::Duration;

/// A page runs the scripts of its own listener and nothing else, talks to nobody else, and is
/// shown in nobody else's frame.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                          img-src 'self'; connect-src 'self'; base-uri 'none'; \
                          form-action 'none'; frame-ancestors 'none'";

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const IMAGE: &str = "image/svg+xml";

/// A file that belongs to a page.
pub type Part = (&'static str, &'static str, &'static str);

/// What both pages share: the name under `/page/`, the type, the text.
const SHARED: [Part; 8] = [
    ("style.css", STYLE, include_str!("style.css")),
    ("chart.css", STYLE, include_str!("chart.css")),
    ("icon.svg", IMAGE, include_str!("icon.svg")),
    ("figures.js", SCRIPT, include_str!("figures.js")),
    ("chart.js", SCRIPT, include_str!("chart.js")),
    ("dom.js", SCRIPT, include_str!("dom.js")),
    ("looks.js", SCRIPT, include_str!("looks.js")),
    ("live.js", SCRIPT, include_str!("live.js")),
];

/// One service's page.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    /// The document at `/`.
    pub html: &'static str,
    /// Its own scripts: the name under `/page/`, and the text.
    pub scripts: &'static [(&'static str, &'static str)],
}

/// What each document begins with.
#[derive(Clone, Debug, Serialize)]
pub struct About {
    /// The service's version.
    pub version: &'static str,
    /// Milliseconds since the start.
    pub uptime_ms: u64,
    /// Why the service is not ready; null if it is.
    pub not_ready: Option<String>,
}

impl About {
    /// Of a service that started so long ago.
    pub fn new(version: &'static str, uptime: Duration, not_ready: Option<String>) -> Self {
        let uptime_ms = u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX);
        Self {
            version,
            uptime_ms,
            not_ready,
        }
    }
}

impl Page {
    /// The routes `/` and `/page/…`. What they serve has no figures in it.
    pub fn router(self) -> Router {
        let part = async move |Path(name): Path<String>| match self.part(&name) {
            Some((_, kind, text)) => with_headers([(header::CONTENT_TYPE, kind)], text),
            None => StatusCode::NOT_FOUND.into_response(),
        };
        let policy = [(header::CONTENT_SECURITY_POLICY, POLICY)];
        let page = async move || with_headers(policy, Html(self.html));
        Router::new()
            .route("/", get(page))
            .route("/page/{name}", get(part))
    }

    fn part(self, name: &str) -> Option<Part> {
        let mut shared = SHARED.iter();
        let own = || self.scripts.iter().find(|(known, _)| *known == name);
        let own = || own().map(|(name, text)| (*name, SCRIPT, *text));
        shared
            .find(|(known, ..)| *known == name)
            .copied()
            .or_else(own)
    }
}

/// What nobody keeps: the state of a moment.
pub fn moment(document: impl Serialize) -> Response {
    with_headers([(header::CACHE_CONTROL, "no-store")], Json(document))
}

/// A layer for what tells of keys: asked by address or as `localhost` only. A page from
/// anywhere may have its own name point to this machine, and its script is then as good as
/// ours to a browser; but the name that the browser asks for is still the other's.
pub async fn by_address_only(request: Request, next: Next) -> Response {
    if is_by_address(request.headers(), request.uri().host()) {
        return next.run(request).await;
    }
    let why = "asked by a name that is not this machine's own; ask by address, as in \
               http://127.0.0.1:9464/, or as localhost\n";
    (StatusCode::MISDIRECTED_REQUEST, why).into_response()
}

fn is_by_address(headers: &HeaderMap, authority: Option<&str>) -> bool {
    let header = headers.get(header::HOST);
    let host = header.and_then(|host| host.to_str().ok()).or(authority);
    let host = host.map(|host| match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    });
    let plain = host.map(|host| host.trim_start_matches('[').trim_end_matches(']'));
    plain.is_some_and(|host| host == "localhost" || host.parse::<IpAddr>().is_ok())
}

fn with_headers<const N: usize>(
    more: [(header::HeaderName, &'static str); N],
    body: impl IntoResponse,
) -> Response {
    let mut response = body.into_response();
    let headers = response.headers_mut();
    // A new version is seen at once, and nothing is taken for another type than it has.
    let all = [
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    for (name, value) in all.into_iter().chain(more) {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_this_machines_own_name_are_by_address() {
        for (host, expected) in [
            ("127.0.0.1:9464", true),
            ("127.0.0.1", true),
            ("[::1]:9464", true),
            ("[::1]", true),
            ("localhost:9464", true),
            ("localhost.example.org:9464", false),
            ("agent.example.org", false),
            ("127.0.0.1.example.org:9464", false),
            ("", false),
        ] {
            let headers = [(header::HOST, HeaderValue::from_static(host))];
            let headers = headers.into_iter().collect();
            assert_eq!(is_by_address(&headers, None), expected, "{host}");
        }
        let none = HeaderMap::new();
        assert!(!is_by_address(&none, None), "nobody said");
        assert!(is_by_address(&none, Some("127.0.0.1")), "as HTTP/2 says it");
    }
}
