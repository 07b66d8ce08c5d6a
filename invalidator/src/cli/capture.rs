//! `invalidator capture`.

use crate::capture::app;
use crate::capture::mariadb;
use crate::capture::outbox::{self, sql::sql};
use crate::capture::settings::{Table, settings, table};
use crate::cli::exit::{read, say};
use crate::cli::life::live;
use cache_core::config::overrides::Override;
use cache_core::config::report::Report;
use cache_core::ops::exit::Exit;
use clap::Subcommand;
use std::path::PathBuf;

/// The arguments of `capture`.
#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    source: Source,
}

#[derive(Clone, Debug, Subcommand)]
enum Source {
    /// Write the changes of a PostgreSQL database into the stream
    Postgres(Files),
    /// Write the changes of a MariaDB into the stream
    Mariadb(Files),
    /// Write what a table holds into the stream, where there is no replication
    Outbox(Files),
    /// Print the statements that make such a table, and triggers that fill it
    OutboxSql(Tables),
}

#[derive(Clone, Debug, clap::Args)]
struct Tables {
    /// Tables whose changes a trigger tells, as public.users
    #[arg(value_name = "TABLE", value_parser = named)]
    tables: Vec<Table>,
}

fn named(text: &str) -> Result<Table, String> {
    match table(text)? {
        Table::All => Err("name each table: a trigger is of one".to_owned()),
        named => Ok(named),
    }
}

/// An address with a password belongs into the environment: everybody on the machine can
/// read arguments.
#[derive(Clone, Debug, clap::Args)]
struct Files {
    /// The file of the capture
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// In place of `url` of the database
    #[arg(
        long,
        value_name = "URL",
        env = "CAPTURE_DATABASE_URL",
        hide_env_values = true
    )]
    database_url: Option<String>,
    /// In place of `url` in [events]
    #[arg(
        long,
        value_name = "URL",
        env = "INVALIDATOR_EVENTS_URL",
        hide_env_values = true
    )]
    events_url: Option<String>,
}

/// Captures until it is asked to end.
pub async fn run(args: Args) -> Exit {
    match args.source {
        Source::Postgres(files) => match files.read("postgres", settings) {
            Ok(file) => live(file.admin, |admin, stop| app::live(file, admin, stop)).await,
            Err(exit) => exit,
        },
        Source::Mariadb(files) => match files.read("mariadb", mariadb::settings::settings) {
            Ok(file) => {
                live(file.admin, |admin, stop| {
                    mariadb::app::live(file, admin, stop)
                })
                .await
            }
            Err(exit) => exit,
        },
        Source::Outbox(files) => match files.read("outbox", outbox::settings::settings) {
            Ok(file) => {
                live(file.admin, |admin, stop| {
                    outbox::app::live(file, admin, stop)
                })
                .await
            }
            Err(exit) => exit,
        },
        Source::OutboxSql(tables) => say(&sql(&tables.tables)),
    }
}

impl Files {
    /// Reads the file with `parse`, and says everything that is wrong with it.
    fn read<S>(
        &self,
        database: &'static str,
        parse: impl FnOnce(&str, &str, &[Override]) -> Result<S, Report>,
    ) -> Result<S, Exit> {
        let given = self.given(database);
        let parsed = read(&self.config, |name, text| parse(name, text, &given));
        parsed.map_err(|_| Exit::Usage)
    }

    /// What stands in place of what the file says.
    fn given(&self, database: &'static str) -> Vec<Override> {
        let url = |table, url: &Option<String>| Some(Override::text(table, "url", url.clone()?));
        let given = [
            url(database, &self.database_url),
            url("events", &self.events_url),
        ];
        given.into_iter().flatten().collect()
    }
}
