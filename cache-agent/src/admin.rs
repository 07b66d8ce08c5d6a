//! The gRPC methods for operators, on the admin listener.

use crate::callers::Callers;
use crate::calls::Agent;
use crate::convert;
use crate::failure::{Failure, Reason};
use crate::hot::KEYS_MAX;
use crate::proto::v1;
use crate::proto::v1::admin_service_server::{AdminService, AdminServiceServer, SERVICE_NAME};
use crate::proto::v1::explain_key_response::TierState;
use crate::stats::Stats;
use axum::Router;
use axum::extract::Request as HttpRequest;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response as HttpResponse};
use bytes::Bytes;
use cache_core::fill::explain::{Described, Explanation, InL1, InL2, Verdict};
use cache_core::ops::page::parts::by_address_only;
use cache_core::{Cache, Error, Switches};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tonic::{Request, Response, Status};

/// How many hot keys are named if nothing else is asked for.
const HOT_KEYS: usize = 20;

/// The service for operators.
#[derive(Clone)]
pub struct Admin {
    /// What is looked into.
    pub agent: Agent,
    /// Who may call, if anybody is asked.
    pub callers: Callers,
    /// One look at the counts.
    pub look: Arc<dyn Fn() -> Stats + Send + Sync>,
}

impl Admin {
    /// The routes of the service. By their path, and no router of gRPC's own: that one
    /// answers 200 to whatever it does not know, and a probe with a wrong path would find
    /// every agent ready.
    pub fn router(self) -> Router {
        let path = format!("/{SERVICE_NAME}/{{method}}");
        let callers = self.callers.clone();
        let service = AdminServiceServer::new(self);
        let routes = Router::new().route_service(&path, service);
        routes
            .route_layer(middleware::from_fn_with_state(callers, only_operators))
            .route_layer(middleware::from_fn(by_address_only))
    }

    fn cache(&self, name: &str) -> Result<&Cache<Bytes>, Failure> {
        let open = self.agent.caches.find(name)?;
        Ok(&open.ok_or_else(Failure::not_joined)?.cache)
    }
}

/// A page from anywhere may have a browser on this machine send what it likes here, but not
/// as this type without asking first, which nothing here grants.
async fn only_operators(
    State(callers): State<Callers>,
    request: HttpRequest,
    next: Next,
) -> HttpResponse {
    let kind = request.headers().get(CONTENT_TYPE);
    if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc")) {
        return StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response();
    }
    match callers.operator(request.headers(), request.uri().path()) {
        Ok(()) => next.run(request).await,
        Err(failure) => Status::from(failure).into_http(),
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn get_stats(
        &self,
        request: Request<v1::GetStatsRequest>,
    ) -> Result<Response<v1::GetStatsResponse>, Status> {
        let wanted = request.into_inner().caches;
        for name in &wanted {
            self.agent.caches.known(name)?;
        }
        let stats = (self.look)();
        let caches = stats.agent.caches.into_iter();
        let caches = caches.filter(|cache| wanted.is_empty() || wanted.contains(&cache.name));
        Ok(Response::new(v1::GetStatsResponse {
            version: stats.version.to_owned(),
            uptime: Some(millis(stats.uptime_ms)),
            not_ready: stats.not_ready.unwrap_or_default(),
            l1_trusted: stats.agent.l1_trusted,
            leases: stats.leases as u64,
            streams: self.agent.streams.taken() as u64,
            invalidations: stats.agent.invalidations,
            gaps: stats.agent.gaps,
            caches: caches.map(cache_stats).collect(),
            lag: Some(lag(stats.agent.lag)),
        }))
    }

    async fn explain_key(
        &self,
        request: Request<v1::ExplainKeyRequest>,
    ) -> Result<Response<v1::ExplainKeyResponse>, Status> {
        let request = request.into_inner();
        convert::key(&request.key)?;
        let cache = self.cache(&request.cache)?;
        let explained = cache.explain(&request.key).await;
        Ok(Response::new(explanation(
            explained.map_err(Failure::from)?,
        )))
    }

    async fn list_hot_keys(
        &self,
        request: Request<v1::ListHotKeysRequest>,
    ) -> Result<Response<v1::ListHotKeysResponse>, Status> {
        let request = request.into_inner();
        let cache = match request.cache.as_str() {
            "" => None,
            name => Some(self.agent.caches.known(name)?),
        };
        let most = match request.limit as usize {
            0 => HOT_KEYS,
            limit if limit <= KEYS_MAX => limit,
            limit => {
                return Err(Failure::too_many("keys", limit, KEYS_MAX)
                    .at("limit")
                    .into());
            }
        };
        let (hottest, over) = self.agent.hot.hottest(cache.as_ref(), most);
        let keys = hottest
            .into_iter()
            .map(|hot| v1::list_hot_keys_response::HotKey {
                cache: hot.cache.as_str().to_owned(),
                key: hot.key,
                reads: hot.reads,
                error: hot.error,
            });
        Ok(Response::new(v1::ListHotKeysResponse {
            keys: keys.collect(),
            over: Some(convert::span(over)),
        }))
    }

    async fn get_switches(
        &self,
        request: Request<v1::GetSwitchesRequest>,
    ) -> Result<Response<v1::GetSwitchesResponse>, Status> {
        let cache = self.cache(&request.get_ref().cache)?;
        let switches = Some(switches(cache.switches()));
        Ok(Response::new(v1::GetSwitchesResponse { switches }))
    }

    async fn set_switches(
        &self,
        request: Request<v1::SetSwitchesRequest>,
    ) -> Result<Response<v1::SetSwitchesResponse>, Status> {
        let request = request.into_inner();
        let set = self.cache(&request.cache)?.switches();
        apply(set, &request)?;
        let switches = Some(switches(set));
        Ok(Response::new(v1::SetSwitchesResponse { switches }))
    }
}

