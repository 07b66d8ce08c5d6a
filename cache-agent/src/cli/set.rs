//! `cache-agent set`.

use crate::cli::get::position;
use crate::cli::key::Key;
use crate::cli::reach::Api;
use crate::cli::say::{self, Ended, Format, Trouble};
use crate::convert;
use crate::proto::v1::cache_service_client::CacheServiceClient;
use crate::proto::v1::{self, SetOutcome, set_request};
use cache_core::config::units::parse_duration;
use cache_core::ops::exit::Exit;
use cache_core::policy::VALUE_BYTES_MAX;
use serde_json::json;
use std::io::{self, Read};
use std::time::Duration;

/// The arguments of `set`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    key: Key,
    /// The value; from standard input if it is left out
    value: Option<String>,
    /// How long it may be served, as in 60s; the cache's policy if it is left out
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    ttl: Option<Duration>,
    /// A word to invalidate it by; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Only if there is no entry and nobody loads one
    #[arg(long)]
    if_absent: bool,
    #[command(flatten)]
    api: Api,
}

const HELP: &str = "\
Examples:
  cache-agent set users user:7 '{\"name\": \"Ada\"}'
  cache-agent set users user:7 --ttl 60s --tag team:3 < user.json

What a value without a lease is worth is the cache's `unleased_set`: by default the key is
only made invalid, since nobody knows how old the value is. Exit code 1 unless it was stored
or queued.";

/// Offers a value.
pub async fn run(args: &Args, format: Format) -> Ended {
    let key = args.key.bytes()?;
    let value = match &args.value {
        Some(value) => value.clone().into_bytes(),
        None => from_input()?,
    };
    let reached = args.api.connect().await?;
    let has_options = args.ttl.is_some() || !args.tags.is_empty();
    let absent = set_request::Condition::IfAbsent(set_request::IfAbsent {});
    let request = v1::SetRequest {
        cache: args.key.cache.clone(),
        key,
        value: value.into(),
        // Where the application writes, options are refused, empty ones too.
        options: has_options.then(|| v1::StoreOptions {
            ttl: args.ttl.map(convert::span),
            tags: args.tags.clone(),
            read_at: None,
        }),
        session: None,
        condition: args.if_absent.then_some(absent),
    };
    let mut client = CacheServiceClient::new(reached.channel.clone());
    let answer = client.set(reached.ask(request)).await;
    let answer = answer.map_err(|status| reached.why(&status))?.into_inner();
    let (word, text) = outcome(answer.outcome());
    let at = answer.position.as_ref().map(position);
    match format {
        Format::Json => say::object(&json!({"outcome": word, "position": at}))?,
        Format::Text => say::line(text)?,
    }
    Ok(match answer.outcome() {
        SetOutcome::Stored | SetOutcome::Queued => Exit::Done,
        _ => Exit::Failed,
    })
}

fn outcome(outcome: SetOutcome) -> (&'static str, &'static str) {
    match outcome {
        SetOutcome::Stored => ("stored", "stored; every older copy is invalid"),
        SetOutcome::ConditionFailed => ("condition_failed", "not stored: there is an entry"),
        SetOutcome::Superseded => ("superseded", "not stored: older than what is known"),
        SetOutcome::Invalidated => (
            "invalidated",
            "not stored: the key is invalid, and the next reader loads it \
             (see `unleased_set` of the cache)",
        ),
        SetOutcome::Queued => ("queued", "queued for the source"),
        SetOutcome::Unspecified => ("unknown", "an outcome that this build does not know"),
    }
}

fn from_input() -> Result<Vec<u8>, Trouble> {
    let mut value = Vec::new();
    // One byte more tells a value that is too large from one that just fits.
    let mut input = io::stdin().lock().take(VALUE_BYTES_MAX as u64 + 1);
    let read = input.read_to_end(&mut value);
    read.map_err(|error| Trouble::failed(format!("cannot read the value: {error}")))?;
    if value.len() > VALUE_BYTES_MAX {
        let text = format!("the value is larger than {VALUE_BYTES_MAX} bytes, the most there is");
        return Err(Trouble::usage(text));
    }
    Ok(value)
}
