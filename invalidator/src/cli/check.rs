//! `invalidator check`.

use crate::at::{POSTGRES, address};
use crate::catalog::judge::judge;
use crate::catalog::read::tables;
use crate::catalog::report::{problems, report};
use crate::cli::exit::{complain, read, say};
use crate::config;
use crate::postgres::connect;
use crate::rules::Rules;
use cache_core::Error;
use cache_core::ops::exit::Exit;
use std::path::PathBuf;

/// The arguments of `check`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// The rules file
    rules: PathBuf,
    /// A service file to check as well
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The address of a PostgreSQL to compare the rules with: which old values its
    /// changes will have. A password belongs into the environment
    #[arg(long, value_name = "URL", env = "CHECK_DB_URL", hide_env_values = true)]
    db: Option<String>,
}

/// Checks the files, and shows what they come to.
pub async fn run(args: &Args) -> Exit {
    let rules = read(&args.rules, config::rules);
    let service = args.config.as_ref().map(|file| {
        // As it stands: what the environment adds is not the file's fault.
        read(file, |name, text| config::service(name, text, &[]))
    });
    if let Some(Err(exit)) = service {
        return exit;
    }
    let rules = match rules {
        Ok(file) => file.rules,
        Err(exit) => return exit,
    };
    let count = rules.all.len() + rules.reading.messages.len();
    let noun = if count == 1 { "rule" } else { "rules" };
    let mut text = format!("{}: no problems, {count} {noun}\n", args.rules.display());
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
    match (say(&text), &args.db) {
        (Exit::Done, Some(url)) => compare(args, &rules, url).await,
        (said, _) => said,
    }
}

/// Compares the rules with the catalog of a database.
async fn compare(args: &Args, rules: &Rules, url: &str) -> Exit {
    let at = match address(url, &POSTGRES) {
        Ok(at) => at,
        Err(wrong) => {
            complain(&format_args!("--db: {wrong}"));
            return Exit::Usage;
        }
    };
    let asked: Result<_, Error> = async { tables(&connect(&at).await?).await }.await;
    let found = match asked {
        Ok(tables) => judge(rules, &tables),
        Err(error) => {
            complain(&error);
            return Exit::from(&error);
        }
    };
    let file = args.rules.display().to_string();
    match (say(&report(&file, &found)), problems(&found)) {
        (Exit::Done, 1..) => Exit::Problems,
        (said, _) => said,
    }
}
