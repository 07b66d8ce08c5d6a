//! The built-in page: what serves it, whom it tells of keys, and how it is in a browser.

use crate::callers::{TOKEN, callers, file, identity};
use crate::process::{agent, http, try_http};
use crate::serving::{PATIENCE, free};
use crate::world::World;
use cache_agent::page::PAGE;
use cache_agent::page::sight::SERIES;
use cache_core::ops::page::parts::POLICY;
use cache_core::testkit::browser::{Look, Seen};
use cache_core::testkit::until::until;
use serde_json::Value;
use std::net::SocketAddr;
use std::process::Stdio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Child;

const EXPLAIN: &str = r#"{"cache":"users","key":"user:1"}"#;
const JSON: &str = "application/json";

/// Asks as a browser does that was sent to this host: the head and the body.
async fn ask(admin: SocketAddr, host: &str, path: &str, post: Option<&str>) -> (String, String) {
    let mut stream = TcpStream::connect(admin).await.expect("it listens");
    let (method, kind, body) = match post {
        Some(kind) => ("POST", kind, EXPLAIN),
        None => ("GET", "text/plain", ""),
    };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
         Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream
        .write_all(request.as_bytes())
        .await
        .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.to_lowercase(), body.to_owned())
}

fn code(head: &str) -> u16 {
    let code = head.split(' ').nth(1).expect("a status line");
    code.parse().expect("a number")
}

