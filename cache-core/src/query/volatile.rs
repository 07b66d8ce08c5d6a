//! What answers otherwise though no table changed: clocks, chance, sequences, and whoever
//! asks.

use super::refusal::Refusal;
use sqlparser::ast::{Expr, FunctionArguments, Ident, ObjectName};

/// Functions that are refused whatever they are called with.
const ALWAYS: [&str; 77] = [
    "benchmark",
    "clock_timestamp",
    "connection_id",
    "curdate",
    "current_catalog",
    "current_database",
    "current_date",
    "current_query",
    "current_role",
    "current_schema",
    "current_schemas",
    "current_setting",
    "current_time",
    "current_timestamp",
    "current_user",
    "currval",
    "curtime",
    "database",
    "dblink",
    "found_rows",
    "gen_random_bytes",
    "gen_random_uuid",
    "generate_uuid",
    "get_lock",
    "getdate",
    "getutcdate",
    "inet_client_addr",
    "inet_client_port",
    "is_free_lock",
    "is_used_lock",
    "last_insert_id",
    "lastval",
    "load_file",
    "localtime",
    "localtimestamp",
    "newid",
    "newsequentialid",
    "nextval",
    "now",
    "pg_backend_pid",
    "pg_current_snapshot",
    "pg_current_wal_lsn",
    "pg_current_xact_id",
    "pg_is_in_recovery",
    "pg_last_wal_replay_lsn",
    "pg_notify",
    "rand",
    "random",
    "random_bytes",
    "random_normal",
    "release_all_locks",
    "release_lock",
    "row_count",
    "schema",
    "session_user",
    "set_config",
    "setseed",
    "setval",
    "sleep",
    "statement_timestamp",
    "sysdate",
    "sysdatetime",
    "system_user",
    "systimestamp",
    "sysutcdatetime",
    "timeofday",
    "transaction_timestamp",
    "txid_current",
    "txid_current_snapshot",
    "user",
    "utc_date",
    "utc_time",
    "utc_timestamp",
    "uuid",
    "uuid_short",
    "uuidv4",
    "uuidv7",
];

/// How names of functions begin that are refused: locks, statistics, files, chance, and what
/// reads tables that its text names.
const BEGINNINGS: [&str; 12] = [
    "cursor_to_xml",
    "database_to_xml",
    "pg_advisory_",
    "pg_ls_",
    "pg_read_",
    "pg_sleep",
    "pg_stat_",
    "pg_try_advisory_",
    "query_to_xml",
    "schema_to_xml",
    "table_to_xml",
    "uuid_generate_",
];

/// Schemas of the databases themselves: no event tells of a change there.
const CATALOGS: [&str; 5] = [
    "information_schema",
    "mysql",
    "performance_schema",
    "pg_catalog",
    "sys",
];

/// Functions that count from today if they are called with so many arguments.
const FROM_TODAY: [(&str, usize); 2] = [("age", 1), ("unix_timestamp", 0)];

/// Words that are calls without brackets in some dialect, and no likely name of a column.
const WITHOUT_BRACKETS: [&str; 14] = [
    "current_catalog",
    "current_date",
    "current_role",
    "current_schema",
    "current_time",
    "current_timestamp",
    "current_user",
    "localtime",
    "localtimestamp",
    "session_user",
    "sysdate",
    "system_user",
    "systimestamp",
    "utc_timestamp",
];

/// Texts that PostgreSQL reads as a moving date, where it wants a date.
const MOVING_DATES: [&str; 4] = ["now", "today", "tomorrow", "yesterday"];

/// Refuses an expression that answers otherwise by itself.
pub(crate) fn check(expr: &Expr) -> Result<(), Refusal> {
    match expr {
        Expr::Function(function) => {
            let given = match &function.args {
                FunctionArguments::None => 0,
                FunctionArguments::Subquery(_) => 1,
                FunctionArguments::List(list) => list.args.len(),
            };
            call(&function.name, given)
        }
        Expr::Identifier(name) => word(name, &WITHOUT_BRACKETS),
        Expr::CompoundIdentifier(parts) => match parts.last() {
            Some(last) => word(last, &["currval", "nextval"]),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Refuses a call by its name and the number of its arguments.
pub(crate) fn call(name: &ObjectName, given: usize) -> Result<(), Refusal> {
    let last = name.0.last().and_then(|part| part.as_ident());
    let Some(last) = last.map(|last| last.value.to_lowercase()) else {
        return Ok(());
    };
    let from_today = FROM_TODAY.contains(&(last.as_str(), given));
    let begins = BEGINNINGS.iter().any(|begin| last.starts_with(begin));
    match begins || from_today || ALWAYS.contains(&last.as_str()) {
        true => Err(Refusal::Volatile(format!("{last}()"))),
        false => Ok(()),
    }
}

fn word(name: &Ident, refused: &[&str]) -> Result<(), Refusal> {
    let text = name.value.to_lowercase();
    match name.quote_style.is_none() && refused.contains(&text.as_str()) {
        true => Err(Refusal::Volatile(text)),
        false => Ok(()),
    }
}

/// Whether a table, by its name or its schema's and its name, is the database's own.
pub(crate) fn is_catalog(name: &str) -> bool {
    match name.split_once('.') {
        Some((schema, _)) => CATALOGS.contains(&schema),
        None => name.starts_with("pg_"),
    }
}

/// Whether a text is a date that moves, if it is a date at all.
pub(crate) fn is_moving_date(text: &str) -> bool {
    MOVING_DATES.contains(&text.trim().to_lowercase().as_str())
}
