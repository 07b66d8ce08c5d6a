//! Rows, losses and heartbeats in the native format.

use crate::formats::{one, parse};
use crate::world;
use cache_core::config::reader;
use cache_core::model::tag::Tag;
use cache_core::wire::invalidation::Target;
use invalidator::change::{Cell, Change, Format, Op};
use invalidator::decide::{Counted, decide};
use invalidator::format::received::Received;
use invalidator::rules::Rules;

fn change(event: &str) -> Change {
    let parsed = parse(event.as_bytes()).expect(event);
    assert_eq!(parsed.format, Format::Native);
    one(parsed)
}

#[test]
fn a_native_row_has_what_is_known_of_it_before_and_after() {
    let event = r#"{"cacheaside": 1, "op": "update", "schema": "public", "table": "users",
        "old": {"id": "7"}, "new": {"id": "7", "email": "a@example.org", "team": null},
        "unchanged": ["bio"], "source_time_ms": 1700000000000, "from_tomorrow": true}"#;
    let Change::Row(row) = change(event) else {
        panic!("no row");
    };
    assert_eq!(row.table.to_string(), "public.users");
    assert_eq!(row.op, Op::Update);
    assert_eq!(row.changed_ms, Some(1_700_000_000_000));
    let (old, new) = (row.old.expect("old"), row.new.expect("new"));
    assert_eq!(old.cell("id"), Cell::Text("7".into()));
    assert_eq!(old.cell("email"), Cell::Absent);
    assert_eq!(old.cell("bio"), Cell::Absent, "the old row may lack it");
    assert_eq!(new.cell("team"), Cell::Null);
    assert_eq!(new.cell("bio"), Cell::Unchanged);
}

#[test]
fn a_truncated_table_needs_no_rows() {
    let event = r#"{"cacheaside": 1, "op": "truncate", "database": "shop",
        "schema": "public", "table": "users"}"#;
    let Change::Row(row) = change(event) else {
        panic!("no row");
    };
    assert_eq!(row.table.to_string(), "shop.public.users");
    assert_eq!((row.op, row.old, row.new), (Op::Truncate, None, None));
}

#[test]
fn native_rows_that_are_malformed_say_what_is_wrong_and_which_table_it_is() {
    let table = r#""cacheaside": 1, "schema": "public", "table": "users""#;
    for (rest, why) in [
        (r#""op": "upsert""#, "one of insert, update, delete"),
        (r#""op": 7"#, "`op` must be a string"),
        (r#""op": "insert""#, "`new` is missing from the insert"),
        (
            r#""op": "update", "old": {}"#,
            "`new` is missing from the update",
        ),
        (
            r#""op": "delete", "new": {}"#,
            "`old` is missing from the delete",
        ),
        (r#""op": "insert", "new": []"#, "`new` must be an object"),
        (
            r#""op": "insert", "new": {}, "unchanged": "bio""#,
            "a list of columns",
        ),
        (
            r#""op": "insert", "new": {}, "source_time_ms": -1"#,
            "whole milliseconds",
        ),
    ] {
        let event = format!("{{{table}, {rest}}}");
        let error = parse(event.as_bytes()).expect_err(&event);
        assert!(error.why.contains(why), "{event}: {}", error.why);
        assert_eq!(error.table.expect("a table").table, "users", "{event}");
    }
    let nowhere = parse(br#"{"cacheaside": 1, "op": "insert", "new": {}}"#);
    assert!(nowhere.expect_err("no table").why.contains("`schema`"));
}

#[test]
fn changes_that_may_be_lost_clear_every_cache_and_a_heartbeat_none() {
    let rules = reader::read("rules.toml", world::RULES, Rules::parse).expect("good rules");
    let lost = decide(
        &Received::bytes(br#"{"cacheaside": 1, "lost": "the slot was dropped"}"#),
        &rules,
    );
    assert_eq!(lost.counts[0].outcome, Counted::Mapped);
    let cleared = lost.targets.iter().map(|target| match target {
        Target::Tag { cache, tag } if *tag == Tag::all() => cache.as_str(),
        other => panic!("{other:?}"),
    });
    assert_eq!(cleared.collect::<Vec<_>>(), ["sessions", "users"]);
    let beat = decide(&Received::bytes(br#"{"cacheaside": 1, "beat": 1}"#), &rules);
    assert_eq!(beat.counts[0].outcome, Counted::Ignored);
    assert!(beat.targets.is_empty());
}