async fn document(admin: SocketAddr, path: &str) -> Value {
    let (head, body) = ask(admin, "127.0.0.1", path, None).await;
    assert!(code(&head) == 200 && head.contains("no-store"), "{head}");
    serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_and_its_parts_are_served_by_their_types_under_a_strict_policy() {
    let world = World::embedded().await;
    let own = PAGE.scripts.iter().map(|(name, _)| *name);
    let scripts = own.chain(["figures.js", "chart.js", "dom.js", "live.js", "looks.js"]);
    let scripts = scripts.map(|name| (name, "text/javascript; charset=utf-8"));
    let style = "text/css; charset=utf-8";
    let others = [
        ("style.css", style),
        ("chart.css", style),
        ("icon.svg", "image/svg+xml"),
    ];
    for (name, kind) in scripts.chain(others) {
        let (head, _) = ask(world.admin, "agent", &format!("/page/{name}"), None).await;
        assert_eq!(code(&head), 200, "{name}");
        assert!(
            head.contains(&format!("content-type: {kind}")),
            "{name}: {head}"
        );
        assert!(head.contains("x-content-type-options: nosniff"), "{head}");
    }
    let (head, page) = ask(world.admin, "agent", "/", None).await;
    let policy = format!("content-security-policy: {POLICY}").to_lowercase();
    assert!(
        head.contains(&policy) && !policy.contains("unsafe"),
        "{head}"
    );
    assert!(
        !page.contains("style=") && !page.contains("onclick"),
        "{page}"
    );
    let (head, _) = ask(world.admin, "agent", "/page/agent.rs", None).await;
    assert_eq!(code(&head), 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_has_every_series_that_the_page_reads() {
    let world = World::real().await;
    world.unix.store("user:1", "Ada").await;
    for _ in 0..320 {
        world.unix.get("user:1").await;
    }
    let seen = document(world.admin, "/page.json").await;
    for name in SERIES {
        let all = seen["series"][name]["all"].as_array();
        assert!(all.is_some_and(|all| !all.is_empty()), "{name} in {seen}");
    }
    let times = &seen["series"]["cacheaside_get_duration_seconds"];
    let (bounds, counts) = (&times["bounds"], &times["all"][0]["counts"]);
    let len = |list: &Value| list.as_array().map(Vec::len);
    assert_eq!(len(bounds).map(|bounds| bounds + 1), len(counts));
    assert!(seen["about"]["version"].is_string() && seen["about"]["not_ready"].is_null());
    assert!(seen["about"]["uptime_ms"].is_u64() && seen["demo"].is_null());
    for field in ["count", "p50_ms", "p99_ms", "max_ms"] {
        assert!(seen["lag"][field].is_u64(), "{field}");
    }
    assert_eq!(seen["keys"]["hot"][0]["key"], "user:1");
    assert!(seen["keys"]["hot"][0]["reads"].as_u64() > seen["keys"]["hot"][0]["error"].as_u64());
    // Whatever the scripts call by a series' name is among those.
    let (_, metrics) = http(world.admin, "/metrics").await;
    let families = metrics
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE "));
    let families: Vec<_> = families.filter_map(|line| line.split(' ').next()).collect();
    for (script, text) in PAGE.scripts {
        for quoted in text.split('"').skip(1).step_by(2) {
            let full = format!("cacheaside_{}", quoted.trim_start_matches("cacheaside_"));
            if families.contains(&full.trim_end_matches("_total")) && quoted.contains('_') {
                assert!(SERIES.contains(&&*full), "{script} reads {full}");
            }
        }
    }
    let other = document(world.admin, "/page.json?cache=notes").await;
    assert_eq!(
        other["keys"]["hot"],
        serde_json::json!([]),
        "none of that cache"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_from_elsewhere_learns_nothing_of_keys() {
    let world = World::embedded().await;
    let switches = "/cacheaside.v1.AdminService/SetSwitches";
    let (head, _) = ask(world.admin, "rebound.example:9464", switches, Some(JSON)).await;
    assert_eq!(code(&head), 421, "it changes nothing either");
    for (path, post) in [("/page.json", None), ("/explain.json", Some(JSON))] {
        let (head, body) = ask(world.admin, "rebound.example:9464", path, post).await;
        assert_eq!(code(&head), 421, "{body}");
        assert!(body.contains("ask by address"), "{body}");
        let (head, _) = ask(world.admin, "localhost:9464", path, post).await;
        assert_eq!(code(&head), 200);
    }
    let (head, _) = ask(
        world.admin,
        "127.0.0.1",
        "/explain.json",
        Some("text/plain"),
    )
    .await;
    assert_eq!(code(&head), 415, "what a form may send is not read");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_callers_are_asked_who_they_are_the_page_shows_no_keys() {
    let own = file(TOKEN);
    let world = World::embedded_for(callers(vec![identity("shop", Some(own.path()))])).await;
    let seen = document(world.admin, "/page.json").await;
    assert_eq!(seen["keys"]["shown"], false);
    assert_eq!(seen["keys"]["hot"], serde_json::json!([]));
    let (head, body) = ask(world.admin, "127.0.0.1", "/explain.json", Some(JSON)).await;
    assert_eq!(code(&head), 422);
    assert!(
        body.contains("cache-agent inspect") && !body.contains("user:1"),
        "{body}"
    );
}

fn dev(admin: SocketAddr) -> Child {
    let port = admin.port().to_string();
    let args = [
        "dev",
        "--port",
        "0",
        "--resp-port",
        "0",
        "--admin-port",
        &port,
    ];
    let started = agent(&args).stdout(Stdio::null()).spawn();
    started.expect("the program runs")
}

async fn is_ready(admin: SocketAddr) {
    let ready = async || {
        let answer = try_http(admin, "/ready").await;
        answer.is_some_and(|(code, _)| code == 200)
    };
    let ready = until(PATIENCE, "the agent is ready", ready).await;
    ready.expect("it is");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_finds_nothing_wrong_with_the_page_under_load() {
    let admin = free();
    let mut child = dev(admin);
    is_ready(admin).await;
    let (mut look, mut seen) = (Look::start(admin, "agent", None), Seen::default());
    while let Some(word) = look.until_it_asks(&mut seen).await {
        match word.as_str() {
            "kill" => child.kill().await.expect("it can be killed"),
            _ => child = dev(admin),
        }
        look.done().await;
    }
    let expected = [
        "moves",
        "contrast",
        "phone",
        "keyboard",
        "names",
        "as a table",
        "explains",
        "drills down",
        "states",
        "quiet",
        "gone",
        "back",
    ];
    assert_eq!(seen.lines, expected);
    assert!(seen.right);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_browser_finds_out_a_broken_script() {
    let admin = free();
    let _child = dev(admin);
    is_ready(admin).await;
    let (mut look, mut seen) = (
        Look::start(admin, "agent", Some("live.js")),
        Seen::default(),
    );
    assert_eq!(look.until_it_asks(&mut seen).await, None, "it ends before");
    assert!(!seen.right, "{seen:?}");
    let why = seen.lines.last().expect("a reason");
    assert!(
        why.starts_with("wrong script: ") && why.contains("draw_"),
        "{seen:?}"
    );
}
