//! Documented samples of each event format, with the traps that they set.

use cache_core::model::key::Name;
use cache_core::model::tag::Tag;
use invalidator::change::{Cell, Change, Format, Malformed, Op, Parsed, RowChange};
use invalidator::format::detect::{self, CHANGES_MAX, EVENT_BYTES_MAX};
use invalidator::format::native::NAMED_MAX;
use invalidator::format::received::{FORMATS, Prefix, Reading, Received};

/// Reads an event by its shape alone.
pub(crate) fn parse(payload: &[u8]) -> Result<Parsed, Malformed> {
    detect::parse(&Received::bytes(payload), &Reading::default())
}

/// The one thing that an event says.
pub(crate) fn one(parsed: Parsed) -> Change {
    let [change] = <[Change; 1]>::try_from(parsed.changes).expect("one change");
    change
}

fn row_change(event: &str) -> RowChange {
    match parse(event.as_bytes()).map(one) {
        Ok(Change::Row(change)) => change,
        other => panic!("{event}: {other:?}"),
    }
}

fn nothing(event: &str) -> &'static str {
    match parse(event.as_bytes()).map(one) {
        Ok(Change::Nothing(why)) => why,
        other => panic!("{event}: {other:?}"),
    }
}

fn malformed(event: &str) -> Malformed {
    match parse(event.as_bytes()).map(one) {
        Err(malformed) | Ok(Change::Malformed(malformed)) => malformed,
        other => panic!("{event}: {other:?}"),
    }
}

const SOURCE: &str = r#""source": {"connector": "postgresql", "ts_ms": 1559033904863,
    "snapshot": false, "db": "shop", "schema": "public", "table": "users", "txId": 556,
    "lsn": 24023128, "xmin": null}"#;

