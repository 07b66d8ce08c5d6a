//! What people see when a file is wrong.

use super::*;
use crate::config::overrides::{Given, Override};
use crate::config::wrong::LIST_MAX;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Op {
    Insert,
    Delete,
}

#[derive(Debug, PartialEq)]
struct Settings {
    stream: String,
    wait: Duration,
    batch: u16,
    room: u64,
    create: bool,
    rules: Vec<Rule>,
}

#[derive(Debug, PartialEq)]
struct Rule {
    line: usize,
    keys: Vec<String>,
    on: Option<Vec<Op>>,
}

fn settings(file: &mut Section<'_>) -> Option<Settings> {
    let source = file.section("source", |source| {
        let stream = source.string("stream");
        let wait = source.duration_or("wait", second(1)..=second(600), second(30));
        let batch = source.integer_or("batch", 1..=4096, 256);
        let room = source.bytes_or("room", 1024..=1 << 30, 1 << 20);
        let create = source.bool_or("create", false);
        Some((stream?, wait, batch, room, create))
    });
    let rules = file.sections("rule", |rule| {
        let keys = rule.list("keys", |text| match text.contains(' ') {
            false => Ok(text.to_owned()),
            true => Err(format!("`{text}` has a space")),
        });
        let on = rule.words("on", &[("insert", Op::Insert), ("delete", Op::Delete)]);
        Some(Rule {
            line: rule.line()?,
            keys: keys?,
            on,
        })
    });
    let (stream, wait, batch, room, create) = source?;
    Some(Settings {
        stream,
        wait,
        batch,
        room,
        create,
        rules,
    })
}

