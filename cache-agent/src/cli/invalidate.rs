//! `cache-agent invalidate`.

use crate::cli::key;
use crate::cli::reach::Api;
use crate::cli::say::{self, Ended, Format, Trouble};
use crate::proto::v1;
use crate::proto::v1::invalidation_service_client::InvalidationServiceClient;
use cache_core::ops::exit::Exit;
use serde_json::json;
use std::ffi::OsString;

/// The arguments of `invalidate`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The cache
    cache: String,
    /// The keys
    keys: Vec<OsString>,
    /// Everything with this tag; may be given several times
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Everything in the cache: every read goes to the source until it is warm again
    #[arg(long, conflicts_with_all = ["keys", "tags"])]
    whole_cache: bool,
    /// The keys are given in base64
    #[arg(long)]
    base64: bool,
    #[command(flatten)]
    api: Api,
}

const HELP: &str = "\
Examples:
  cache-agent invalidate users user:7 user:8
  cache-agent invalidate users --tag team:3
  cache-agent invalidate users --whole-cache

Exit code 0: every process was told. Where Redis is away, the agent goes on telling it; a
warning says so.";

/// Makes entries invalid everywhere.
pub async fn run(args: &Args, format: Format) -> Ended {
    if args.keys.is_empty() && args.tags.is_empty() && !args.whole_cache {
        return Err(Trouble::usage(
            "nothing is named; give keys, --tag or --whole-cache",
        ));
    }
    let keys = args.keys.iter().map(|key| key::bytes(key, args.base64));
    let request = v1::InvalidateRequest {
        cache: args.cache.clone(),
        keys: keys.collect::<Result<_, _>>()?,
        tags: args.tags.clone(),
        whole_cache: args.whole_cache,
        session: None,
    };
    let reached = args.api.connect().await?;
    let mut client = InvalidationServiceClient::new(reached.channel.clone());
    let answer = client.invalidate(reached.ask(request)).await;
    let answer = answer.map_err(|status| reached.why(&status))?.into_inner();
    let l2 = answer.l2_acknowledged;
    match format {
        Format::Json => say::object(&json!({"l2_acknowledged": l2}))?,
        Format::Text if l2 => say::line("invalid everywhere")?,
        Format::Text => {
            say::line("told to every process; Redis does not answer, and is told until it has")?;
        }
    }
    Ok(Exit::Done)
}
