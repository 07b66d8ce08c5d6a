//! Which keys and tags a change makes invalid: the cases in which a simple
//! replacement of `{column}` would leave an old key cached.

use crate::formats::{one, parse};
use cache_core::config::reader;
use cache_core::wire::invalidation::Target;
use invalidator::change::{Change, RowChange};
use invalidator::mapping::{Outcome, map};
use invalidator::rules::{OnMissing, Rules};

fn rules(text: &str) -> Rules {
    reader::read("rules.toml", text, Rules::parse).expect("good rules")
}

fn users(more: &str) -> Rules {
    rules(&format!(
        "[[rule]]\ntable = 'public.users'\ncache = 'users'\n\
         keys = ['user:{{id}}', 'user:email:{{email}}']\n{more}"
    ))
}

fn change(op: &str, before: &str, after: &str) -> RowChange {
    let event = format!(
        r#"{{"op": "{op}", "before": {before}, "after": {after},
            "source": {{"db": "shop", "schema": "public", "table": "users"}}}}"#
    );
    match parse(event.as_bytes()).map(one) {
        Ok(Change::Row(change)) => change,
        other => panic!("{event}: {other:?}"),
    }
}

/// The outcome of the first rule, and what it makes invalid as `k:...` and `t:...`.
fn judge(rules: &Rules, change: &RowChange) -> (Outcome, Vec<String>) {
    let verdict = map(change, rules)
        .into_iter()
        .next()
        .expect("a rule about it");
    let shown = verdict.targets.iter().map(|target| match target {
        Target::Key { key, .. } => format!("k:{}", String::from_utf8_lossy(key)),
        Target::Tag { tag, .. } => format!("t:{tag}"),
        Target::Bucket(_) => panic!("no event names a bucket"),
    });
    (verdict.outcome, shown.collect())
}

fn mapped(rules: &Rules, change: &RowChange) -> Vec<String> {
    match judge(rules, change) {
        (Outcome::Mapped, targets) => targets,
        other => panic!("{other:?}"),
    }
}

fn missing(rules: &Rules, change: &RowChange) -> (String, OnMissing, Vec<String>) {
    match judge(rules, change) {
        (Outcome::Missing(missing, policy), targets) => (missing.to_string(), policy, targets),
        other => panic!("{other:?}"),
    }
}

const OLD: &str = r#"{"id": 1, "email": "a@x", "team_id": 3}"#;
const NEW: &str = r#"{"id": 1, "email": "b@x", "team_id": 3}"#;

#[test]
fn an_update_gives_the_old_and_the_new_key_each_once() {
    let keys = mapped(&users(""), &change("u", OLD, NEW));
    assert_eq!(keys, ["k:user:1", "k:user:email:a@x", "k:user:email:b@x"]);
}

#[test]
fn an_insert_and_a_delete_have_one_row() {
    assert_eq!(
        mapped(&users(""), &change("c", "null", NEW)),
        ["k:user:1", "k:user:email:b@x"]
    );
    assert_eq!(
        mapped(&users(""), &change("d", OLD, "null")),
        ["k:user:1", "k:user:email:a@x"]
    );
}

/// The rule that the manual gives for query results.
#[test]
fn a_change_of_a_table_makes_the_tags_of_the_queries_that_read_it() {
    let manual = include_str!("../../../cache-core/docs/strategies/query_results.md");
    let after = manual.split_once("```toml").expect("a rule").1;
    let by_table = rules(after.split_once("```").expect("its end").0);
    let both = ["t:table:users", "t:table:public.users"];
    for (op, before, after) in [
        ("c", "null", NEW),
        ("u", OLD, NEW),
        ("u", "null", NEW),
        ("d", OLD, "null"),
        ("d", "null", "null"),
    ] {
        let targets = mapped(&by_table, &change(op, before, after));
        assert_eq!(targets, both, "{op} of {before}");
    }
}

#[test]
fn an_update_without_an_old_row_kept_its_identity_only() {
    let by_id = rules("[[rule]]\ntable = 'public.users'\ncache = 'users'\nkeys = ['user:{id}']\n");
    assert_eq!(mapped(&by_id, &change("u", "null", NEW)), ["k:user:1"]);

    let (why, policy, targets) = missing(&users(""), &change("u", "null", NEW));
    assert!(
        why.contains("`user:email:{email}` needs the old value of `email`"),
        "{why}"
    );
    assert!(why.contains("REPLICA IDENTITY FULL"), "{why}");
    assert_eq!(policy, OnMissing::Error);
    assert_eq!(
        targets,
        ["k:user:1", "k:user:email:b@x", "t:*"],
        "what is known, and the rest"
    );
}

