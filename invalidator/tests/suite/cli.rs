//! The program as people call it: what it prints where, and how it ends.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

const RULES: &str = "[source]\nstream = 'CDC'\n\n[[rule]]\ntable = 'public.users'\n\
    cache = 'users'\nkeys = ['user:{id}']\ntags = ['team:{team_id}']\n";

pub(crate) struct Files {
    folder: TempDir,
}

impl Files {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("the folder is there");
        path
    }

    /// Runs the program in the folder, so that messages hold no path.
    pub(crate) fn run(&self, arguments: &[&str], input: &str) -> (i32, String, String) {
        let mut child = Command::new(env!("CARGO_BIN_EXE_invalidator"))
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut stdin = child.stdin.take().expect("it is piped");
        // It may end without reading.
        let _ = stdin.write_all(input.as_bytes());
        drop(stdin);
        let Output {
            status,
            stdout,
            stderr,
        } = child.wait_with_output().expect("it ends");
        let text = |bytes| String::from_utf8(bytes).expect("it is text");
        (
            status.code().expect("no signal"),
            text(stdout),
            text(stderr),
        )
    }
}

fn update(before: &str) -> String {
    format!(
        r#"{{"op": "u", "before": {before}, "after": {{"id": 7, "team_id": 4}},
            "source": {{"db": "shop", "schema": "public", "table": "users", "ts_ms": 5}}}}"#
    )
}

#[test]
fn check_says_what_the_rules_come_to() {
    let files = Files::new();
    files.write("rules.toml", RULES);
    let (code, out, err) = files.run(&["check", "rules.toml"], "");
    assert_eq!(
        out,
        "rules.toml: no problems, 1 rule\n  public.users -> users: user:{id}, team:{team_id}\n  \
         what may come before its readers see it is announced again after 1s\n"
    );
    assert_eq!((code, err.as_str()), (0, ""));
}

#[test]
fn check_finds_the_problems_of_both_files() {
    let files = Files::new();
    files.write("rules.toml", &RULES.replace("keys", "kyes"));
    files.write("service.toml", "[bus]\nurl = 'nats://x:1'\n");
    let (code, out, err) = files.run(&["check", "rules.toml", "--config", "service.toml"], "");
    assert_eq!((code, out.as_str()), (3, ""));
    assert!(err.contains("rules.toml:7:1: unknown key `kyes`"), "{err}");
    assert!(err.contains("did you mean `keys`?"), "{err}");
    assert!(err.contains("service.toml: `urls` is missing"), "{err}");
}

#[test]
fn check_of_no_file_is_a_wrong_argument() {
    let (code, out, err) = Files::new().run(&["check", "rules.toml"], "");
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(
        err.starts_with("invalidator: cannot read rules.toml: No such file"),
        "{err}"
    );
}

#[test]
fn explain_shows_what_an_event_invalidates() {
    let files = Files::new();
    files.write("rules.toml", RULES);
    let event = update(r#"{"id": 7, "team_id": 3}"#);
    let (code, out, _) = files.run(&["explain", "--rules", "rules.toml"], &event);
    assert_eq!(
        out,
        "format       debezium\n\
         place        commit_us 5000\n\
         table        shop.public.users\n\
         operation    update\n\
         rule         line 4: public.users -> users: mapped\n\
         invalidates  users key user:7\n\
         invalidates  users tag team:3\n\
         invalidates  users tag team:4\n"
    );
    assert_eq!(code, 0);
}

#[test]
fn explain_tells_programs_the_same() {
    let files = Files::new();
    files.write("rules.toml", RULES);
    let arguments = ["explain", "--rules", "rules.toml", "--output", "json"];
    let (code, out, _) = files.run(&arguments, &update("null"));
    let told: serde_json::Value = serde_json::from_str(&out).expect("it is JSON");
    assert_eq!(told["format"], "debezium");
    assert_eq!(told["place"], serde_json::json!({"commit_us": 5000}));
    assert_eq!(told["changes"][0]["op"], "update");
    assert_eq!(told["table"], "shop.public.users");
    assert_eq!(told["op"], "update");
    assert_eq!(told["rules"][0]["outcome"], "missing_column");
    assert_eq!(
        told["invalidates"][0],
        serde_json::json!({"cache": "users", "key": "user:7"})
    );
    assert_eq!(
        told["invalidates"][2],
        serde_json::json!({"cache": "users", "tag": "*"})
    );
    let letter = told["dead_letter"].as_str().expect("a reason");
    assert!(letter.contains("REPLICA IDENTITY FULL"), "{letter}");
    assert_eq!(code, 3, "it would become a dead letter");
}

#[test]
fn explain_says_why_nothing_happens() {
    let files = Files::new();
    files.write("rules.toml", RULES);
    let elsewhere = update("null").replace("public", "private");
    let (code, out, _) = files.run(&["explain", "--rules", "rules.toml"], &elsewhere);
    assert!(
        out.contains("nothing      no rule is about shop.private.users\n"),
        "{out}"
    );
    assert_eq!(code, 0);
    let (code, out, _) = files.run(&["explain", "--rules", "rules.toml"], "");
    assert_eq!(
        (code, out.as_str()),
        (0, "format       empty\nnothing      an empty payload\n")
    );
    let (code, out, _) = files.run(&["explain", "--rules", "rules.toml"], "{\"op\"");
    assert!(out.contains("dead letter  it is not JSON"), "{out}");
    assert_eq!(code, 3);
}

#[test]
fn serve_with_wrong_files_tells_of_both_and_ends_with_2() {
    let files = Files::new();
    files.write("rules.toml", "[source]\n");
    files.write("service.toml", "[l2]\n");
    let serve = ["serve", "--config", "service.toml", "--rules", "rules.toml"];
    let (code, out, err) = files.run(&serve, "");
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("`stream` is missing from [source]"), "{err}");
    assert!(err.contains("problems in service.toml"), "{err}");
}

