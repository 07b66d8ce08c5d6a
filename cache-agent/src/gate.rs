//! The gate before the API: only so many calls run at once, the rest is turned
//! away before its message is read. Every call is counted here.

use crate::turns::Turns;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use std::fmt;
use std::future::ready;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tower::{Layer, Service};

/// What the paths of the API begin with. Health and reflection are let through:
/// a busy agent is healthy.
const API: &str = "/cacheaside.";
/// The methods that get series of their own; anything else counts as `other`, so
/// that callers cannot make up series.
const METHODS: [&str; 12] = [
    "Get",
    "BatchGet",
    "StreamBatchGet",
    "Fill",
    "ReleaseLease",
    "Set",
    "BatchSet",
    "Touch",
    "Delete",
    "Invalidate",
    "Watch",
    "Exchange",
];

/// The gate, as a layer around the gRPC services. Clones share its turns.
#[derive(Clone, Debug)]
pub struct Gate {
    turns: Turns,
    series: Series,
}

/// A service behind the gate.
#[derive(Clone, Debug)]
pub struct Gated<S> {
    inner: S,
    gate: Gate,
}

#[derive(Clone, Debug)]
struct Series {
    handled: Family<Call, Counter>,
    took: Family<Method, Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    grpc_service: &'static str,
    grpc_method: &'static str,
    grpc_code: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Method {
    grpc_service: &'static str,
    grpc_method: &'static str,
}

impl Gate {
    /// A gate with these turns, whose counts are registered under the names that
    /// gRPC dashboards know.
    pub fn new(turns: Turns, registry: &mut Registry) -> Self {
        let series = Series {
            handled: Family::default(),
            took: Family::new_with_constructor(|| {
                Histogram::new(exponential_buckets(0.000_05, 2.0, 17))
            }),
        };
        let help = "Calls answered, by method and gRPC code";
        registry.register("grpc_server_handled", help, series.handled.clone());
        let help = "Time from a call's arrival to its answer, in seconds";
        registry.register("grpc_server_handling_seconds", help, series.took.clone());
        Self { turns, series }
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated {
            inner,
            gate: self.clone(),
        }
    }
}

impl<S, B> Service<Request<B>> for Gated<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let Some(method) = Method::of(request.uri().path()) else {
            return Box::pin(self.inner.call(request));
        };
        let turn = match self.gate.turns.take() {
            Ok(turn) => turn,
            Err(full) => {
                let refusal = Status::from(full).into_http::<Body>();
                self.gate.series.handled(&method, refusal.headers());
                return Box::pin(ready(Ok(refusal)));
            }
        };
        let series = self.gate.series.clone();
        let began = Instant::now();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            series.handled(&method, answer.headers());
            series
                .took
                .get_or_create(&method)
                .observe(began.elapsed().as_secs_f64());
            drop(turn);
            Ok(answer)
        })
    }
}

impl Method {
    fn of(path: &str) -> Option<Self> {
        let (service, method) = path.strip_prefix(API)?.split_once('/')?;
        let known = METHODS.into_iter().find(|known| *known == method);
        Some(Self {
            grpc_service: match service {
                "v1.InvalidationService" => "cacheaside.v1.InvalidationService",
                "v1.StreamService" => "cacheaside.v1.StreamService",
                _ => "cacheaside.v1.CacheService",
            },
            grpc_method: known.unwrap_or("other"),
        })
    }
}

impl Series {
    fn handled(&self, method: &Method, headers: &HeaderMap) {
        // A success says so only in the trailers, which follow the body.
        let code = Status::from_header_map(headers).map_or(tonic::Code::Ok, |status| status.code());
        let call = Call {
            grpc_service: method.grpc_service,
            grpc_method: method.grpc_method,
            grpc_code: Name(code).to_string(),
        };
        self.handled.get_or_create(&call).inc();
    }
}

/// A code as gRPC's dashboards write it: `NotFound`, `OK`.
struct Name(tonic::Code);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            tonic::Code::Ok => f.write_str("OK"),
            code => write!(f, "{code:?}"),
        }
    }
}
