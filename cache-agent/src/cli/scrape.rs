//! An invalidator's series, as far as a dashboard shows them.

use crate::cli::reach::cause;
use axum::body::Body;
use axum::http::{Request, header};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

/// The largest answer that is read: many times what an invalidator says.
const BYTES_MAX: usize = 4 << 20;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(1);
const LAG: &str = "cacheaside_invalidator_lag_seconds_bucket";
const PENDING: &str = "cacheaside_invalidator_consumer_pending";

/// Where changes spend their time on the way to L1.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stages {
    /// The stages, in the order of the way.
    pub all: Vec<Stage>,
    /// Events that wait in the stream.
    pub pending: Option<f64>,
}

/// How long changes were in one stage since the last look.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Its name in the series.
    pub name: String,
    /// The middle one, from the bounds of a histogram.
    pub p50: Option<Duration>,
    /// 99 % were at most this.
    pub p99: Option<Duration>,
}

/// How many took at most so long, by stage and by bound in microseconds.
type Buckets = BTreeMap<String, BTreeMap<u64, f64>>;

/// Looks at one invalidator again and again.
#[derive(Debug)]
pub struct Scraper {
    address: String,
    client: Client<HttpConnector, Body>,
    before: Buckets,
}

impl Stage {
    /// How people call it.
    pub fn title(&self) -> &str {
        match self.name.as_str() {
            "source_to_stream" => "commit to stream",
            "stream_to_announced" => "stream to Redis and bus",
            other => other,
        }
    }
}

impl Scraper {
    /// Of the admin listener at this address.
    pub fn new(address: String) -> Self {
        Self {
            address,
            client: Client::builder(TokioExecutor::new()).build_http(),
            before: Buckets::new(),
        }
    }

    /// Looks once.
    ///
    /// # Errors
    /// Why nothing is seen.
    pub async fn look(&mut self) -> Result<Stages, String> {
        let text = timeout(PATIENCE, self.fetch()).await;
        let text = text.map_err(|_| format!("no answer within {PATIENCE:?}"))??;
        let (after, pending) = read(&text);
        let stages = after.iter().map(|(name, buckets)| {
            let before = self.before.get(name);
            Stage {
                name: name.clone(),
                p50: quantile(before, buckets, 0.5),
                p99: quantile(before, buckets, 0.99),
            }
        });
        let mut all: Vec<_> = stages.collect();
        // The relay comes before the service, whatever they are called.
        all.sort_by_key(|stage| stage.name != "source_to_stream");
        self.before = after;
        Ok(Stages { all, pending })
    }

    async fn fetch(&self) -> Result<String, String> {
        let request = Request::get(format!("{}/metrics", self.address))
            .header(header::ACCEPT, "text/plain")
            .body(Body::empty())
            .map_err(|error| error.to_string())?;
        let answer = self.client.request(request).await;
        let body = Body::new(answer.map_err(|error| cause(&error))?.into_body());
        let bytes = axum::body::to_bytes(body, BYTES_MAX).await;
        let bytes = bytes.map_err(|error| cause(&error))?;
        String::from_utf8(bytes.into()).map_err(|_| "the answer is no text".to_owned())
    }
}

/// Reads an address as the arguments give it.
///
/// # Errors
/// What is wrong with it.
pub fn address(text: &str) -> Result<String, String> {
    let plain = text.starts_with("http://");
    plain
        .then(|| text.trim_end_matches('/').to_owned())
        .ok_or_else(|| "an address looks like http://127.0.0.1:9465".to_owned())
}

fn read(text: &str) -> (Buckets, Option<f64>) {
    let (mut buckets, mut pending) = (Buckets::new(), None);
    for line in text.lines() {
        let Some((series, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let Ok(value) = value.parse::<f64>() else {
            continue;
        };
        if series.starts_with(PENDING) {
            *pending.get_or_insert(0.0) += value;
        } else if series.starts_with(LAG)
            && let (Some(stage), Some(bound)) = (label(series, "stage"), label(series, "le"))
        {
            let bound = bound.parse::<f64>().unwrap_or(f64::INFINITY);
            let micros = match bound.is_finite() {
                true => (bound * 1e6).round() as u64,
                false => u64::MAX,
            };
            let of_stage = buckets.entry(stage.to_owned()).or_default();
            *of_stage.entry(micros).or_default() += value;
        }
    }
    (buckets, pending)
}

fn label<'s>(series: &'s str, name: &str) -> Option<&'s str> {
    let (_, rest) = series.split_once(&format!("{name}=\""))?;
    rest.split_once('"').map(|(value, _)| value)
}

/// The bound that a share of what came since `before` did not exceed.
fn quantile(
    before: Option<&BTreeMap<u64, f64>>,
    after: &BTreeMap<u64, f64>,
    share: f64,
) -> Option<Duration> {
    let come = |(bound, count): (&u64, &f64)| {
        let earlier = before.and_then(|all| all.get(bound));
        (*bound, count - earlier.unwrap_or(&0.0))
    };
    let (_, all) = after.iter().next_back().map(come)?;
    if all <= 0.0 {
        return None;
    }
    let bound = after
        .iter()
        .map(come)
        .find(|(_, count)| *count >= all * share);
    bound.map(|(bound, _)| Duration::from_micros(bound))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "\
# TYPE cacheaside_invalidator_lag_seconds histogram
cacheaside_invalidator_lag_seconds_bucket{le=\"0.001\",stage=\"source\"} 10
cacheaside_invalidator_lag_seconds_bucket{le=\"0.002\",stage=\"source\"} 10
cacheaside_invalidator_lag_seconds_bucket{le=\"+Inf\",stage=\"source\"} 10
cacheaside_invalidator_consumer_pending{stream=\"CDC\"} 7
";

    #[test]
    fn quantiles_are_of_what_came_since_the_last_look() {
        let (before, pending) = read(FIRST);
        assert_eq!(pending, Some(7.0));
        assert_eq!(
            quantile(None, &before["source"], 0.5),
            Some(Duration::from_millis(1))
        );
        let later = FIRST
            .replace("\"source\"} 10", "\"source\"} 110")
            .replacen("110", "20", 1);
        let (after, _) = read(&later);
        let since = |share| quantile(before.get("source"), &after["source"], share);
        assert_eq!(since(0.05), Some(Duration::from_millis(1)));
        assert_eq!(since(0.5), Some(Duration::from_millis(2)));
        assert_eq!(quantile(after.get("source"), &after["source"], 0.5), None);
    }
}
