//! `cache-agent get`.

use crate::cli::key::Key;
use crate::cli::reach::{Api, MESSAGE_MAX};
use crate::cli::say::{self, Bytes, Ended, Format, Trouble};
use crate::convert;
use crate::proto::v1::cache_service_client::CacheServiceClient;
use crate::proto::v1::get_response::{Hit, Miss, Result as Got};
use crate::proto::v1::{self, Freshness, StaleReason, Tier};
use cache_core::clock::{Clock, SystemClock};
use cache_core::config::units::parse_duration;
use cache_core::ops::exit::Exit;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The arguments of `get`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    key: Key,
    /// Take nothing that was loaded longer ago, as in 5s; 0s asks the source where the cache
    /// reads through
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    max_staleness: Option<Duration>,
    /// Take an expired value rather than none, where the cache keeps such
    #[arg(long, conflicts_with = "max_staleness")]
    stale_ok: bool,
    /// Have a cache that reads through load what is missing
    #[arg(long)]
    load: bool,
    #[command(flatten)]
    api: Api,
}

const HELP: &str = "\
Examples:
  cache-agent get users user:7
  cache-agent get users user:7 --output json

The value is written as it is, with a line end where people read it; what is known about it
goes to standard error. No lease is taken. Exit code 5: nothing is cached, or the source is
known to have nothing.";

/// Asks for a key.
pub async fn run(args: &Args, format: Format) -> Ended {
    let key = args.key.bytes()?;
    let reached = args.api.connect().await?;
    let freshness = match args.stale_ok {
        true => Freshness::StaleOk,
        false => Freshness::Unspecified,
    };
    let request = v1::GetRequest {
        cache: args.key.cache.clone(),
        key,
        freshness: freshness.into(),
        no_lease: !args.load,
        max_staleness: args.max_staleness.map(convert::span),
        ..v1::GetRequest::default()
    };
    let mut client =
        CacheServiceClient::new(reached.channel.clone()).max_decoding_message_size(MESSAGE_MAX);
    let answer = client.get(reached.ask(request)).await;
    let answer = answer.map_err(|status| reached.why(&status))?.into_inner();
    let result = answer.result.unwrap_or(Got::Miss(Miss::default()));
    match format {
        Format::Json => say::unless_gone(say::object(&object(&result)))?,
        Format::Text => say::unless_gone(text(&result))?,
    }
    Ok(match result {
        Got::Hit(_) => Exit::Done,
        Got::Negative(_) | Got::Miss(_) => Exit::Absent,
    })
}

fn text(result: &Got) -> Result<(), Trouble> {
    match result {
        Got::Hit(hit) => {
            let entry = hit.entry.clone().unwrap_or_default();
            say::say(&entry.value)?;
            if say::to_people() && !entry.value.ends_with(b"\n") {
                say::say(b"\n")?;
            }
            say::remark(&about(hit));
        }
        Got::Negative(_) => say::remark(&"known to be absent at the source"),
        Got::Miss(_) => say::remark(&"nothing is cached"),
    }
    Ok(())
}

/// `L1, as of 0:17, stored 3.2s ago, expires in 56.8s`
fn about(hit: &Hit) -> String {
    let entry = hit.entry.clone().unwrap_or_default();
    let mut words = vec![tier(hit).to_uppercase()];
    if hit.stale {
        words.push(format!("expired: {}", stale_reason(hit)));
    }
    words.extend(entry.as_of.map(|at| format!("as of {}", position(&at))));
    let now = now();
    let stored = entry.stored_at.and_then(|at| SystemTime::try_from(at).ok());
    let expires = entry
        .expires_at
        .and_then(|at| SystemTime::try_from(at).ok());
    let ago = stored.and_then(|at| now.duration_since(at).ok());
    words.extend(ago.map(|ago| format!("stored {ago:.1?} ago")));
    let left = expires.and_then(|at| at.duration_since(now).ok());
    words.extend(left.map(|left| format!("expires in {left:.1?}")));
    if !entry.tags.is_empty() {
        words.push(format!("tags {}", entry.tags.join(", ")));
    }
    words.join(", ")
}

fn object(result: &Got) -> Value {
    match result {
        Got::Hit(hit) => {
            let entry = hit.entry.clone().unwrap_or_default();
            json!({
                "result": "hit",
                "value": Bytes(&entry.value),
                "tier": tier(hit),
                "stale": hit.stale,
                "as_of": entry.as_of.as_ref().map(position),
                "tags": entry.tags,
                "stored_at": entry.stored_at.map(|at| at.to_string()),
                "expires_at": entry.expires_at.map(|at| at.to_string()),
            })
        }
        Got::Negative(_) => json!({"result": "negative"}),
        Got::Miss(_) => json!({"result": "miss"}),
    }
}

fn tier(hit: &Hit) -> &'static str {
    match hit.tier() {
        Tier::L1 => "l1",
        Tier::L2 => "l2",
        Tier::Source => "source",
        Tier::Unspecified => "unknown",
    }
}

fn stale_reason(hit: &Hit) -> &'static str {
    match hit.stale_reason() {
        StaleReason::Refreshing => "it is being loaded",
        StaleReason::Source => "its source is slow, or fails",
        StaleReason::Unspecified => "for a reason that this build does not know",
    }
}

/// The time of day.
pub fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(SystemClock::new().wall_ms())
}

/// `0:17`, and `0:17.2` for what is no change of the stream.
pub fn position(at: &v1::Position) -> String {
    match at.tick {
        0 => format!("{}:{}", at.epoch, at.offset),
        tick => format!("{}:{}.{tick}", at.epoch, at.offset),
    }
}
