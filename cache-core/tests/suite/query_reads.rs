//! What a statement reads: its tables wherever they stand, and what is refused.

use crate::query::{DIALECTS, query};
use cache_core::Kind;
use cache_core::query::Query;
use cache_core::query::refusal::{JOINS_MAX, Refusal, SQL_BYTES_MAX};
use cache_core::query::spelling::Dialect;
use proptest::prelude::*;
use std::error::Error as _;

/// Statements and the tables that they read.
const READS: &[(&str, &[&str])] = &[
    ("select 1", &[]),
    ("select * from Users", &["users"]),
    (
        "select * from public.users, \"Orders\" o",
        &["orders", "public.users"],
    ),
    ("select * from db.public.users", &["public.users"]),
    (
        "select * from a join b on a.x = b.x left join c using (y)",
        &["a", "b", "c"],
    ),
    (
        "select * from (select * from a) x cross join lateral (select * from b) y",
        &["a", "b"],
    ),
    (
        "select (select max(x) from a) from b where exists (select 1 from c)",
        &["a", "b", "c"],
    ),
    (
        "select * from a where x in (select x from b) order by (select 1 from c)",
        &["a", "b", "c"],
    ),
    (
        "select * from a union select * from b except (select * from c)",
        &["a", "b", "c"],
    ),
    (
        "with x as (select * from a), y as (select * from x) select * from y join b on true",
        &["a", "b"],
    ),
    (
        "with users as (select * from users) select * from users",
        &["users"],
    ),
    (
        "with recursive x as (select 1 from a union select 1 from x) select * from x",
        &["a"],
    ),
    (
        "with x as (select * from y), y as (select 1) select * from x, y",
        &["y"],
    ),
    (
        "select * from (with x as (select * from a) select * from x) q join x on true",
        &["a", "x"],
    ),
    ("with \"X\" as (select 1) select * from x", &["x"]),
    ("with x as (select 1) select * from public.x", &["public.x"]),
    (
        "select * from generate_series(1, 9) g join a on a.x = g",
        &["a"],
    ),
    (
        "select * from a, unnest(array(select x from b)) q",
        &["a", "b"],
    ),
    (
        "select case when x then (select 1 from a) end, sum(y) filter (where z in (select z from b)) over (partition by (select 1 from c)) from d",
        &["a", "b", "c", "d"],
    ),
    (
        "select * from ((a join b on true) join c on true)",
        &["a", "b", "c"],
    ),
    ("values (1), ((select 1 from a))", &["a"]),
];

fn tables(sql: &str) -> Vec<String> {
    let tags = query(sql).tags();
    let tables = tags.iter().map(|tag| tag.as_str().strip_prefix("table:"));
    tables
        .map(|table| table.expect("a table").to_owned())
        .collect()
}

fn refusal(sql: &str, dialect: Dialect) -> Refusal {
    let error = match Query::parse(sql, dialect) {
        Ok(query) => panic!("{query:?}"),
        Err(error) => error,
    };
    assert_eq!(error.kind(), Kind::Invalid);
    let cause = error.source().expect("a cause").downcast_ref::<Refusal>();
    cause.expect("a refusal").clone()
}

#[test]
fn every_table_that_is_read_is_found() {
    for (sql, expected) in READS {
        assert_eq!(tables(sql), *expected, "{sql}");
    }
}

#[test]
fn what_is_no_plain_read_is_refused() {
    for sql in [
        "insert into a values (1)",
        "update a set x = 1",
        "delete from a",
        "truncate a",
        "create table a (x int)",
        "select * from a for update",
        "select * from (select * from a for share) x",
        "select * into b from a",
        "with x as (delete from a returning *) select * from x",
        "with x as (insert into a values (1) returning *) select * from x",
        "explain select * from a",
        "set x = 1",
        "show x",
        "select * from a union table b",
    ] {
        let refusal = refusal(sql, Dialect::Postgres);
        assert!(
            matches!(refusal, Refusal::NotARead(_)),
            "{sql}: {refusal:?}"
        );
    }
    for (sql, count) in [("", 0), (" ; -- nothing", 0), ("select 1; select 2", 2)] {
        assert_eq!(
            refusal(sql, Dialect::Postgres),
            Refusal::NotOne(count),
            "{sql}"
        );
    }
    // MySQL carries such a comment out.
    let hint = Query::parse("select 1 /*! from a */", Dialect::MySql).expect("it is a read");
    assert_eq!(hint.tags()[0].as_str(), "table:a");
}

