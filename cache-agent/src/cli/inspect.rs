//! `cache-agent inspect`.

use crate::cli::get::position;
use crate::cli::key::Key;
use crate::cli::reach::Admin;
use crate::cli::say::{self, Ended, Format};
use crate::proto::v1::admin_service_client::AdminServiceClient;
use crate::proto::v1::explain_key_response::TierState;
use crate::proto::v1::{ExplainKeyRequest, ExplainKeyResponse, Verdict};
use cache_core::ops::exit::Exit;
use serde_json::{Value, json};
use std::time::Duration;

/// The arguments of `inspect`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    key: Key,
    #[command(flatten)]
    admin: Admin,
}

const HELP: &str = "\
Examples:
  cache-agent inspect users user:7
  cache-agent inspect users user:7 --output json

Says what a get would be answered, by which tier, and why not by the others: what each tier
has, how far it reaches, how old it is, and which changes are known. It counts as no read.";

/// Explains how a key is answered.
pub async fn run(args: &Args, format: Format) -> Ended {
    let key = args.key.bytes()?;
    let reached = args.admin.connect().await?;
    let request = ExplainKeyRequest {
        cache: args.key.cache.clone(),
        key,
    };
    let mut client = AdminServiceClient::new(reached.channel.clone());
    let answer = client.explain_key(reached.ask(request)).await;
    let answer = answer.map_err(|status| reached.why(&status))?.into_inner();
    match format {
        Format::Json => say::object(&object(&answer))?,
        Format::Text => say::line(answer.text.trim_end())?,
    }
    Ok(Exit::Done)
}

fn object(answer: &ExplainKeyResponse) -> Value {
    json!({
        "verdict": verdict(answer.verdict()),
        "l1": answer.l1.as_ref().map(tier),
        "l2": answer.l2.as_ref().map(tier),
        "bucket": answer.bucket,
        "heard": answer.heard.as_ref().map(position),
        "applied": answer.applied.as_ref().map(position),
        "loading": answer.loading,
        "breaker_open": answer.breaker_open,
    })
}

fn tier(state: &TierState) -> Value {
    let seconds = |span: Option<prost_types::Duration>| {
        let span = span.and_then(|span| Duration::try_from(span).ok());
        span.map(|span| span.as_secs_f64())
    };
    let why_not = (!state.why_not.is_empty()).then_some(&state.why_not);
    json!({
        "answers": why_not.is_none(),
        "why_not": why_not,
        "has_entry": state.has_entry,
        "negative": state.negative,
        "position": state.position.as_ref().map(position),
        "age_seconds": seconds(state.age),
        "remaining_seconds": seconds(state.remaining),
        "leased": state.leased,
    })
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::HitInL1 => "hit_in_l1",
        Verdict::HitInL2 => "hit_in_l2",
        Verdict::NegativeInL1 => "negative_in_l1",
        Verdict::NegativeInL2 => "negative_in_l2",
        Verdict::Stale => "stale",
        Verdict::Miss => "miss",
        Verdict::Unspecified => "unknown",
    }
}