/// Sets what is named; what may be refused comes first, so that it is all or nothing.
fn apply(set: &Switches, request: &v1::SetSwitchesRequest) -> Result<(), Failure> {
    let refused =
        |field| move |error: Error| Failure::new(Reason::Invalid, error.to_string()).at(field);
    let before = set.ttl_cap();
    if let Some(cap) = request.ttl_cap {
        let cap = convert::length(cap, "ttl_cap")?;
        let cap = (!cap.is_zero()).then_some(cap);
        set.set_ttl_cap(cap).map_err(refused("ttl_cap"))?;
    }
    if let Some(share) = request.shadow_per_million
        && let Err(error) = set.set_shadow_per_million(Some(share))
    {
        // It was good before.
        let _ = set.set_ttl_cap(before);
        return Err(refused("shadow_per_million")(error));
    }
    if let Some(on) = request.l1 {
        set.set_l1(on);
    }
    if let Some(on) = request.l2 {
        set.set_l2(on);
    }
    Ok(())
}

fn switches(set: &Switches) -> v1::Switches {
    v1::Switches {
        l1: set.l1(),
        l2: set.l2(),
        ttl_cap: set.ttl_cap().map(convert::span),
        shadow_per_million: set.shadow_per_million(),
    }
}

fn cache_stats(cache: crate::stats::CacheStats) -> v1::get_stats_response::CacheStats {
    v1::get_stats_response::CacheStats {
        cache: cache.name,
        l1: cache.l1,
        l2: cache.l2,
        negative: cache.negative,
        misses: cache.misses,
        errors: cache.errors,
        loads: cache.loads,
        l1_entries: cache.l1_entries,
        l1_bytes: cache.l1_bytes,
        stale: cache.stale,
        coalesced: cache.coalesced,
        loads_failed: cache.loads_failed,
        breaker_open: cache.breaker_open,
        codec_errors: cache.codec_errors,
    }
}

fn lag(lag: crate::stats::Lag) -> v1::get_stats_response::Lag {
    v1::get_stats_response::Lag {
        count: lag.count,
        p50: Some(millis(lag.p50_ms)),
        p99: Some(millis(lag.p99_ms)),
        longest: Some(millis(lag.max_ms)),
    }
}

fn explanation(explained: Explanation) -> v1::ExplainKeyResponse {
    let verdict = match explained.verdict {
        Verdict::HitInL1 => v1::Verdict::HitInL1,
        Verdict::HitInL2 => v1::Verdict::HitInL2,
        Verdict::NegativeInL1 => v1::Verdict::NegativeInL1,
        Verdict::NegativeInL2 => v1::Verdict::NegativeInL2,
        Verdict::Stale => v1::Verdict::Stale,
        Verdict::Miss => v1::Verdict::Miss,
    };
    v1::ExplainKeyResponse {
        verdict: verdict.into(),
        text: explained.to_string(),
        l1: Some(in_l1(&explained.l1)),
        l2: Some(in_l2(&explained.l2)),
        bucket: explained.bucket.0.into(),
        heard: Some(explained.heard.into()),
        applied: explained.l2.applied.map(Into::into),
        loading: explained.is_loading,
        breaker_open: explained.breaker_is_open,
    }
}

fn in_l1(l1: &InL1) -> TierState {
    let why_not = l1.why_not.as_ref();
    TierState {
        why_not: why_not.map(ToString::to_string).unwrap_or_default(),
        ..entry(l1.entry.as_ref())
    }
}

fn in_l2(l2: &InL2) -> TierState {
    let why_not = l2.why_not.as_ref();
    TierState {
        why_not: why_not.map(ToString::to_string).unwrap_or_default(),
        position: l2.position.map(Into::into),
        leased: l2.is_leased,
        ..entry(l2.entry.as_ref())
    }
}

fn entry(entry: Option<&Described>) -> TierState {
    let Some(entry) = entry else {
        return TierState::default();
    };
    TierState {
        has_entry: true,
        negative: entry.is_negative,
        position: Some(entry.as_of.into()),
        age: Some(millis(entry.age_ms)),
        remaining: Some(millis(entry.remaining_ms)),
        ..TierState::default()
    }
}

fn millis(millis: u64) -> prost_types::Duration {
    convert::span(Duration::from_millis(millis))
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}
