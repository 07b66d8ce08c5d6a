//! `invalidator test`: what its files say, and what it tells.

use crate::cli::Files;
use invalidator::operate::expect::parse;
use serde_json::Value;
use std::fs;
use std::path::Path;

const RULES: &str = "[source]\nstream = 'CDC'\n[[rule]]\ntable = 'public.users'\n\
    cache = 'users'\nkeys = ['user:{id}']\ntags = ['team:{team_id}']\n";
const EVENT: &str = r#"event = '''{"op": "c", "before": null, "after": {"id": 7, "team_id": 3},
    "source": {"schema": "public", "table": "users"}}'''"#;

fn problems(text: &str) -> String {
    parse("t.toml", text).expect_err("problems").to_string()
}

/// Runs one test of an insert, and what it tells.
fn judged(expected: &str) -> (i32, Vec<String>) {
    let files = Files::new();
    files.write("rules.toml", RULES);
    let text = format!("rules = 'rules.toml'\n[[test]]\nname = 'one'\n{EVENT}\n{expected}\n");
    files.write("t.toml", &text);
    let (code, out, err) = files.run(&["test", "t.toml", "--json"], "");
    let told: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    let differences = told["tests"][0]["differences"].as_array().expect("a list");
    let line = |one: &Value| one.as_str().expect("text").to_owned();
    (code, differences.iter().map(line).collect())
}

#[test]
fn what_comes_as_expected_passes() {
    let whole = "keys = ['users:user:7']\ntags = ['users:team:3']";
    assert_eq!(judged(whole), (0, vec![]));
}

#[test]
fn every_difference_is_told() {
    let (code, told) = judged("keys = ['users:user:8']");
    assert_eq!(code, 3);
    assert_eq!(
        told,
        [
            "- key users:user:8",
            "+ key users:user:7",
            "+ tag users:team:3"
        ]
    );
    let (code, told) = judged("ignored = true");
    assert_eq!((code, told.len()), (3, 2));
    let (code, told) = judged("dead_letter = 'x'");
    assert_eq!((code, told), (3, vec!["it is no dead letter".to_owned()]));
}

#[test]
fn a_dead_letter_is_only_right_where_it_is_expected() {
    let files = Files::new();
    files.write("rules.toml", RULES);
    let run = |expected: &str| {
        let text = format!("[[test]]\nname = 'one'\nevent = '{{'\n{expected}\n");
        files.write("t.toml", &text);
        let (code, out, _) = files.run(&["test", "t.toml", "--rules", "rules.toml"], "");
        (code, out)
    };
    assert_eq!(run("dead_letter = 'not JSON'").0, 0);
    assert_eq!(run("dead_letter = 'not JSON'\ntags = ['users:*']").0, 0);
    let (code, out) = run("tags = ['users:*']");
    assert_eq!(code, 3);
    assert!(
        out.contains("FAILED  one (line 1)\n  it is a dead letter: "),
        "{out}"
    );
    assert!(out.ends_with("1 tests, 1 failed\n"), "{out}");
    let (code, out) = run("dead_letter = 'another reason'");
    assert!(
        code == 3 && out.contains("has no `another reason`"),
        "{out}"
    );
}

#[test]
fn everything_that_is_wrong_with_the_file_is_told_at_once() {
    let told = problems(
        "[[test]]\nname = 'a'\nkeys = ['users']\n[[test]]\nevent = 'x'\nevent_file = 'y'\n\
         ignored = true\ntags = ['users:x']\n[[test]]\nname = 'c'\nevent = 'x'\n",
    );
    for wanted in [
        "exactly one of `event` and `event_file`",
        "`users` names no cache",
        "`name` is missing",
        "an event that is ignored has no `keys`",
        "nothing is expected of this event",
    ] {
        assert!(told.contains(wanted), "{wanted}\n\n{told}");
    }
    assert!(problems("rules = 'r.toml'").contains("there are no tests"));
}

#[test]
fn files_that_are_not_there_are_a_wrong_argument() {
    let files = Files::new();
    assert_eq!(files.run(&["test", "t.toml"], "").0, 2);
    let text = "[[test]]\nname = 'a'\nevent_file = 'nope.json'\nignored = true\n";
    files.write("t.toml", text);
    let (code, _, err) = files.run(&["test", "t.toml"], "");
    assert!(code == 2 && err.contains("which rules?"), "{err}");
    files.write("rules.toml", RULES);
    let (code, _, err) = files.run(&["test", "t.toml", "--rules", "rules.toml"], "");
    assert!(code == 2 && err.contains("cannot read nope.json"), "{err}");
}

#[test]
fn the_example_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rules_test");
    let files = Files::new();
    for name in ["rules.toml", "rules_test.toml", "update.json"] {
        let text = fs::read_to_string(folder.join(name)).expect("it is there");
        files.write(name, &text);
    }
    let (code, out, err) = files.run(&["test", "rules_test.toml"], "");
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.ends_with("5 tests, 0 failed\n"), "{out}");
}
