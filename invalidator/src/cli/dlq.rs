//! `invalidator dlq`.

use crate::cli::exit::{complain, say};
use crate::cli::files::Files;
use crate::config::{RulesFile, Service};
use crate::operate::letters::{Letter, Letters, Retried};
use crate::rules::Rules;
use crate::source::Link;
use cache_core::Error;
use cache_core::ops::exit::Exit;
use serde_json::json;

/// The arguments of `dlq`.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, clap::Subcommand)]
enum What {
    /// List the letters, oldest first
    List {
        #[command(flatten)]
        files: Files,
        /// For programs: one object a line
        #[arg(long)]
        json: bool,
    },
    /// Show one letter with all its headers and its event
    Show {
        /// Its number in the list
        letter: u64,
        #[command(flatten)]
        files: Files,
        /// For programs: one object
        #[arg(long, conflicts_with = "event")]
        json: bool,
        /// Only the event, as for `invalidator explain`
        #[arg(long)]
        event: bool,
    },
    /// Publish events again that the rules can read by now
    Retry {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        files: Files,
    },
    /// Delete letters
    Drop {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        files: Files,
        /// Really: a letter is gone for good
        #[arg(long)]
        yes: bool,
    },
}

/// One letter or all of them.
#[derive(Clone, Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct Which {
    /// The number of a letter in the list
    letter: Option<u64>,
    /// All letters of this consumer
    #[arg(long)]
    all: bool,
}

const HELP: &str = "\
Examples:
  invalidator dlq list --config invalidator.toml --rules rules.toml
  invalidator dlq show 12 --event --config invalidator.toml --rules rules.toml |
    invalidator explain --rules rules.toml
  invalidator dlq retry --all --config invalidator.toml --rules rules.toml
  invalidator dlq drop 12 --yes --config invalidator.toml --rules rules.toml

No cache is stale because of a letter: what its event may have meant was cleared when the
letter was written. Exit code 3 if a letter was kept that was to be tried again.";

/// Does what was asked with the letters.
pub async fn run(args: &Args) -> Exit {
    let work = async |service: Service, file: RulesFile| {
        let link = Link::connect(&service.events, "invalidator dlq").await?;
        let source = &file.source;
        let letters =
            Letters::open(link, &service.letters, &source.stream, &source.durable).await?;
        match &args.what {
            What::List { json, .. } => list(&letters, *json).await,
            What::Show {
                letter,
                json,
                event,
                ..
            } => Ok(show(&letters.one(*letter).await?, *json, *event)),
            What::Retry { which, .. } => retry(&letters, which, &file.rules).await,
            What::Drop { which, yes, .. } => delete(&letters, which, *yes).await,
        }
    };
    let (What::List { files, .. }
    | What::Show { files, .. }
    | What::Retry { files, .. }
    | What::Drop { files, .. }) = &args.what;
    files.with(work).await
}

async fn list(letters: &Letters, json: bool) -> Result<Exit, Error> {
    let mut all = letters.all().await?;
    while let Some(kept) = all.next_stored().await? {
        let letter = Letter { kept };
        let text = match json {
            true => format!("{}\n", letter.json()),
            false => format!("{letter}\n"),
        };
        match say(&text) {
            Exit::Done => {}
            exit => return Ok(exit),
        }
    }
    Ok(Exit::Done)
}

fn show(letter: &Letter, json: bool, event: bool) -> Exit {
    match (json, event) {
        (true, _) => say(&format!("{:#}\n", letter.whole_json())),
        (_, true) => say(&String::from_utf8_lossy(&letter.kept.payload)),
        _ => say(&letter.whole()),
    }
}

async fn chosen(letters: &Letters, which: &Which) -> Result<Vec<Letter>, Error> {
    if let Some(letter) = which.letter {
        return Ok(vec![letters.one(letter).await?]);
    }
    let mut found = Vec::new();
    let mut all = letters.all().await?;
    while let Some(kept) = all.next_stored().await? {
        found.push(Letter { kept });
    }
    Ok(found)
}

async fn retry(letters: &Letters, which: &Which, rules: &Rules) -> Result<Exit, Error> {
    let mut exit = Exit::Done;
    for letter in chosen(letters, which).await? {
        let retried = letters.retry(&letter, rules).await?;
        if !matches!(retried, Retried::Stored(_)) {
            exit = Exit::Problems;
        }
        let told = say(&format!("letter {}: {retried}\n", letter.kept.sequence));
        if told != Exit::Done {
            return Ok(told);
        }
    }
    Ok(exit)
}

async fn delete(letters: &Letters, which: &Which, yes: bool) -> Result<Exit, Error> {
    let chosen = chosen(letters, which).await?;
    if !yes {
        for letter in &chosen {
            complain(letter);
        }
        complain(&"nothing was deleted; with --yes these are gone for good");
        return Ok(Exit::Usage);
    }
    for letter in &chosen {
        letters.drop(letter.kept.sequence).await?;
    }
    Ok(say(&format!("{}\n", json!({"deleted": chosen.len()}))))
}
