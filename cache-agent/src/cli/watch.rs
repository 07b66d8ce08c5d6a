//! `cache-agent watch`.

use crate::cli::get::{now, position};
use crate::cli::reach::Api;
use crate::cli::say::{self, Bytes, Ended, Format, Trouble, readable};
use crate::proto::v1::invalidation_service_client::InvalidationServiceClient;
use crate::proto::v1::watch_response::invalidation::Target;
use crate::proto::v1::watch_response::{Event, Gap, Heartbeat, Invalidation};
use crate::proto::v1::{WatchRequest, WatchResponse};
use cache_core::ops::exit::Exit;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime};
use tokio_stream::StreamExt;

/// The arguments of `watch`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The caches; all if none is named
    caches: Vec<String>,
    /// Go on after this cursor: the last one of --output json
    #[arg(long, value_name = "CURSOR", default_value = "")]
    from: String,
    /// Signs of life too
    #[arg(long)]
    heartbeats: bool,
    /// End after so many lines
    #[arg(long, value_name = "LINES")]
    count: Option<u64>,
    #[command(flatten)]
    api: Api,
}

const HELP: &str = "\
Examples:
  cache-agent watch
  cache-agent watch users --output json --count 10

A line for each thing that became invalid: the cache, what, the position from which on a
value is valid, and how long after the change at the source it was heard. A gap means that
some may not have been heard.";

/// Shows what becomes invalid, until it is interrupted.
pub async fn run(args: &Args, format: Format) -> Ended {
    let reached = args.api.connect().await?;
    let request = WatchRequest {
        caches: args.caches.clone(),
        cursor: args.from.clone(),
    };
    let mut client = InvalidationServiceClient::new(reached.channel.clone());
    let stream = client.watch(reached.ask_on(request)).await;
    let mut stream = stream.map_err(|status| reached.why(&status))?.into_inner();
    let mut left = args.count.unwrap_or(u64::MAX);
    while left > 0 {
        let heard = match stream.next().await {
            Some(heard) => heard.map_err(|status| reached.why(&status))?,
            None => return Err(Trouble::failed("the agent ended the watch")),
        };
        let mut lines = lines(&heard, args.heartbeats);
        // Whoever goes on from a cursor has seen all that came with it.
        if let Some((_, last)) = lines.last_mut() {
            last["cursor"] = json!(heard.cursor);
        }
        for (text, object) in lines
            .into_iter()
            .take(left.try_into().unwrap_or(usize::MAX))
        {
            left -= 1;
            match format {
                Format::Text => say::line(&text)?,
                Format::Json => say::object(&object)?,
            }
        }
    }
    Ok(Exit::Done)
}

/// What is said of one message, for people and for programs.
fn lines(heard: &WatchResponse, heartbeats: bool) -> Vec<(String, Value)> {
    match &heard.event {
        Some(Event::Invalidations(those)) => {
            let all = those.all.iter();
            all.map(invalidation).collect()
        }
        Some(Event::Gap(gap)) => vec![gap_line(gap)],
        Some(Event::Heartbeat(beat)) if heartbeats => vec![beat_line(beat)],
        _ => Vec::new(),
    }
}

fn invalidation(one: &Invalidation) -> (String, Value) {
    let (kind, target, shown) = match &one.target {
        Some(Target::Key(key)) => ("key", json!(Bytes(key)), readable(key)),
        Some(Target::Tag(tag)) => ("tag", json!(tag), readable(tag.as_bytes())),
        Some(Target::WholeCache(_)) => ("cache", Value::Null, "everything".to_owned()),
        None => ("unknown", Value::Null, String::new()),
    };
    let at = one.position.as_ref().map(position);
    let changed = one.changed_at.and_then(|at| SystemTime::try_from(at).ok());
    let lag = changed.and_then(|at| now().duration_since(at).ok());
    let mut text = format!("{} {kind} {shown}", one.cache);
    if let Some(at) = &at {
        text.push_str(&format!(" from {at}"));
    }
    if let Some(lag) = lag {
        text.push_str(&format!(" after {lag:.1?}"));
    }
    let object = json!({
        "event": "invalidation",
        "cache": one.cache,
        "kind": kind,
        "target": target,
        "position": at,
        "changed_at": one.changed_at.map(|at| at.to_string()),
    });
    (text, object)
}

fn gap_line(gap: &Gap) -> (String, Value) {
    let of = match gap.caches.is_empty() {
        true => "all caches".to_owned(),
        false => gap.caches.join(", "),
    };
    let text = format!("gap: {of}: {}", gap.reason);
    let object = json!({
        "event": "gap", "caches": gap.caches, "reason": gap.reason,
    });
    (text, object)
}

fn beat_line(beat: &Heartbeat) -> (String, Value) {
    let lag = beat.lag.and_then(|lag| Duration::try_from(lag).ok());
    let mut text = match beat.hears {
        true => "heartbeat".to_owned(),
        false => "heartbeat: the agent hears of no changes; trust no copies".to_owned(),
    };
    if let Some(lag) = lag {
        text.push_str(&format!(", lag {lag:.1?}"));
    }
    let object = json!({
        "event": "heartbeat",
        "hears": beat.hears,
        "lag_seconds": lag.map(|lag| lag.as_secs_f64()),
    });
    (text, object)
}
