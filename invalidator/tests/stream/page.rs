//! The built-in page: what serves it, and how it is in a browser while events come.

use crate::desk::Desk;
use crate::world::{RULES, World, update};
use cache_core::ops::page::parts::POLICY;
use cache_core::testkit::browser::{Look, Seen};
use cache_core::testkit::until::until;
use invalidator::page::SERIES;
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Child;

const WITHIN: Duration = Duration::from_secs(30);

async fn get(admin: SocketAddr, path: &str) -> Option<(String, String)> {
    let mut stream = TcpStream::connect(admin).await.ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.to_lowercase(), body.to_owned()))
}

fn serve(desk: &Desk) -> Child {
    let files = ["serve", "--config", "service.toml", "--rules", "rules.toml"];
    let started = desk.command(&files).stderr(Stdio::null()).spawn();
    started.expect("the program runs")
}

async fn is_ready(admin: SocketAddr) {
    let ready = async || {
        let answer = get(admin, "/ready").await;
        answer.is_some_and(|(head, _)| head.starts_with("http/1.1 200"))
    };
    let ready = until(WITHIN, "the invalidator is ready", ready).await;
    ready.expect("it is");
}

/// A desk whose invalidator has its admin listener there.
async fn desk(world: &World) -> (Desk, SocketAddr) {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let admin = free.local_addr().expect("its address");
    let more = format!("[admin]\naddress = '{admin}'\n");
    (Desk::with(world, RULES, &more), admin)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_served_and_its_document_has_every_series_it_reads() {
    let world = World::start().await;
    let (desk, admin) = desk(&world).await;
    let _child = serve(&desk);
    is_ready(admin).await;
    let not_read = "{".to_owned();
    world.publish(&[update(1), update(2), not_read]).await;
    until(WITHIN, "all is done", || world.all_done())
        .await
        .expect("it is");
    let (head, page) = get(admin, "/").await.expect("an answer");
    assert!(head.contains(&POLICY.to_lowercase()), "{head}");
    assert!(page.starts_with("<!doctype html>"), "{page}");
    let (head, script) = get(admin, "/page/invalidator.js").await.expect("an answer");
    assert!(head.contains("content-type: text/javascript"), "{head}");
    let (head, seen) = get(admin, "/page.json").await.expect("an answer");
    assert!(head.contains("no-store"), "{head}");
    let seen: Value = serde_json::from_str(&seen).expect("JSON");
    for name in SERIES {
        let all = seen["series"][name]["all"].as_array();
        assert!(all.is_some_and(|all| !all.is_empty()), "{name} in {seen}");
    }
    for name in SERIES {
        let short = name.trim_start_matches("cacheaside_invalidator_");
        let shared = name == "cacheaside_inspections_total";
        let in_words = include_str!("../../src/page/trouble.js").contains(short);
        assert!(
            script.contains(short) || in_words || shared,
            "nobody reads {name}"
        );
    }
    assert!(seen["now_ms"].is_u64() && seen["about"]["uptime_ms"].is_u64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_finds_nothing_wrong_with_the_page_while_events_come() {
    let world = Arc::new(World::start().await);
    let (desk, admin) = desk(&world).await;
    let mut child = serve(&desk);
    is_ready(admin).await;
    let from = world.clone();
    let publishing = tokio::spawn(async move {
        for id in 0.. {
            from.publish(&[update(id % 1_000)]).await;
        }
    });
    let (mut look, mut seen) = (Look::start(admin, "invalidator", None), Seen::default());
    while let Some(word) = look.until_it_asks(&mut seen).await {
        match word.as_str() {
            "kill" => child.kill().await.expect("it can be killed"),
            _ => child = serve(&desk),
        }
        look.done().await;
    }
    publishing.abort();
    let expected = [
        "moves",
        "contrast",
        "phone",
        "keyboard",
        "names",
        "as a table",
        "states",
        "quiet",
        "gone",
        "back",
    ];
    assert_eq!(seen.lines, expected);
    assert!(seen.right);
}
