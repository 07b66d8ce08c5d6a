//! What people see when their rules are wrong: everything at once.

use cache_core::config::reader;
use invalidator::change::Op;
use invalidator::config;
use invalidator::rules::{OnMissing, OnTruncate, Rules};
use serde_json::Value;

fn read(text: &str) -> Result<Rules, String> {
    reader::read("rules.toml", text, Rules::parse).map_err(|report| report.to_string())
}

#[test]
fn defaults_are_the_careful_ones() {
    let rules = read(
        "[[rule]]\ntable = 'public.users'\ncache = 'users'\nkeys = ['user:{org}:{id|lower}']\n\
         [native]\ncaches = ['sessions', 'users']\n",
    )
    .expect("good rules");
    let rule = &rules.all[0];
    assert_eq!(rule.line, 1);
    assert_eq!(rule.on, [Op::Insert, Op::Update, Op::Delete]);
    assert_eq!(rule.identity, ["org", "id"]);
    assert_eq!(
        (&rule.on_missing, &rule.on_truncate),
        (&OnMissing::Error, &OnTruncate::Flush)
    );
    let caches: Vec<_> = rules.caches().iter().map(ToString::to_string).collect();
    assert_eq!(caches, ["sessions", "users"]);
}

#[test]
fn all_mistakes_are_shown_at_once() {
    let text = r#"[[rule]]
table = "users"
cache = "Users"
kyes = ["user:{id}"]

[[rule]]
table = "public.users"
cache = "users"
keys = ["user:{id", "user:{mail|loud}"]
on = ["updaet"]
on_missing = "skp"
on_truncate = true

[[rule]]
table = "public.users"
cache = "users"
keys = ["user:{id}", "user:email:{email}"]
on = ["insert"]
update_of = ["email"]
required = ["emial"]

[[rules]]
table = "x"
"#;
    let expected = include_str!("golden/rules.txt");
    assert_eq!(read(text).expect_err("many mistakes"), expected.trim_end());
}

#[test]
fn a_file_that_would_invalidate_nothing_is_refused() {
    for empty in ["", "[native]\ncaches = []\n"] {
        let error = read(empty).expect_err("no rules");
        assert!(
            error.contains("neither rules nor caches of native events"),
            "{error}"
        );
    }
    assert!(read("[native]\ncaches = ['sessions']\n").is_ok());
}

fn one(more: &str) -> Result<Rules, String> {
    read(&format!(
        "[[rule]]\ntable = 'public.users'\ncache = 'users'\nkeys = ['user:{{id}}']\n{more}\n"
    ))
}

#[test]
fn what_a_truncate_clears_may_be_named() {
    let tags = |more: &str| match one(more).expect("good rules").all[0].on_truncate.clone() {
        OnTruncate::Tags(tags) => tags.iter().map(ToString::to_string).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        tags("on_truncate = ['team:all', '{@table}']"),
        ["team:all", "{@table}"]
    );
    assert_eq!(tags("on_truncate = { tags = ['team:all'] }"), ["team:all"]);
    for (more, why) in [
        ("on_truncate = []", "`on_truncate` names no tags"),
        ("on_truncate = {}", "`on_truncate` names no tags"),
        ("on_truncate = { tasg = ['x'] }", "did you mean `tags`?"),
        (
            "on_truncate = ['team:{id}']",
            "a truncate has no row, so no `id` either",
        ),
        ("on_truncate = 'fulsh'", "did you mean `flush`?"),
        ("on_truncate = 7", "must be a string, not a whole number"),
    ] {
        let error = one(more).expect_err(more);
        assert!(error.contains(why), "{more}: {error}");
    }
}

#[test]
fn a_missing_value_may_clear_a_tag() {
    let rules = one("on_missing = 'flush_tag:tenant:{tenant}'").expect("good rules");
    let OnMissing::FlushTag(tag) = &rules.all[0].on_missing else {
        panic!("{rules:?}");
    };
    assert_eq!(tag.as_str(), "tenant:{tenant}");
    for (more, why) in [
        ("on_missing = 'flush_tag:'", "a template is not empty"),
        ("on_missing = 'flush_tag:{x'", "never closed"),
        (
            "on_missing = 'flush-tag:x'",
            "is not one of error, flush, skip, flush_tag:",
        ),
    ] {
        let error = one(more).expect_err(more);
        assert!(error.contains(why), "{more}: {error}");
    }
}

