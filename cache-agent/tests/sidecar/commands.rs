//! The commands of `cache-agent` that look at an agent that runs: what they print for people
//! and for programs, and the codes they end with.

use crate::callers::{OTHER, TOKEN, callers, file, identity};
use crate::world::{World, get};
use cache_agent::config;
use cache_core::testkit::certificates::Certificates;
use cache_core::testkit::until::until;
use serde_json::Value;
use std::fs;
use std::net::TcpListener;
use std::process::Stdio;
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

/// What a command said and how it ended.
pub(crate) struct Said {
    pub(crate) code: i32,
    out: Vec<u8>,
    pub(crate) text: String,
    pub(crate) errors: String,
}

/// A command for an agent.
pub(crate) fn command(world: &World, args: &[&str]) -> Command {
    let mut command = alone(args);
    command
        .env("CACHE_AGENT_ADDR", format!("http://{}", world.api))
        .env("CACHE_AGENT_ADMIN", format!("http://{}", world.admin));
    command
}

/// A command with nothing in its environment that it could take for settings.
pub(crate) fn alone(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cache-agent"));
    command.args(args).stdin(Stdio::null()).kill_on_drop(true);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CACHE_AGENT") || name == "RUST_LOG" {
            command.env_remove(name);
        }
    }
    command
}

