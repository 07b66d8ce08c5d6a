//! `cache-agent hot`.

use crate::cli::reach::Admin;
use crate::cli::say::{self, Bytes, Ended, Format, readable};
use crate::proto::v1::ListHotKeysRequest;
use crate::proto::v1::admin_service_client::AdminServiceClient;
use cache_core::ops::exit::Exit;
use serde_json::json;
use std::time::Duration;

/// The arguments of `hot`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The cache; all if none is named
    cache: Option<String>,
    /// How many keys
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=256))]
    limit: u32,
    #[command(flatten)]
    admin: Admin,
}

const HELP: &str = "\
Example:
  cache-agent hot users --limit 5

The keys that were asked for most in the last minute or two. READS is about right: it comes
from one read in sixteen, and may be too high by ERROR.";

/// Names the keys that are asked for most.
pub async fn run(args: &Args, format: Format) -> Ended {
    let reached = args.admin.connect().await?;
    let request = ListHotKeysRequest {
        cache: args.cache.clone().unwrap_or_default(),
        limit: args.limit,
    };
    let mut client = AdminServiceClient::new(reached.channel.clone());
    let answer = client.list_hot_keys(reached.ask(request)).await;
    let answer = answer.map_err(|status| reached.why(&status))?.into_inner();
    let over = answer.over.and_then(|over| Duration::try_from(over).ok());
    if format == Format::Text {
        say::line(&format!(
            "{:>12} {:>9}  {:<16} KEY",
            "READS", "ERROR", "CACHE"
        ))?;
    }
    for hot in &answer.keys {
        match format {
            Format::Json => say::object(&json!({
                "cache": hot.cache,
                "key": Bytes(&hot.key),
                "reads": hot.reads,
                "error": hot.error,
                "over_seconds": over.map(|over| over.as_secs_f64()),
            }))?,
            Format::Text => say::line(&format!(
                "{:>12} {:>9}  {:<16} {}",
                hot.reads,
                hot.error,
                hot.cache,
                readable(&hot.key)
            ))?,
        }
    }
    if let (Format::Text, Some(over)) = (format, over) {
        say::remark(&format_args!("counted for {over:.0?}"));
    }
    Ok(Exit::Done)
}