#[test]
fn a_debezium_update_with_and_without_its_schema() {
    let payload = format!(
        r#"{{"before": {{"id": 1}}, "after": {{"id": 1, "first_name": "Anne Marie"}},
            {SOURCE}, "op": "u", "ts_ms": 1465584025523}}"#
    );
    let plain = row_change(&payload);
    assert_eq!(plain.table.to_string(), "shop.public.users");
    assert_eq!(plain.op, Op::Update);
    assert_eq!(
        plain.changed_ms,
        Some(1_559_033_904_863),
        "the commit, not Debezium's own time"
    );
    let new = plain.new.as_ref().expect("after");
    assert_eq!(new.cell("first_name"), Cell::Text("Anne Marie".into()));
    let old = plain.old.as_ref().expect("before");
    assert_eq!(old.cell("first_name"), Cell::Absent, "key only");

    let wrapped = format!(r#"{{"schema": {{"type": "struct"}}, "payload": {payload}}}"#);
    assert_eq!(row_change(&wrapped), plain);
    let without_schema = format!(r#"{{"payload": {payload}}}"#);
    assert_eq!(row_change(&without_schema), plain);
}

#[test]
fn every_debezium_operation() {
    for (op, expected, before, after) in [
        ("c", Op::Insert, "null", r#"{"id": 1}"#),
        ("u", Op::Update, "null", r#"{"id": 1}"#),
        ("r", Op::Read, "null", r#"{"id": 1}"#),
        ("d", Op::Delete, r#"{"id": 1}"#, "null"),
        ("d", Op::Delete, "null", "null"),
    ] {
        let event = format!(r#"{{"before": {before}, "after": {after}, {SOURCE}, "op": "{op}"}}"#);
        let change = row_change(&event);
        assert_eq!(change.op, expected);
        assert_eq!(change.old.is_some(), before != "null", "{event}");
        assert_eq!(change.new.is_some(), after != "null", "{event}");
    }
    let truncate = row_change(&format!(r#"{{{SOURCE}, "op": "t"}}"#));
    assert_eq!(truncate.op, Op::Truncate);
}

#[test]
fn a_large_column_that_did_not_change_is_no_value() {
    let change = row_change(&format!(
        r#"{{"before": null, "after": {{"id": 1, "bio": "__debezium_unavailable_value",
            "photo": "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="}}, {SOURCE}, "op": "u"}}"#
    ));
    let new = change.new.expect("after");
    assert_eq!(new.cell("bio"), Cell::Unchanged);
    assert_eq!(new.cell("photo"), Cell::Unchanged);
}

#[test]
fn numbers_beyond_doubles_survive() {
    let change = row_change(&format!(
        r#"{{"before": null, "after": {{"id": 9007199254740993, "n": 18446744073709551617}},
            {SOURCE}, "op": "c"}}"#
    ));
    let new = change.new.expect("after");
    assert_eq!(new.cell("id"), Cell::Text("9007199254740993".into()));
    assert_eq!(new.cell("n"), Cell::Text("18446744073709551617".into()));
}

#[test]
fn mysql_has_databases_for_schemas() {
    let change = row_change(
        r#"{"before": null, "after": {"id": 1}, "op": "c",
            "source": {"connector": "mysql", "db": "shop", "table": "users", "ts_ms": 0}}"#,
    );
    assert_eq!(change.table.to_string(), "shop.users");
    assert_eq!(change.table.database, None);
}

#[test]
fn what_no_cache_depends_on_is_nothing() {
    assert_eq!(nothing(""), "an empty payload");
    assert_eq!(nothing(" \n"), "an empty payload");
    assert_eq!(nothing("null"), "an empty payload");
    assert_eq!(
        nothing(r#"{"schema": null, "payload": null}"#),
        "a tombstone"
    );
    assert_eq!(nothing(r#"{"payload": {"ts_ms": 1}}"#), "a heartbeat");
    assert_eq!(
        nothing(r#"{"source": {}, "ddl": "ALTER TABLE x"}"#),
        "a change of the schema"
    );
    assert_eq!(
        nothing(r#"{"status": "END", "id": "571", "event_count": 2}"#),
        "the border of a transaction"
    );
}

#[test]
fn a_logical_message_carries_a_native_event() {
    // {"cache":"users","tags":["team:1"]}
    let content = "eyJjYWNoZSI6InVzZXJzIiwidGFncyI6WyJ0ZWFtOjEiXX0=";
    let event = |prefix: &str, content: &str| {
        format!(
            r#"{{"op": "m", {SOURCE}, "message": {{"prefix": "{prefix}", "content": "{content}"}}}}"#
        )
    };
    let parsed = parse(event("cacheaside", content).as_bytes()).expect("a message");
    assert_eq!(parsed.format, Format::Debezium);
    let Change::Named(named) = one(parsed) else {
        panic!("it names what is invalid");
    };
    assert_eq!(named.cache.as_str(), "users");
    assert_eq!(named.tags, [Tag::new("team:1").expect("a tag")]);
    assert_eq!(named.changed_ms, Some(1_559_033_904_863));

    assert_eq!(
        nothing(&event("others", "!")),
        "a logical message for somebody else"
    );
    assert!(
        malformed(&event("cacheaside", "!"))
            .why
            .contains("cannot be decoded")
    );
    assert!(
        malformed(&event("cacheaside", "Zm9v"))
            .why
            .contains("no native event")
    );
}

#[test]
fn a_native_event() {
    let event = r#"{"cacheaside": 1, "cache": "users", "keys": ["user:7"],
        "tags": ["team:3", "*"], "source_time_ms": 1700000000000, "from_tomorrow": true}"#;
    let parsed = parse(event.as_bytes()).expect("a native event");
    assert_eq!(parsed.format, Format::Native);
    let Change::Named(named) = one(parsed) else {
        panic!("it names what is invalid");
    };
    assert_eq!(named.keys, ["user:7"]);
    assert_eq!(named.tags, [Tag::new("team:3").expect("a tag"), Tag::all()]);
    assert_eq!(named.changed_ms, Some(1_700_000_000_000));
}

#[test]
fn malformed_events_say_what_is_wrong() {
    let many = format!(
        r#"{{"cacheaside": 1, "cache": "u", "keys": [{}"x"]}}"#,
        r#""x","#.repeat(NAMED_MAX)
    );
    let long_key = format!(
        r#"{{"cacheaside": 1, "cache": "u", "keys": ["{}"]}}"#,
        "k".repeat(513)
    );
    let bad_op = format!(r#"{{{SOURCE}, "op": "x"}}"#);
    let no_after = format!(r#"{{{SOURCE}, "op": "u", "after": null}}"#);
    let text_row = format!(r#"{{{SOURCE}, "op": "c", "after": "{{"}}"#);
    for (event, why) in [
        ("{", "not JSON"),
        ("[1]", "no object"),
        (r#"{"a": 1}"#, "its format is unknown"),
        (r#"{"cacheaside": 2}"#, "`cacheaside` must be 1"),
        (r#"{"cacheaside": 1}"#, "`cache` must be a string"),
        (r#"{"cacheaside": 1, "cache": "No"}"#, "a name has 1 to 64"),
        (
            r#"{"cacheaside": 1, "cache": "u"}"#,
            "neither `keys` nor `tags`",
        ),
        (
            r#"{"cacheaside": 1, "cache": "u", "keys": "x"}"#,
            "a list of strings",
        ),
        (
            r#"{"cacheaside": 1, "cache": "u", "keys": [7]}"#,
            "a list of strings",
        ),
        (
            r#"{"cacheaside": 1, "cache": "u", "tags": [""]}"#,
            "a tag has 1 to 128",
        ),
        (
            r#"{"cacheaside": 1, "cache": "u", "tags": ["t"], "source_time_ms": "now"}"#,
            "whole milliseconds",
        ),
        (&many, "the most are 1000"),
        (&long_key, "1 to 512 bytes"),
        (&bad_op, "one of c, u, d, t, r and m"),
        (&no_after, "`after` is missing from the update"),
        (&text_row, "`after` must be an object or null, or its JSON"),
        (r#"{"op": "u", "after": {}}"#, "`source` must be an object"),
        (r#"{"op": "u", "source": {}}"#, "`source.table`"),
        (
            r#"{"op": "u", "source": {"table": "t"}}"#,
            "neither a `schema` nor a `db`",
        ),
    ] {
        let error = malformed(event);
        assert!(error.why.contains(why), "{event}: {}", error.why);
    }
    let huge = vec![b' '; EVENT_BYTES_MAX + 1];
    assert!(
        parse(&huge)
            .expect_err("too large")
            .why
            .contains("the most are")
    );
}

#[test]
fn a_malformed_event_still_tells_what_it_is_about() {
    let of_table = malformed(&format!(r#"{{{SOURCE}, "op": "x"}}"#));
    assert_eq!(of_table.table.expect("a table").table, "users");
    let of_cache = malformed(r#"{"cacheaside": 1, "cache": "users", "keys": 7}"#);
    assert_eq!(of_cache.cache.expect("a cache").as_str(), "users");
    assert_eq!(
        malformed("{"),
        Malformed::new(malformed("{").why),
        "nothing is known"
    );
}

#[test]
fn deep_nesting_is_refused_and_no_overflow() {
    let deep = "[".repeat(100_000);
    assert!(malformed(&deep).why.contains("recursion limit"));
}

/// Reads an event in the one format that the rules file asks for.
fn asked(format: &str, event: &str) -> Result<Parsed, Malformed> {
    let (_, format) = FORMATS
        .into_iter()
        .find(|(word, _)| *word == format)
        .expect("a word");
    let reading = Reading {
        format,
        ..Reading::default()
    };
    let received = Received {
        subject: "cdc.public.users",
        ..Received::bytes(event.as_bytes())
    };
    detect::parse(&received, &reading)
}

#[test]
fn each_word_for_a_format_is_that_of_the_format() {
    for (word, format) in FORMATS {
        assert_eq!(word, format.map_or("auto", Format::word));
    }
}

#[test]
fn one_format_may_be_asked_for_and_others_are_refused_with_the_reason() {
    let native = r#"{"cacheaside": 1, "cache": "users", "keys": ["user:7"]}"#;
    assert_eq!(
        asked("auto", native).expect("native").format,
        Format::Native
    );
    assert_eq!(
        asked("native", native).expect("native").format,
        Format::Native
    );
    let error = asked("sequin", native).expect_err("it is not Sequin's");
    assert!(
        error
            .why
            .contains("has not the shape of `sequin`, the `format` of [source]"),
        "{error}"
    );
    let error = asked("cloudevents", native).expect_err("it has no envelope");
    assert!(error.why.contains("`specversion` must be 1.0"), "{error}");
    assert_eq!(
        asked("sequin", " ").expect("a tombstone").format,
        Format::Empty
    );

    // A row without any mark is one of Debezium's only if that is said.
    let row = r#"{"id": 7, "email": "a@x"}"#;
    assert!(asked("auto", row).is_err());
    let Change::Row(change) = one(asked("debezium", row).expect("a row")) else {
        panic!("no row");
    };
    assert_eq!(
        (change.table.to_string().as_str(), change.op),
        ("public.users", Op::Update)
    );
}

#[test]
fn an_event_with_too_many_changes_clears_everything() {
    let event = |count: usize| {
        let rows = vec![r#"{"id": "1"}"#; count].join(",");
        format!(
            r#"{{"isDdl": false, "type": "INSERT", "database": "shop", "table": "users", "data": [{rows}]}}"#
        )
    };
    let most = parse(event(CHANGES_MAX).as_bytes()).expect("good");
    assert_eq!(most.changes.len(), CHANGES_MAX);
    let over = parse(event(CHANGES_MAX + 1).as_bytes()).expect("good");
    assert!(matches!(one(over), Change::Lost(why) if why.contains("10001 changes")));
}

#[test]
fn a_message_may_have_a_prefix_of_its_own_and_no_cache() {
    let reading = Reading {
        format: None,
        messages: vec![Prefix {
            text: "drop".to_owned(),
            cache: Some(Name::new("users").expect("a name")),
        }],
    };
    let said = |content: &str| {
        let event = serde_json::json!({"action": "M", "prefix": "drop", "content": content});
        let event = event.to_string();
        one(detect::parse(&Received::bytes(event.as_bytes()), &reading).expect("a message"))
    };
    let Change::Named(named) = said(r#"{"tags": ["team:1"]}"#) else {
        panic!("it names a tag");
    };
    assert_eq!(named.cache.as_str(), "users");
    let Change::Named(named) = said(r#"{"cacheaside": 1, "cache": "teams", "keys": ["k"]}"#) else {
        panic!("it names a key");
    };
    assert_eq!(named.cache.as_str(), "teams", "what it names goes first");
    let row = r#"{"cacheaside": 1, "op": "truncate", "schema": "s", "table": "t"}"#;
    assert!(matches!(said(row), Change::Row(_)), "any native event");
    assert!(matches!(said("team:1"), Change::Malformed(_)));
}

/// The columns of a table may have the names that tell other formats.
#[test]
fn a_flattened_row_is_one_whatever_its_columns_are() {
    for columns in [
        r#""database": "d", "type": "insert", "ts": 1, "data": {}"#,
        r#""record": {}, "action": "read", "metadata": {}"#,
        r#""after": {}, "resolved": "1730151561127470000.0""#,
        r#""isDdl": true, "type": "ALTER""#,
        r#""action": "B", "change": []"#,
    ] {
        let row =
            format!(r#"{{"id": 7, {columns}, "__op": "u", "__table": "users", "__schema": "s"}}"#);
        for event in [
            row.clone(),
            format!(r#"{{"schema": {{}}, "payload": {row}}}"#),
        ] {
            let change = row_change(&event);
            assert_eq!(change.table.to_string(), "s.users", "{event}");
        }
    }
}