pub(crate) async fn ended(mut command: Command) -> Said {
    let output = command.output().await.expect("the program runs");
    Said {
        code: output.status.code().expect("it was not killed"),
        text: String::from_utf8_lossy(&output.stdout).into_owned(),
        out: output.stdout,
        errors: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

async fn say(world: &World, args: &[&str]) -> Said {
    ended(command(world, args)).await
}

async fn json(world: &World, args: &[&str]) -> Value {
    let said = say(world, &[args, &["--output", "json"]].concat()).await;
    serde_json::from_str(&said.text).unwrap_or_else(|_| panic!("{}{}", said.text, said.errors))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_is_set_got_and_made_invalid() {
    let world = World::embedded().await;
    let missed = say(&world, &["get", "notes", "k"]).await;
    assert_eq!((missed.code, missed.text.as_str()), (5, ""));
    assert!(missed.errors.contains("nothing is cached"));

    let args = ["set", "notes", "k", "v 1\n", "--ttl", "60s", "--tag", "t"];
    let set = say(&world, &args).await;
    assert_eq!(set.code, 0, "{}", set.errors);
    let got = say(&world, &["get", "notes", "k"]).await;
    assert_eq!((got.code, got.out.as_slice()), (0, &b"v 1\n"[..]));
    assert!(
        got.errors.contains("stored") && got.errors.contains("tags t"),
        "{}",
        got.errors
    );
    let got = json(&world, &["get", "notes", "k"]).await;
    assert_eq!(
        (&got["result"], &got["value"]),
        (&"hit".into(), &"v 1\n".into())
    );
    let again = say(&world, &["set", "notes", "k", "v2", "--if-absent"]).await;
    assert_eq!(again.code, 1);

    let ended = say(&world, &["invalidate", "notes", "--tag", "t"]).await;
    assert_eq!((ended.code, ended.text.trim()), (0, "invalid everywhere"));
    assert_eq!(say(&world, &["get", "notes", "k"]).await.code, 5);
    let got = json(&world, &["get", "notes", "k"]).await;
    assert_eq!(got["result"], "miss");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_and_values_may_be_any_bytes() {
    let world = World::embedded().await;
    let mut set = command(&world, &["set", "notes", "/wA=", "--base64"]);
    let mut child = set.stdin(Stdio::piped()).spawn().expect("the program runs");
    let mut input = child.stdin.take().expect("piped");
    input.write_all(b"\x00\xff\n\r").await.expect("it reads");
    drop(input);
    assert_eq!(child.wait().await.expect("it ended").code(), Some(0));
    let got = say(&world, &["get", "notes", "/wA=", "--base64"]).await;
    assert_eq!(got.out, b"\x00\xff\n\r");
    let got = json(&world, &["get", "notes", "/wA=", "--base64"]).await;
    assert_eq!(got["value"]["base64"], "AP8KDQ==");
    let wrong = say(&world, &["get", "notes", "user:7", "--base64"]).await;
    assert_eq!(wrong.code, 2);
    assert!(
        wrong.errors.contains("leave --base64 out"),
        "{}",
        wrong.errors
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_says_what_becomes_invalid() {
    let world = World::embedded().await;
    let args = [
        "watch",
        "notes",
        "--output",
        "json",
        "--heartbeats",
        "--count",
        "2",
    ];
    let mut watch = command(&world, &args);
    let mut child = watch
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next = async || -> Value {
        let line = lines
            .next_line()
            .await
            .expect("text")
            .expect("another line");
        serde_json::from_str(&line).expect("JSON")
    };
    // The first one tells that it hears.
    assert_eq!(next().await["event"], "heartbeat");
    assert_eq!(say(&world, &["invalidate", "notes", "k"]).await.code, 0);
    let heard = next().await;
    assert_eq!(heard["event"], "invalidation");
    assert_eq!(
        (&heard["cache"], &heard["target"]),
        (&"notes".into(), &"k".into())
    );
    assert_eq!(child.wait().await.expect("it ended").code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_is_looked_into() {
    let world = World::embedded().await;
    say(&world, &["set", "notes", "k", "v"]).await;
    world.tcp.try_get(get("k")).await.expect("an answer");
    let text = say(&world, &["inspect", "notes", "k"]).await;
    assert!(
        text.text.contains("L1") && text.text.contains("L2"),
        "{}",
        text.text
    );
    let explained = json(&world, &["inspect", "notes", "k"]).await;
    assert_eq!(explained["l2"]["has_entry"], true);
    assert_eq!(explained["loading"], false);

    let reads = async || {
        for _ in 0..64 {
            say(&world, &["get", "notes", "k", "--output", "json"]).await;
            let hot = json_lines(&world, &["hot", "notes"]).await;
            if let Some(first) = hot.first() {
                return first["key"] == "k" && first["reads"].as_u64() >= Some(16);
            }
        }
        false
    };
    assert!(reads().await, "one read in sixteen is counted");

    let line = json(
        &world,
        &["stat", "notes", "--interval", "100ms", "--count", "1"],
    )
    .await;
    assert_eq!(
        (&line["state"], &line["errors_per_second"]),
        (&"ok".into(), &0.0.into())
    );
    let text = say(&world, &["stat", "--interval", "100ms", "--count", "2"]).await;
    assert_eq!(
        text.text.lines().count(),
        3,
        "a heading and two lines: {}",
        text.text
    );
    let refused = say(&world, &["top"]).await;
    assert_eq!(refused.code, 2, "a pipe is no terminal");
    assert!(refused.errors.contains("cache-agent stat"));
}

async fn json_lines(world: &World, args: &[&str]) -> Vec<Value> {
    let said = say(world, &[args, &["--output", "json"]].concat()).await;
    let lines = said.text.lines();
    lines
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_fails_is_told_with_its_reason_and_a_code() {
    let world = World::embedded().await;
    let unknown = say(&world, &["get", "nope", "k"]).await;
    assert_eq!(unknown.code, 2);
    assert!(
        unknown.errors.contains("CACHE_UNKNOWN"),
        "{}",
        unknown.errors
    );
    let nothing = say(&world, &["invalidate", "notes"]).await;
    assert_eq!(
        (nothing.code, nothing.errors.contains("--whole-cache")),
        (2, true)
    );
    let unknown = say(&world, &["inspect", "nope", "k"]).await;
    assert_eq!(unknown.code, 2);

    // A port that was free a moment ago.
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", free.local_addr().expect("its address"));
    drop(free);
    for (args, hint) in [
        (
            ["get", "notes", "k", "--agent", &address],
            "CACHE_AGENT_ADDR",
        ),
        (
            ["inspect", "notes", "k", "--admin", &address],
            "CACHE_AGENT_ADMIN",
        ),
    ] {
        let said = ended(alone(&args)).await;
        assert_eq!(
            (said.code, said.errors.contains(hint)),
            (4, true),
            "{}",
            said.errors
        );
    }
    // One that takes connections and says nothing.
    let hung = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", hung.local_addr().expect("its address"));
    let args = [
        "get",
        "notes",
        "k",
        "--agent",
        &address,
        "--timeout",
        "300ms",
    ];
    let said = ended(alone(&args)).await;
    assert_eq!(said.code, 4, "{}", said.errors);
    assert!(said.errors.contains("no answer within"), "{}", said.errors);
    let said = ended(alone(&["get", "notes", "k", "--agent", "localhost"])).await;
    assert_eq!((said.code, said.errors.contains("unix:///")), (2, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_lets_a_command_in() {
    let own = file(TOKEN);
    let world = World::embedded_for(callers(vec![identity("ops", Some(own.path()))])).await;
    let tokens = file(&format!("{OTHER}\n{TOKEN}\n"));
    let path = tokens.path().display().to_string();
    for args in [&["get", "notes", "k"][..], &["inspect", "notes", "k"]] {
        let refused = say(&world, args).await;
        assert_eq!(refused.code, 1);
        assert!(
            refused.errors.contains("TOKEN_MISSING"),
            "{}",
            refused.errors
        );
        let args = [args, &["--token-file", &path]].concat();
        let said = say(&world, &args).await;
        assert!(
            [0, 5].contains(&said.code),
            "the last token counts: {}",
            said.errors
        );
    }
    let empty = file("\n");
    let path = empty.path().display().to_string();
    let said = say(&world, &["get", "notes", "k", "--token-file", &path]).await;
    assert_eq!(said.code, 2, "{}", said.errors);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_speaks_tls_and_trusts_whom_it_is_told_to() {
    let certificates = Certificates::make().expect("a folder");
    let pair = certificates.server();
    let text = format!(
        "[listen]\ntcp = '127.0.0.1:0'\ntls_cert = '{}'\ntls_key = '{}'\n\
         [l2]\nkind = 'memory'\n[bus]\nkind = 'memory'\n[[cache]]\nname = 'notes'\n",
        pair.cert.display(),
        pair.key.display()
    );
    let config = config::read("agent.toml", &text).expect("a configuration");
    let (_world, port) = World::embedded_accepting(config.listen.accept).await;
    let address = format!("https://127.0.0.1:{}", port.port());
    let ca = certificates.ca().display().to_string();
    let args = ["get", "notes", "k", "--agent", &address, "--tls-ca", &ca];
    let said = ended(alone(&args)).await;
    assert_eq!(said.code, 5, "{}", said.errors);
    let said = ended(alone(&args[..5])).await;
    assert_eq!(said.code, 4, "nobody signed it that browsers trust");
    assert!(said.errors.contains("UnknownIssuer"), "{}", said.errors);
}

#[tokio::test]
async fn the_arguments_make_completions_and_a_manual_page() {
    for shell in ["bash", "zsh", "fish"] {
        let said = ended(alone(&["completions", shell])).await;
        assert_eq!(said.code, 0);
        assert!(
            said.text.contains("invalidate") && said.text.contains("doctor"),
            "{shell}"
        );
    }
    let page = ended(alone(&["man"])).await;
    for word in [".TH cache-agent", "cache\\-agent\\-doctor", "Exit codes"] {
        assert!(page.text.contains(word), "{word}");
    }
    let help = ended(alone(&["--help"])).await;
    assert_eq!(help.code, 0);
}

/// In a terminal of its own, as a person has one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dashboard_draws_in_a_terminal_and_leaves_it_as_it_was() {
    let world = World::embedded().await;
    let folder = TempDir::new().expect("a folder");
    let typescript = folder.path().join("typescript");
    let program = env!("CARGO_BIN_EXE_cache-agent");
    let admin = format!("http://{}", world.admin);
    let mut script = Command::new("script");
    script
        .args(["--quiet", "--flush", "--return", "--command"])
        .arg(format!(
            "stty rows 30 cols 120; {program} top --interval 100ms --admin {admin}"
        ))
        .arg(&typescript)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .kill_on_drop(true);
    let mut child = script.spawn().expect("script of util-linux");
    let drawn = || async {
        let text = fs::read(&typescript).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        // Spaces are not drawn where there were some before.
        ["BREAKER", "changes", "notes"]
            .iter()
            .all(|word| text.contains(word))
    };
    until(Duration::from_secs(20), "the dashboard", drawn)
        .await
        .unwrap();
    let mut keys = child.stdin.take().expect("piped");
    keys.write_all(b"jsq").await.expect("it reads");
    let status = child.wait().await.expect("it ended");
    assert_eq!(status.code(), Some(0));
    let text = fs::read(&typescript).expect("what was drawn");
    let text = String::from_utf8_lossy(&text);
    assert!(
        text.contains("\x1b[?1049h") && text.contains("\x1b[?1049l"),
        "its own screen"
    );
}