#[test]
fn identity_may_be_told() {
    let child = "[[rule]]\ntable = 'public.users'\ncache = 'teams'\nkeys = ['team:{team_id}']\n";
    assert_eq!(
        mapped(&rules(child), &change("u", "null", NEW)),
        ["k:team:3"],
        "the first key is taken for the identity"
    );
    let told = rules(&format!("{child}identity = ['id']\n"));
    let (why, ..) = missing(&told, &change("u", "null", NEW));
    assert!(why.contains("old value of `team_id`"), "{why}");
}

#[test]
fn a_delete_with_the_key_only_misses_the_rest() {
    let (why, _, targets) = missing(&users(""), &change("d", r#"{"id": 1}"#, "null"));
    assert!(why.contains("the event's old row leaves it out"), "{why}");
    assert_eq!(targets, ["k:user:1", "t:*"]);
    let (why, ..) = missing(&users(""), &change("d", "null", "null"));
    assert!(
        why.contains("`user:{id}`") && why.contains("has no old row"),
        "{why}"
    );
}

#[test]
fn on_missing_decides() {
    let update = change("u", "null", NEW);
    let (_, policy, targets) = missing(&users("on_missing = 'flush'\n"), &update);
    assert_eq!(
        (policy, targets.last().map(String::as_str)),
        (OnMissing::Flush, Some("t:*"))
    );
    let (_, policy, targets) = missing(&users("on_missing = 'skip'\n"), &update);
    assert_eq!(policy, OnMissing::Skip);
    assert_eq!(targets, ["k:user:1", "k:user:email:b@x"]);
}

#[test]
fn null_makes_no_key_unless_it_is_required() {
    let update = change("u", r#"{"id": 1, "email": null}"#, NEW);
    assert_eq!(
        mapped(&users(""), &update),
        ["k:user:1", "k:user:email:b@x"]
    );
    let (why, ..) = missing(&users("required = ['email']\n"), &update);
    assert!(why.contains("it is NULL and `required`"), "{why}");
}

#[test]
fn an_unchanged_value_is_read_from_the_old_row() {
    let after = r#"{"id": 1, "email": "__debezium_unavailable_value"}"#;
    let update = change("u", OLD, after);
    assert_eq!(
        mapped(&users(""), &update),
        ["k:user:1", "k:user:email:a@x"]
    );
    let (why, ..) = missing(&users(""), &change("u", r#"{"id": 1}"#, after));
    assert!(why.contains("old row leaves it out"), "{why}");
}

#[test]
fn update_of_ignores_other_columns_only_if_that_is_sure() {
    let rules = users("update_of = ['email']\n");
    let same = r#"{"id": 1, "email": "a@x", "team_id": 4}"#;
    let ignored = Outcome::Ignored("nothing in `update_of` changed");
    assert_eq!(judge(&rules, &change("u", OLD, same)).0, ignored);
    assert_eq!(judge(&rules, &change("u", OLD, NEW)).0, Outcome::Mapped);
    let unchanged = r#"{"id": 1, "email": "__debezium_unavailable_value"}"#;
    assert_eq!(judge(&rules, &change("u", OLD, unchanged)).0, ignored);
    let (outcome, _) = judge(&rules, &change("u", "null", same));
    assert!(
        matches!(outcome, Outcome::Missing(..)),
        "nobody knows: {outcome:?}"
    );
    assert_eq!(
        judge(&rules, &change("d", OLD, "null")).0,
        Outcome::Mapped,
        "a delete counts"
    );
}

#[test]
fn operations_outside_on_are_ignored() {
    let deletes = users("on = ['delete']\n");
    let ignored = Outcome::Ignored("`on` leaves this out");
    assert_eq!(judge(&deletes, &change("u", OLD, NEW)).0, ignored);
    assert_eq!(
        judge(&users(""), &change("r", "null", NEW)).0,
        ignored,
        "snapshots, by default"
    );
    assert_eq!(
        mapped(&users("on = ['read']\n"), &change("r", "null", NEW)).len(),
        2
    );
}

#[test]
fn a_truncate_clears_the_cache() {
    assert_eq!(mapped(&users(""), &change("t", "null", "null")), ["t:*"]);
    assert_eq!(
        mapped(&users("on = ['delete']\n"), &change("t", "null", "null")),
        ["t:*"]
    );
    let ignored = Outcome::Ignored("truncates are ignored");
    let rules = users("on_truncate = 'ignore'\n");
    assert_eq!(judge(&rules, &change("t", "null", "null")).0, ignored);
}

#[test]
fn templates_reach_old_new_and_the_table() {
    let rules = rules(
        "[[rule]]\ntable = 'public.*'\ncache = 'x'\n\
         keys = ['{@schema}.{@table}:{id}', 'moved:{old.email}:{new.email}']\ntags = ['team:{team_id}', '*']\n",
    );
    assert_eq!(
        mapped(&rules, &change("u", OLD, NEW)),
        ["k:public.users:1", "k:moved:a@x:b@x", "t:team:3", "t:*"]
    );
    assert_eq!(
        mapped(&rules, &change("c", "null", NEW)),
        ["k:public.users:1", "t:team:3", "t:*"],
        "an insert has no old row, and nothing is missing"
    );
}

#[test]
fn what_no_reader_can_have_cached_is_left_out() {
    let long = "x".repeat(600);
    let row = format!(r#"{{"id": 1, "email": "{long}"}}"#);
    assert_eq!(mapped(&users(""), &change("c", "null", &row)), ["k:user:1"]);
    let stars = rules("[[rule]]\ntable = '*.users'\ncache = 'x'\ntags = ['{email}']\n");
    let star = r#"{"id": 1, "email": "*"}"#;
    assert_eq!(
        mapped(&stars, &change("c", "null", star)),
        [""; 0],
        "a row clears no cache"
    );
}

#[test]
fn a_value_that_no_key_can_be_made_of_is_missing() {
    let row = r#"{"id": {"scale": 2}, "email": "a@x"}"#;
    let (why, ..) = missing(&users(""), &change("c", "null", row));
    assert!(why.contains("it is an object or a list"), "{why}");
}

#[test]
fn every_rule_about_a_table_counts_and_other_tables_have_none() {
    let rules = rules(
        "[[rule]]\ntable = 'public.users'\ncache = 'users'\nkeys = ['user:{id}']\n\
         [[rule]]\ntable = 'public.*'\ncache = 'audit'\ntags = ['{@table}']\n",
    );
    let change = change("u", "null", NEW);
    let places: Vec<_> = map(&change, &rules)
        .iter()
        .map(|verdict| verdict.rule)
        .collect();
    assert_eq!(places, [0, 1]);
    let mut elsewhere = change;
    elsewhere.table.schema = "private".into();
    assert!(map(&elsewhere, &rules).is_empty());
}

#[test]
fn a_truncate_clears_the_tags_that_are_named() {
    let rules = users("on_truncate = ['{@schema}.{@table}', 'team:all']\n");
    let truncate = change("t", "null", "null");
    assert_eq!(mapped(&rules, &truncate), ["t:public.users", "t:team:all"]);
    assert_eq!(mapped(&users("on_truncate = ['*']\n"), &truncate), ["t:*"]);
    let long = format!("on_truncate = ['{}']\n", "x".repeat(129));
    assert_eq!(
        mapped(&users(&long), &truncate),
        ["t:*"],
        "no tag is so long"
    );
}

#[test]
fn a_miss_clears_a_tag_where_that_is_all_it_can_be_about() {
    let rules = users("identity = ['id', 'team_id']\non_missing = 'flush_tag:team:{team_id}'\n");
    let (_, policy, targets) = missing(&rules, &change("u", "null", NEW));
    assert!(matches!(policy, OnMissing::FlushTag(_)), "{policy:?}");
    assert_eq!(targets, ["k:user:1", "k:user:email:b@x", "t:team:3"]);

    // The old team may be another one, and nobody knows which.
    let rules = users("on_missing = 'flush_tag:team:{team_id}'\n");
    let (.., targets) = missing(&rules, &change("u", "null", NEW));
    assert_eq!(targets, ["k:user:1", "k:user:email:b@x", "t:*"]);

    // A row of no team was cached without the tag.
    let old = r#"{"id": 1, "team_id": null}"#;
    let (.., targets) = missing(&rules, &change("u", old, NEW));
    assert_eq!(targets, ["k:user:1", "k:user:email:b@x", "t:*"]);

    let old = r#"{"id": 1, "team_id": 2}"#;
    let (.., targets) = missing(&rules, &change("u", old, NEW));
    let both = ["k:user:1", "k:user:email:b@x", "t:team:2", "t:team:3"];
    assert_eq!(targets, both);
    let fixed = users("on_missing = 'flush_tag:all-users'\n");
    let (.., targets) = missing(&fixed, &change("d", "null", "null"));
    assert_eq!(targets, ["t:all-users"]);
}

#[test]
fn a_null_that_may_be_no_null_is_one_in_a_row_that_is_whole() {
    let event = |old: &str, new: &str| {
        let event = format!(
            r#"{{"schema": "public", "table": "users", "action": "UPDATE",
                "data": {new}, "dataOld": {old}, "commitTime": "2024-10-28T21:39:21Z"}}"#
        );
        match parse(event.as_bytes()).map(one) {
            Ok(Change::Row(change)) => change,
            other => panic!("{event}: {other:?}"),
        }
    };
    let key_only = r#"{"id": 1, "email": null, "team_id": null}"#;
    let whole = r#"{"id": 1, "email": null, "team_id": 3}"#;
    let told = users("identity = ['id']\n");
    let (why, ..) = missing(&told, &event(key_only, NEW));
    assert!(why.contains("may stand for a value left out"), "{why}");
    assert_eq!(
        mapped(&told, &event(whole, NEW)),
        ["k:user:1", "k:user:email:b@x"]
    );
    let (why, ..) = missing(&users(""), &event(whole, NEW));
    assert!(
        why.contains("unless the rule tells its `identity`"),
        "{why}"
    );

    // In the new row it may be a large column that did not change.
    let new = r#"{"id": 1, "email": null, "team_id": 3}"#;
    assert_eq!(
        mapped(&told, &event(OLD, new)),
        ["k:user:1", "k:user:email:a@x"]
    );
    let only = users("identity = ['id']\nupdate_of = ['email']\n");
    assert_eq!(
        judge(&only, &event(whole, new)).0,
        Outcome::Mapped,
        "it may have changed for all one knows"
    );
}

/// An old row of the replica identity alone has blanks in all other columns.
#[test]
fn blanks_are_values_only_beside_other_values() {
    let event = |op: &str, before: &str, after: &str| {
        let event = format!(
            r#"{{"op": "{op}", "before": {before}, "after": {after}, "source": {{
                "connector": "postgresql", "db": "shop", "schema": "public", "table": "users"}}}}"#
        );
        match parse(event.as_bytes()).map(one) {
            Ok(Change::Row(change)) => change,
            other => panic!("{event}: {other:?}"),
        }
    };
    let key_only = r#"{"id": 1, "email": "", "team_id": 0, "since": null}"#;
    let whole = r#"{"id": 1, "email": "", "team_id": 3, "since": null}"#;
    let (why, _, targets) = missing(&users(""), &event("d", key_only, "null"));
    assert!(why.contains("may stand for a value left out"), "{why}");
    assert_eq!(targets, ["k:user:1", "t:*"]);
    let keys = mapped(&users(""), &event("d", whole, "null"));
    assert_eq!(keys, ["k:user:1", "k:user:email:"]);

    let tags = "[[rule]]\ntable = 'public.users'\ncache = 'teams'\ntags = ['team:{team_id}']\n";
    let (.., targets) = missing(&rules(tags), &event("d", key_only, "null"));
    assert_eq!(
        targets,
        ["t:*"],
        "without an identity, one value is too few"
    );
    assert_eq!(
        mapped(&rules(tags), &event("d", whole, "null")),
        ["t:team:3"]
    );

    // The old value may have been any other one than the blank.
    let new = r#"{"id": 1, "email": "", "team_id": 0, "since": null}"#;
    let only = users("update_of = ['email']\n");
    let (outcome, _) = judge(&only, &event("u", key_only, new));
    assert!(matches!(outcome, Outcome::Missing(..)), "{outcome:?}");
}
