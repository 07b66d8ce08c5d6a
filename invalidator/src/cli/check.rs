//! `invalidator check`.

use crate::at::{At, POSTGRES, address};
use crate::capture::settings;
use crate::catalog::judge::judge;
use crate::catalog::read::tables;
use crate::catalog::report::{problems, report};
use crate::cli::exit::{complain, ended_with, read, say};
use crate::cli::files::Places;
use crate::config::{self, RulesFile, Service};
use crate::operate::fitness::Level;
use crate::operate::look::{Looked, look};
use crate::postgres::connect;
use crate::rules::Rules;
use crate::settings::{Repeat, SourceSettings};
use crate::source::Link;
use cache_core::Error;
use cache_core::config::units::Span;
use cache_core::ops::exit::Exit;
use serde_json::json;
use std::path::{Path, PathBuf};

/// The arguments of `check`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    /// The rules file
    rules: PathBuf,
    /// A service file to check as well
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Look at the stream too: whether it lasts for `outage` of [source]
    #[arg(long, requires = "config")]
    stream: bool,
    /// What was found in the stream, for programs: one object
    #[arg(long, requires = "stream")]
    json: bool,
    /// The address of a PostgreSQL to compare the rules with, or the file of its capture,
    /// which has the files of TLS too: which old values its changes will have. A password
    /// belongs into the environment
    #[arg(
        long,
        value_name = "URL|FILE",
        env = "CHECK_DB_URL",
        hide_env_values = true
    )]
    db: Option<String>,
    #[command(flatten)]
    places: Places,
}

const HELP: &str = "\
Examples:
  invalidator check rules.toml
  invalidator check rules.toml --config invalidator.toml --stream
  invalidator check rules.toml --db postgres://app@127.0.0.1/shop
  invalidator check rules.toml --db capture.toml

Without --stream and --db it connects to nothing, and addresses from outside are left out.";

/// Checks the files, and shows what they come to.
pub async fn run(args: &Args) -> Exit {
    let rules = read(&args.rules, config::rules);
    // As it stands, unless it is used: what the environment adds is not the file's fault.
    let overrides = match args.stream {
        true => args.places.overrides(),
        false => Vec::new(),
    };
    let service = args
        .config
        .as_ref()
        .map(|file| read(file, |name, text| config::service(name, text, &overrides)));
    let service = match service.transpose() {
        Ok(service) => service,
        Err(exit) => return exit,
    };
    let RulesFile { source, rules } = match rules {
        Ok(file) => file,
        Err(exit) => return exit,
    };
    let told = match args.json {
        true => Exit::Done,
        false => say(&summary(&args.rules, &rules, source.repeat)),
    };
    let of_database = match &args.db {
        Some(given) if told == Exit::Done => match database(given) {
            Ok(at) => compare(&args.rules, &rules, &at).await,
            Err(exit) => exit,
        },
        _ => told,
    };
    match service {
        Some(service) if args.stream && told == Exit::Done => {
            let of_stream = of_stream(&service, &source, args.json).await;
            worse(of_database, of_stream)
        }
        _ => of_database,
    }
}

/// The one that is not well, if there is one.
fn worse(one: Exit, other: Exit) -> Exit {
    match one {
        Exit::Done => other,
        one => one,
    }
}

/// Where the database is, by its address or in the file of its capture.
fn database(given: &str) -> Result<At, Exit> {
    if Path::new(given).is_file() {
        let file = read(Path::new(given), |name, text| {
            settings::settings(name, text, &[])
        });
        return Ok(file?.database.at);
    }
    address(given, &POSTGRES).map_err(|wrong| {
        complain(&format_args!("--db: {wrong}"));
        Exit::Usage
    })
}

/// Compares the rules with the catalog of a database.
async fn compare(file: &Path, rules: &Rules, at: &At) -> Exit {
    let asked: Result<_, Error> = async { tables(&connect(at).await?).await }.await;
    let found = match asked {
        Ok(tables) => judge(rules, &tables),
        Err(error) => return ended_with(Err(error)),
    };
    let text = report(&file.display().to_string(), &found);
    match (say(&text), problems(&found)) {
        (Exit::Done, 1..) => Exit::Problems,
        (said, _) => said,
    }
}

fn summary(file: &Path, rules: &Rules, repeat: Repeat) -> String {
    let count = rules.all.len() + rules.reading.messages.len();
    let noun = if count == 1 { "rule" } else { "rules" };
    let mut text = format!("{}: no problems, {count} {noun}\n", file.display());
    for rule in &rules.all {
        let templates: Vec<_> = rule.templates().map(|template| template.as_str()).collect();
        text += &format!(
            "  {} -> {}: {}\n",
            rule.table,
            rule.cache,
            templates.join(", ")
        );
    }
    for prefix in &rules.reading.messages {
        text += &format!("  messages `{}`: native events\n", prefix.text);
    }
    text += &match repeat {
        _ if repeat.after().is_zero() => "  nothing is announced a second time\n".to_owned(),
        Repeat::All(after) => format!("  all is announced again after {after:?}\n"),
        Repeat::Early(after) => format!(
            "  what may come before its readers see it is announced again after {after:?}\n"
        ),
    };
    text
}

async fn of_stream(service: &Service, source: &SourceSettings, json: bool) -> Exit {
    let looked = async {
        let link = Link::connect(&service.events, "invalidator check").await?;
        look(&link, source).await
    };
    let looked = match looked.await {
        Ok(looked) => looked,
        Err(error) => return ended_with(Err(error)),
    };
    let text = match json {
        true => {
            let all: Vec<_> = looked.findings.iter().map(|one| one.json()).collect();
            format!("{:#}\n", json!({ "findings": all }))
        }
        false => shown(&looked, source),
    };
    let is_problem = |level| level == Level::Problem;
    match say(&text) {
        Exit::Done if looked.findings.iter().any(|one| is_problem(one.level)) => Exit::Problems,
        exit => exit,
    }
}

fn shown(looked: &Looked, source: &SourceSettings) -> String {
    let Looked { holds, findings } = looked;
    let mut text = format!(
        "{}: {} events over {}, and an outage of {} must lose none\n",
        source.stream,
        holds.messages,
        Span(holds.span),
        Span(source.outage)
    );
    for finding in findings {
        text += &format!("{finding}\n");
    }
    if findings.is_empty() {
        text += "  nothing to mend\n";
    }
    text
}