#[test]
fn what_changes_by_itself_is_refused_with_a_hint() {
    for sql in [
        "select now()",
        "select * from a where t > NOW() - interval '1 day'",
        "select * from a where t > current_date",
        "select * from a where t > 'today'",
        "select date 'yesterday'",
        "select pg_catalog.random()",
        "select * from a order by random() limit 1",
        "select nextval('s')",
        "select gen_random_uuid()",
        "select current_user",
        "select * from pg_stat_activity",
        "select * from pg_catalog.pg_class",
        "select * from information_schema.tables",
        "select pg_try_advisory_lock(1)",
        "select table_to_xml('users', true, false, '')",
        "select * from a where owner = session_user",
        "select current_setting('app.tenant')",
        "select age(born) from a",
        "select * from a tablesample bernoulli (10)",
        "select * from dblink('x', 'select 1') as t(x int)",
        "with x as (select localtimestamp) select * from x",
    ] {
        let refusal = refusal(sql, Dialect::Postgres);
        assert!(
            matches!(refusal, Refusal::Volatile(_)),
            "{sql}: {refusal:?}"
        );
    }
    for sql in [
        "select @x",
        "select @@hostname",
        "select rand()",
        "select unix_timestamp()",
    ] {
        let refusal = refusal(sql, Dialect::MySql);
        assert!(
            matches!(refusal, Refusal::Volatile(_)),
            "{sql}: {refusal:?}"
        );
    }
    for sql in [
        "select age(a, b) from t",
        "select \"current_user\" from t",
        "select t.random from t",
    ] {
        query(sql);
    }
    let error = Query::parse("select now()", Dialect::Postgres).expect_err("a clock");
    assert!(
        error.to_string().contains("bind the value as a parameter"),
        "{error}"
    );
}

#[test]
fn queries_beyond_the_limits_are_refused() {
    let refused = |sql: &str| refusal(sql, Dialect::Postgres);
    let long = format!("select '{}'", "x".repeat(SQL_BYTES_MAX));
    assert!(matches!(refused(&long), Refusal::TooLong(_)));
    let sum = format!("select 1{}", "+1".repeat(2_000));
    assert!(
        matches!(refused(&sum), Refusal::TooLarge(2_001, 0)),
        "{:?}",
        refused(&sum)
    );
    let joins = format!("select 1 from a{}", " cross join a".repeat(JOINS_MAX + 1));
    assert!(matches!(refused(&joins), Refusal::TooLarge(..)));
    let all = (0..33)
        .map(|n| format!("t{n}"))
        .collect::<Vec<_>>()
        .join(", ");
    assert_eq!(
        refused(&format!("select * from {all}")),
        Refusal::TooManyTables(33)
    );
    let table = format!("select * from {}", "t".repeat(128));
    assert!(matches!(refused(&table), Refusal::Table(_)));
    for bad in ["selec 1", "select 'x", "select * from", "select )"] {
        assert!(matches!(refused(bad), Refusal::Unreadable(_)), "{bad}");
    }
    let values = (0..5_000)
        .map(|n| n.to_string())
        .collect::<Vec<_>>()
        .join(", ");
    query(&format!("select * from a where id in ({values})"));
}

#[test]
fn what_is_deeply_nested_is_read_or_refused_and_ends_nobody() {
    let nested = |open: &str, middle: &str, close: &str, count: usize| {
        format!("{}{middle}{}", open.repeat(count), close.repeat(count))
    };
    for count in [5, 20, 45, 64, 300, 900, 5_000] {
        for sql in [
            format!("select {}", nested("(", "1", ")", count)),
            format!("select {}", nested("(select ", "1", ")", count)),
            format!(
                "select 1 from {}",
                nested("(select 1 from ", "t", ") x", count)
            ),
            format!(
                "select 1 from {}",
                nested("a join ", "b", " on true", count)
            ),
            format!("select {}", nested("f(", "1", ")", count)),
            format!("select {}", nested("not ", "true", "", count)),
            format!("select {}", nested("- ", "1", "", count)),
            format!(
                "select {}",
                nested("case when true then ", "1", " end", count)
            ),
            format!("select 1{}", nested("", "", "::int", count)),
            format!("select 1{}", nested("", "", " or 1", count)),
            format!("select 1{}", nested("", "", " union select 1", count)),
            format!("select 1::int{}", nested("", "", "[]", count)),
        ] {
            for dialect in DIALECTS {
                let _ = Query::parse(&sql, dialect);
            }
        }
    }
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(sql in "\\PC{0,60}", dialect in 0..3_usize) {
        let _ = Query::parse(&sql, DIALECTS[dialect]);
    }

    #[test]
    fn no_words_of_sql_make_the_parser_panic(
        words in prop::collection::vec(prop::sample::select(vec![
            "select", "from", "where", "with", "as", "(", ")", ",", "'", "\"", "`", "a", "t", "1",
            "join", "on", "union", "in", "not", "/*", "*/", "--", "\n", "$1", "?", "@x", ".", "*",
            "::", "[", "]", "e'\\", "x'1", "$$", "case", "end", "interval", "for update", ";", "é",
        ]), 0..40),
        dialect in 0..3_usize,
    ) {
        let _ = Query::parse(&words.join(" "), DIALECTS[dialect]);
        let _ = Query::parse(&words.concat(), DIALECTS[dialect]);
    }
}
