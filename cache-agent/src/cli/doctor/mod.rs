//! `cache-agent doctor`: connects to everything, and says what is wrong and how to mend it.

pub mod finding;
pub mod local;
pub mod servers;

use crate::cli::doctor::finding::{Finding, State};
use crate::cli::figures;
use crate::cli::file::File;
use crate::cli::reach::{Access, Admin};
use crate::cli::say::{self, Ended, Format, Way};
use crate::cli::stat;
use crate::config::Config;
use crate::strategies::SourceAt;
use cache_core::ops::exit::Exit;
use std::time::Duration;
use tonic::transport::Endpoint;

/// How long a connection to the application may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// The arguments of `doctor`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(flatten)]
    file: File,
    /// Only what is wrong
    #[arg(long)]
    quiet: bool,
    #[command(flatten)]
    access: Access,
}

const HELP: &str = "\
Example:
  cache-agent doctor --config agent.toml

Looks at the configuration, the ports, the limits, every node of Redis, NATS, the application
where it loads, and an agent that runs; joins the domain as an agent would, and leaves. Writes
nothing but what every process of the domain writes when it joins. Exit code 3: something is
bad.";

/// Looks at everything.
pub async fn run(args: &Args, way: &Way) -> Ended {
    let (config, _) = args.file.read(&way.given)?;
    let mut out = Out {
        format: way.format,
        coloured: way.coloured,
        quiet: args.quiet,
        part: "",
        worst: State::Ok,
    };
    let path = args.file.path.display();
    let noun = if config.caches.len() == 1 {
        "cache"
    } else {
        "caches"
    };
    let text = format!("{path}: {} {noun}", config.caches.len());
    out.tell(vec![Finding::ok("configuration", text)])?;
    out.tell(local::settings(&config))?;
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    out.tell(local::files(&config, &limits))?;
    out.tell(agent(&config, args.access.clone()).await)?;
    out.tell(servers::all(&config.domain).await)?;
    if let Some(at) = &config.strategies.source {
        out.tell(vec![application(at).await])?;
    }
    Ok(match out.worst {
        State::Bad => Exit::Problems,
        State::Ok | State::Warn => Exit::Done,
    })
}

/// Where findings go.
struct Out {
    format: Format,
    coloured: bool,
    quiet: bool,
    part: &'static str,
    worst: State,
}

impl Out {
    fn tell(&mut self, all: Vec<Finding>) -> Result<(), say::Trouble> {
        for one in all {
            self.worst = self.worst.max(one.state);
            if self.quiet && one.state == State::Ok {
                continue;
            }
            match self.format {
                Format::Json => say::unless_gone(say::object(&one))?,
                Format::Text => {
                    if self.part != one.part {
                        self.part = one.part;
                        say::unless_gone(say::line(one.part))?;
                    }
                    say::unless_gone(say::line(&one.line(self.coloured)))?;
                }
            }
        }
        Ok(())
    }
}

/// The agent with this configuration, if it runs; and if not, whether it could listen.
async fn agent(config: &Config, access: Access) -> Vec<Finding> {
    const PART: &str = "agent";
    let address = format!("http://{}", config.admin);
    let Ok(reached) = Admin::at(&address, access).connect().await else {
        let mut found = vec![Finding::ok(PART, format!("none runs at {address}"))];
        found.extend(local::doors(config));
        return found;
    };
    match figures::look(&reached, &[]).await {
        Ok(stats) => {
            let up = figures::uptime(&stats);
            let text = format!("version {}, up for {up:.0?}", stats.version);
            let state = stat::state(&stats);
            let how = match state.as_str() {
                "ok" => Finding::ok(PART, "it says that it is well"),
                _ => Finding::bad(PART, state, "see below, and its log"),
            };
            vec![Finding::ok(PART, text), how]
        }
        Err(trouble) if asks_for_a_token(&trouble) => {
            let text = format!("one runs at {address}, which asks who is calling");
            let mend = "name a file with a token of an [[identity]] by --token-file";
            vec![Finding::warn(PART, text, mend)]
        }
        Err(trouble) => {
            let text = format!("something listens at {address}: {}", trouble.text);
            let mend = "if that is no agent, choose another admin.address";
            vec![Finding::warn(PART, text, mend)]
        }
    }
}

fn asks_for_a_token(trouble: &say::Trouble) -> bool {
    let reason = trouble.reason.as_deref();
    reason.is_some_and(|reason| reason.starts_with("TOKEN_"))
}

async fn application(at: &SourceAt) -> Finding {
    const PART: &str = "application";
    let endpoint = match Endpoint::from_shared(at.address.clone()) {
        Ok(endpoint) => endpoint.connect_timeout(PATIENCE),
        Err(error) => {
            let text = format!("{}: {error}", at.address);
            return Finding::bad(PART, text, "write loader.address anew");
        }
    };
    match endpoint.connect().await {
        Ok(_) => Finding::ok(PART, format!("{} listens", at.address)),
        Err(error) => {
            let text = format!("{}: {}", at.address, crate::cli::reach::cause(&error));
            let mend = "start the application; it implements LoaderService (docs/loader.md)";
            Finding::bad(PART, text, mend)
        }
    }
}