#[test]
fn serve_without_nats_ends_with_4_and_hides_the_password() {
    let files = Files::new();
    files.write("rules.toml", RULES);
    files.write(
        "service.toml",
        "[l2]\nurls = ['redis://127.0.0.1:1']\n[bus]\nurl = 'nats://me:secret@127.0.0.1:1'\n\
         [admin]\naddress = '127.0.0.1:0'\n",
    );
    let serve = [
        "--log",
        "off",
        "serve",
        "--config",
        "service.toml",
        "--rules",
        "rules.toml",
    ];
    let (code, _, err) = files.run(&serve, "");
    assert_eq!(code, 4, "{err}");
    assert!(err.starts_with("invalidator: connecting to NATS: 127.0.0.1:1: cannot be reached"));
    assert!(
        err.contains("is it running, and is the address right?"),
        "{err}"
    );
    assert!(!err.contains("secret"), "{err}");
}

#[test]
fn every_command_helps_with_an_example() {
    for command in [
        "serve", "check", "explain", "test", "setup", "lag", "tail", "dlq", "flush", "replay",
        "bump", "pause", "resume",
    ] {
        let (code, out, _) = Files::new().run(&[command, "--help"], "");
        assert_eq!(code, 0);
        let example = format!("  invalidator {command}");
        assert!(out.contains("Example") && out.contains(&example), "{out}");
    }
}

#[test]
fn help_names_the_exit_codes() {
    let (code, out, _) = Files::new().run(&["--help"], "");
    assert_eq!(code, 0);
    for wanted in [
        "serve",
        "check",
        "explain",
        "schema",
        "test",
        "Exit codes: 0 ended as asked",
    ] {
        assert!(out.contains(wanted), "{out}");
    }
    let (code, _, err) = Files::new().run(&["sevre"], "");
    assert_eq!(code, 2);
    assert!(err.contains("serve"), "{err}");
}

#[test]
fn explain_takes_what_comes_beside_the_bytes() {
    let files = Files::new();
    files.write("rules.toml", RULES);
    let arguments = [
        "explain",
        "--rules",
        "rules.toml",
        "--subject",
        "cdc.public.users",
        "--header",
        "Ce-Specversion: 1.0",
        "--header",
        "ce-type: org.example.changed",
    ];
    let event = r#"{"after": {"id": 7, "team_id": 4}, "before": null}"#;
    let (code, out, err) = files.run(&arguments, event);
    assert_eq!(
        out,
        "format       cloudevents\n\
         table        public.users\n\
         operation    insert\n\
         rule         line 4: public.users -> users: mapped\n\
         invalidates  users key user:7\n\
         invalidates  users tag team:4\n",
        "{err}"
    );
    assert_eq!(code, 0);
    let (code, _, err) = files.run(&["explain", "--rules", "rules.toml", "--header", "x"], "");
    assert_eq!(code, 2);
    assert!(err.contains("write a header as `name: value`"), "{err}");
}

#[test]
fn explain_shows_each_change_of_an_event() {
    let files = Files::new();
    files.write("rules.toml", RULES);
    let event = r#"{"change": [
        {"kind": "insert", "schema": "public", "table": "users", "columnnames": ["id", "team_id"],
         "columnvalues": [7, 4]},
        {"kind": "insert", "schema": "public", "table": "other"}]}"#;
    let (code, out, _) = files.run(&["explain", "--rules", "rules.toml"], event);
    assert!(
        out.contains("rule         line 4: public.users -> users: mapped\n"),
        "{out}"
    );
    assert!(
        out.contains("nothing      it cannot be read: `columnnames` is missing"),
        "{out}"
    );
    assert_eq!(code, 3, "one would become a dead letter");
}

#[test]
fn schema_prints_the_schema() {
    let (code, out, _) = Files::new().run(&["schema"], "");
    assert_eq!((code, out.as_str()), (0, invalidator::schema::RULES));
}