fn second(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn read_settings(text: &str) -> Result<Settings, String> {
    read("rules.toml", text, settings).map_err(|report| report.to_string())
}

#[test]
fn a_good_file_is_read_with_its_defaults() {
    let text = "[source]\nstream = 'CDC'\nbatch = 1_0\nroom = '2KiB'\n\n[[rule]]\nkeys = ['a']\non = ['delete']\n";
    let expected = Settings {
        stream: "CDC".into(),
        wait: second(30),
        batch: 10,
        room: 2048,
        create: false,
        rules: vec![Rule {
            line: 6,
            keys: vec!["a".into()],
            on: Some(vec![Op::Delete]),
        }],
    };
    assert_eq!(read_settings(text), Ok(expected));
}

const WRONG: &str = r#"top = 1
[source]
straem = "hunter2"   # what follows the wrong key is not shown
wait = "5 minutes"
batch = 0
room = "9GiB"
create = "yes"

[[rule]]
keys = ["fine", "not fine", 7]
on = ["insert", "delte"]
"#;

const SHOWN: &str = r#"rules.toml:1:1: unknown key `top`
  |
1 | top
  | ^^^
  = help: there are source, rule

rules.toml:2:1: `stream` is missing from [source]
  |
2 | [source]
  | ^^^^^^^^

rules.toml:3:1: unknown key `straem` in [source]
  |
3 | straem
  | ^^^^^^
  = help: did you mean `stream`?

rules.toml:4:8: `wait`: `5 minutes` is no duration; write one like 500ms, 2s, 5m, 1h or 7d
  |
4 | wait = "5 minutes"
  |        ^^^^^^^^^^^

rules.toml:5:9: `batch`: 0 is out of range
  |
5 | batch = 0
  |         ^
  = help: it goes from 1 to 4096; the default is 256

rules.toml:6:8: `room`: 9GiB is out of range
  |
6 | room = "9GiB"
  |        ^^^^^^
  = help: it goes from 1KiB to 1GiB; the default is 1MiB

rules.toml:7:10: `create`: must be true or false, not a string
  |
7 | create = "yes"
  |          ^^^^^

rules.toml:10:17: `keys`: `not fine` has a space
   |
10 | keys = ["fine", "not fine"
   |                 ^^^^^^^^^^

rules.toml:10:29: `keys`: must be a string, not a whole number
   |
10 | keys = ["fine", "not fine", 7
   |                             ^

rules.toml:11:17: `on`: `delte` is not one of insert, delete
   |
11 | on = ["insert", "delte"
   |                 ^^^^^^^
   = help: did you mean `delete`?

10 problems in rules.toml"#;

#[test]
fn every_problem_is_shown_with_its_place_and_a_way_out() {
    assert_eq!(read_settings(WRONG).unwrap_err(), SHOWN);
}

#[test]
fn an_absent_table_names_its_required_keys() {
    let expected = "rules.toml: `stream` is missing from [source]\n\n1 problem in rules.toml";
    assert_eq!(read_settings("").unwrap_err(), expected);
}

#[test]
fn a_table_of_another_kind_is_one_problem() {
    let error = read_settings("source = 1\nrule = 'x'\n").unwrap_err();
    assert!(error.contains("`source`: must be a table, as under [source], not a whole number"));
    assert!(error.contains("`rule`: must be tables, each under [[rule]], not a string"));
    assert!(error.ends_with("2 problems in rules.toml"), "{error}");
}

#[test]
fn mistakes_of_syntax_come_alone_and_all_at_once() {
    let error = read_settings("[source]\nstream = \nwait = oops\n").unwrap_err();
    assert!(error.contains("rules.toml:2:10: "), "{error}");
    assert!(error.contains("rules.toml:3:8: "), "{error}");
    assert!(!error.contains("missing from"), "{error}");
}

#[test]
fn nested_tables_are_named_as_toml_writes_them() {
    let report = read("f", "[a.b]\nx = 1\n[[a.c]]\n[a.c.d]\ny = 1\n", |file| {
        file.section("a", |a| {
            let _ = a.section("b", |_| Some(()));
            let _ = a.sections("c", |c| c.section("d", |_| Some(())));
            Some(())
        })
    });
    let text = report.unwrap_err().to_string();
    assert!(text.contains("unknown key `x` in [a.b]"), "{text}");
    assert!(text.contains("unknown key `y` in [a.c.d]"), "{text}");
}

#[test]
fn limits_hold_for_files_and_lists() {
    let long = format!("#{}", "x".repeat(FILE_BYTES_MAX));
    assert!(
        read_settings(&long)
            .unwrap_err()
            .contains("larger than 1MiB")
    );
    let many = format!(
        "[source]\nstream='x'\n[[rule]]\nkeys=[{}]",
        "'a',".repeat(LIST_MAX + 1)
    );
    let error = read_settings(&many).unwrap_err();
    assert!(
        error.contains("`keys`: has more than 1024 elements"),
        "{error}"
    );
}

#[test]
fn a_parser_can_complain_about_a_value_or_a_table() {
    let report = read("f", "[a]\nx = 'no'\n", |file| {
        file.section("a", |a| {
            let _ = a.opt_string("x");
            a.complain("x", "x is never right".to_owned());
            a.complain("x", "said once".to_owned());
            a.complain("absent", format!("{} is odd", a.title()));
            Some(())
        })
    });
    let text = report.unwrap_err().to_string();
    assert!(text.contains("f:2:5: x is never right"), "{text}");
    assert!(text.contains("f:1:1: [a] is odd"), "{text}");
    assert!(!text.contains("said once"), "{text}");
}

#[test]
fn values_from_outside_take_the_place_of_the_files() {
    let given = |key, value| Override::of("source", key, value);
    let stream = given("stream", Given::Text("OTHER".into()));
    for text in ["", "[source]\nstream = 'CDC'\n"] {
        let read = read_with("f", text, std::slice::from_ref(&stream), settings);
        assert_eq!(read.map(|settings| settings.stream), Ok("OTHER".to_owned()));
    }
    let wrong = given("wait", Given::list("1s, 2s"));
    let report = read_with("f", "", &[stream, wrong], settings).unwrap_err();
    let expected = "f: `wait`: must be a string, not a list (given from outside)\n\n1 problem in f";
    assert_eq!(report.to_string(), expected);
}

#[test]
fn variables_are_named_like_keys_and_read_like_values() {
    let variables = [
        ("APP__SOURCE__BATCH", "7"),
        ("APP__SOURCE__STREAM", "2024"),
        ("APP__SOURCE__WAIT", "2s"),
        ("APPLE__SOURCE__BATCH", "8"),
        ("APP_HOME", "/"),
        ("APP__START", "now"),
    ];
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut named = Override::named("APP", variables);
    let parse = |file: &mut Section<'_>| {
        let start = file.string("start");
        let source = file.section("source", |source| {
            let batch = source.integer_or("batch", 1..=100u16, 50);
            Some((source.string("stream")?, batch))
        });
        Some((start?, source?))
    };
    let text = read_with("f", "start = 'x'\n", &named, parse);
    let text = text.unwrap_err().to_string();
    assert!(text.contains("unknown key `wait` in [source]"), "{text}");
    named.retain(|given| given.key != "wait");
    let read = read_with("f", "start = 'x'\n", &named, parse);
    assert_eq!(read, Ok(("now".to_owned(), ("2024".to_owned(), 7))));
}

#[test]
fn a_list_from_outside_may_be_written_with_commas() {
    let urls = Override::text("l2", "urls", "redis://a, redis://b");
    let list = Override::of("l2", "urls", Given::list("redis://a, redis://b"));
    for given in [urls, list] {
        let read = read_with("f", "", &[given], |file| {
            file.section("l2", |l2| {
                l2.list("urls", |url| Ok::<_, String>(url.to_owned()))
            })
        });
        assert_eq!(
            read,
            Ok(vec!["redis://a".to_owned(), "redis://b".to_owned()])
        );
    }
    let read = read("f", "[l2]\nurls = 'redis://a, redis://b'\n", |file| {
        file.section("l2", |l2| {
            l2.list("urls", |url| Ok::<_, String>(url.to_owned()))
        })
    });
    assert!(read.is_err(), "a file says a list as TOML does");
}

#[test]
fn what_is_shown_is_what_is_in_effect_without_passwords() {
    let text = "[l2]\nurls = ['redis://me:secret@a:1']\n\n[[rule]]\nname = 'x'\n";
    let outside = Override::text("l2", "backup", "redis://me:secret@b:1");
    let parse = |file: &mut Section<'_>| {
        file.opt_section("loader", |_| Some(()));
        file.section("l2", |l2| {
            l2.list("urls", |url| Ok::<_, String>(url.to_owned()));
            l2.opt_string("backup");
            l2.duration_or(
                "timeout",
                Duration::ZERO..=Duration::MAX,
                Duration::from_millis(200),
            );
            l2.opt_string("user");
            Some(())
        });
        file.section("admin", |admin| {
            admin.parsed_or("address", "here", |text| Ok::<_, String>(text.to_owned()))
        });
        file.sections("rule", |rule| {
            rule.bool_or("on", true);
            rule.word_or(
                "op",
                &[("insert", Op::Insert), ("delete", Op::Delete)],
                Op::Delete,
            );
            rule.string("name")
        });
        Some(())
    };
    let ((), shown) = show("f", text, &[outside], parse).unwrap();
    let text = shown.to_string();
    let expected = "\
# loader: not set

[l2]
urls = [\"redis://***@a:1\"]
backup = \"redis://***@b:1\"  # from outside
# timeout = \"200ms\"  (default)
# user: not set

[admin]
# address = \"here\"  (default)

[[rule]]
# on = true  (default)
# op = \"delete\"  (default)
name = \"x\"
";
    assert_eq!(text, expected);
    assert!(read("f", &text, parse).is_ok(), "it can be read again");
}

#[test]
fn no_part_of_a_password_is_shown_whatever_it_holds() {
    for password in [
        "it's-secret",
        "a\"secret",
        "se,cret",
        "x://secret",
        "sec@ret",
        "\\secret",
    ] {
        for address in [
            format!("redis://me:{password}@a:1"),
            format!("nats://me:{password}@a:1,nats://me:{password}@b:1"),
        ] {
            let text = format!("at = {}\n", toml::Value::String(address.clone()));
            let parse = |file: &mut Section<'_>| file.string("at");
            let (_, shown) = show("f", &text, &[], parse).unwrap();
            let outside = Override::text("", "at", address.clone());
            let (_, given) = show("f", "", &[outside], parse).unwrap();
            for text in [shown.to_string(), given.to_string()] {
                assert!(!text.contains("secret") && !text.contains("cret"), "{text}");
                assert!(!text.contains("me:"), "{text}");
            }
            let report = read("f", &text, |file| Some(file.integer_or("at", 0..=1, 0)));
            let text = report.unwrap_err().to_string();
            assert!(!text.contains("secret") && !text.contains("cret"), "{text}");
        }
    }
}

#[test]
fn a_key_of_several_tables_cannot_be_given_from_outside() {
    let given = Override::text("rule", "name", "x");
    let report = read_with("f", "[[rule]]\nname = 'a'\n", &[given], |file| {
        Some(file.sections("rule", |rule| rule.string("name")))
    });
    let text = report.unwrap_err().to_string();
    assert!(text.contains("there may be several [[rule]]"), "{text}");
}