#[test]
fn a_rule_about_messages_has_a_prefix_and_a_cache() {
    let rules = read("[[rule]]\nlogical_message = 'drop'\ncache = 'users'\n").expect("good rules");
    assert!(rules.all.is_empty());
    let cache = rules.reading.message("drop").expect("it is known");
    assert_eq!(cache.expect("a cache").as_str(), "users");
    assert_eq!(rules.reading.message("cacheaside"), Some(None), "always");
    assert_eq!(rules.reading.message("other"), None);
    assert_eq!(rules.caches().len(), 1);
    let error = read("[[rule]]\nlogical_message = ''\nkeys = ['x']\n").expect_err("two mistakes");
    assert!(
        error.contains("1 to 64 bytes") && error.contains("unknown key `keys`"),
        "{error}"
    );
}

/// All keys that the reader asks for in one table, as its help says them.
fn known(text: &str) -> Vec<String> {
    let error = config::rules("r", text)
        .expect_err("an unknown key")
        .to_string();
    let (_, after) = error
        .split_once("unknown key `zzzzzzzzzzzz`")
        .expect("it is unknown");
    let (_, after) = after.split_once("there are ").expect("its help");
    let line = after.lines().next().expect("a line");
    let mut keys: Vec<_> = line.split(", ").map(str::to_owned).collect();
    keys.sort();
    keys
}

fn keys_of(schema: &Value) -> Vec<String> {
    let properties = schema["properties"].as_object().expect("properties");
    let mut keys: Vec<_> = properties.keys().cloned().collect();
    keys.sort();
    keys
}

const ODD: &str = "zzzzzzzzzzzz = 1\n";

#[test]
fn the_schema_knows_what_the_reader_knows() {
    let schema: Value = serde_json::from_str(invalidator::schema::RULES).expect("JSON");
    let of = |name: &str| &schema["properties"][name];
    assert_eq!(keys_of(&schema), known(ODD));
    assert_eq!(keys_of(of("source")), known(&format!("[source]\n{ODD}")));
    assert_eq!(keys_of(of("native")), known(&format!("[native]\n{ODD}")));
    let rules = of("rule")["items"]["oneOf"].as_array().expect("two kinds");
    // The one kind of rule is asked whether it is of the other.
    let mut of_table = keys_of(&rules[0]);
    of_table.push("logical_message".to_owned());
    of_table.sort();
    assert_eq!(of_table, known(&format!("[[rule]]\n{ODD}")));
    let message = format!("[[rule]]\nlogical_message = 'x'\n{ODD}");
    assert_eq!(keys_of(&rules[1]), known(&message));
    let truncate = &rules[0]["properties"]["on_truncate"]["anyOf"][2];
    let nested = format!("[[rule]]\n[rule.on_truncate]\n{ODD}");
    assert_eq!(keys_of(truncate), known(&nested));
}

#[test]
fn the_schema_has_the_words_of_the_reader() {
    let schema: Value = serde_json::from_str(invalidator::schema::RULES).expect("JSON");
    let rule = &schema["properties"]["rule"]["items"]["oneOf"][0]["properties"];
    let format = &schema["properties"]["source"]["properties"]["format"];
    for (words, text, more) in [
        (&format["enum"], "[source]\nformat = 'zzzzzzzz'\n", ""),
        (
            &rule["on"]["items"]["enum"],
            "[[rule]]\non = ['zzzzzzzz']\n",
            "",
        ),
        (
            &rule["on_missing"]["anyOf"][0]["enum"],
            "[[rule]]\non_missing = 'zzzzzzzz'\n",
            ", flush_tag:",
        ),
        (
            &rule["on_truncate"]["anyOf"][0]["enum"],
            "[[rule]]\non_truncate = 'zzzzzzzz'\n",
            "",
        ),
    ] {
        let words: Vec<_> = words
            .as_array()
            .expect("words")
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let error = config::rules("r", text)
            .expect_err("no such word")
            .to_string();
        let wanted = format!("`zzzzzzzz` is not one of {}{more}\n", words.join(", "));
        assert!(error.contains(&wanted), "{wanted}: {error}");
    }
}

#[test]
fn the_schema_has_the_limits_and_defaults_of_the_reader() {
    let schema: Value = serde_json::from_str(invalidator::schema::RULES).expect("JSON");
    let source = schema["properties"]["source"]["properties"]
        .as_object()
        .expect("keys");
    let whole = source.iter().filter(|(_, of)| of["type"] == "integer");
    let mut seen = 0;
    for (key, of) in whole {
        let text = format!("[source]\n{key} = -1\n");
        let error = config::rules("r", &text)
            .expect_err("out of range")
            .to_string();
        let (least, most, default) = (&of["minimum"], &of["maximum"], &of["default"]);
        let wanted = format!("it goes from {least} to {most}; the default is {default}\n");
        assert!(error.contains(&wanted), "{key}: {wanted}: {error}");
        seen += 1;
    }
    assert_eq!(seen, 4);
}
