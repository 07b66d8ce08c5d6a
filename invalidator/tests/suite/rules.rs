//! What people see when their rules are wrong: everything at once.

use cache_core::config::reader;
use invalidator::change::Op;
use invalidator::rules::{OnMissing, OnTruncate, Rules};

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
        (rule.on_missing, rule.on_truncate),
        (OnMissing::Error, OnTruncate::Flush)
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
