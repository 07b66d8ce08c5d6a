//! `invalidator check`.

use crate::cli::exit::{read, say};
use crate::config;
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
}

/// Checks the files, and shows what they come to.
pub fn run(args: &Args) -> Exit {
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
    say(&text)
}
