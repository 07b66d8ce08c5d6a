//! The configuration file: what it may say, and how its mistakes are told.

use cache_agent::config::{self, Start};
use cache_agent::strategies::{Strategy, WriteMode};
use cache_core::connect::{BusAt, RemoteAt};
use std::time::Duration;

#[test]
fn a_small_file_has_sensible_defaults() {
    let text = r#"
start = "degraded"
[listen]
tcp = "127.0.0.1:7390"
[l2]
kind = "single"
urls = ["redis://127.0.0.1:6379"]
[bus]
url = "nats://127.0.0.1:4222"
[[cache]]
name = "users"
"#;
    let config = config::read("agent.toml", text).expect("nothing wrong");
    assert_eq!(config.start, Start::Degraded);
    assert_eq!(config.admin.to_string(), "127.0.0.1:9464");
    assert_eq!(config.listen.limits.requests_max, 1024);
    assert_eq!(config.listen.limits.deadline, Duration::from_secs(1));
    assert_eq!(config.drain.delay, Duration::from_secs(5));
    assert!(matches!(config.domain.remote, RemoteAt::Redis { .. }));
    assert!(matches!(config.domain.bus, BusAt::Nats { .. }));
    assert_eq!(config.caches[0].name.as_str(), "users");
}

pub(crate) const WRONG: &str = r#"start = "degrade"
[listen]
tcp = "0.0.0.0:7390"
unix = "agent.sock"
requests = 10
[admin]
address = "localhost"
[l2]
kind = "memory"
[bus]
kind = "memory"
[drain]
delay = "5"
[[cache]]
name = "users"
[[cache]]
name = "users"
"#;

pub(crate) const REPORT: &str = r#"agent.toml:1:9: `start`: `degrade` is not one of refuse, degraded
  |
1 | start = "degrade"
  |         ^^^^^^^^^
  = help: did you mean `degraded`?

agent.toml:3:7: `tcp`: 0.0.0.0:7390 can be reached from other machines, and nothing here asks who is calling; use 127.0.0.1, [::1] or a Unix socket, or name callers with tokens in [[identity]], or ask for certificates with `tls_client_ca`
  |
3 | tcp = "0.0.0.0:7390"
  |       ^^^^^^^^^^^^^^

agent.toml:4:8: `unix`: `agent.sock` is not absolute
  |
4 | unix = "agent.sock"
  |        ^^^^^^^^^^^^

agent.toml:5:1: unknown key `requests` in [listen]
  |
5 | requests
  | ^^^^^^^^
  = help: there are unix, unix_mode, tcp, resp, requests_max, deadline, streams_max, stream_calls_max, watch_heartbeat, resp_connections_max, tls_cert, tls_key, tls_client_ca, connections_max

agent.toml:7:11: `address`: `localhost` is no address and port; write one like 127.0.0.1:7390
  |
7 | address = "localhost"
  |           ^^^^^^^^^^^

agent.toml:13:9: `delay`: `5` is no duration; write one like 500ms, 2s, 5m, 1h or 7d
   |
13 | delay = "5"
   |         ^^^

agent.toml:17:8: the cache `users` is here twice
   |
17 | name = "users"
   |        ^^^^^^^

7 problems in agent.toml"#;

#[test]
fn every_mistake_is_told_at_once() {
    let report = config::read("agent.toml", WRONG).expect_err("seven mistakes");
    assert_eq!(report.to_string(), REPORT);
}

#[test]
fn an_empty_file_is_told_what_it_lacks() {
    let report = config::read("agent.toml", "")
        .expect_err("it lacks a lot")
        .to_string();
    for part in [
        "`urls` is missing",
        "`url` is missing",
        "nothing to listen on",
        "no cache is configured",
    ] {
        assert!(report.contains(part), "{part} in\n{report}");
    }
}

/// A good file with these lines in `[loader]` and in its cache.
fn file(loader: &str, cache: &str) -> String {
    format!(
        "[listen]\ntcp = '127.0.0.1:7390'\n[l2]\nkind = 'memory'\n[bus]\nkind = 'memory'\n\
         {loader}\n[[cache]]\nname = 'users'\n{cache}\n"
    )
}

#[test]
fn a_cache_may_load_and_write_by_itself() {
    let loader = "[loader]\naddress = 'unix:/run/app/loader.sock'\ncalls_max = 4";
    let cache = "read = 'through'\nwrite = 'behind'\nrefresh_percent = 80\nwrite_timeout = '2s'";
    let config = config::read("agent.toml", &file(loader, cache)).expect("nothing wrong");
    let source = config.strategies.source.as_ref().expect("a source");
    assert_eq!(source.address, "unix:///run/app/loader.sock");
    assert_eq!((source.calls_max, source.batch_max), (4, 100));
    let policy = &config.caches[0];
    let strategy = config.strategies.of(&policy.name);
    assert!(strategy.reads && strategy.writes == WriteMode::Behind);
    assert_eq!(policy.refresh.expect("it refreshes").share, 0.8);
    assert_eq!(policy.lifetime.stale_ttl, Duration::from_secs(3_600));
    assert_eq!(policy.write_timeout, Duration::from_secs(2));
    let plain = config::read("agent.toml", &file("", "")).expect("nothing wrong");
    assert_eq!(plain.caches[0].lifetime.stale_ttl, Duration::ZERO);
    assert_eq!(
        plain.strategies.of(&plain.caches[0].name),
        Strategy::default()
    );
}

#[test]
fn what_a_cache_cannot_do_by_itself_is_told() {
    let address = "[loader]\naddress = ";
    for (loader, cache, told) in [
        ("", "read = 'through'", "nobody does it: add a [loader]"),
        ("", "write = 'behind'", "nobody does it: add a [loader]"),
        ("", "refresh_percent = 80", "loads by itself"),
        ("[loader]", "", "`address` is missing"),
        (
            &format!("{address}'http://192.0.2.1:7400'"),
            "",
            "is another machine",
        ),
        (
            &format!("{address}'unix:loader.sock'"),
            "",
            "is not absolute",
        ),
        (&format!("{address}'loader'"), "", "is no address"),
    ] {
        let report = config::read("agent.toml", &file(loader, cache)).expect_err(told);
        assert!(report.to_string().contains(told), "{told} in\n{report}");
    }
}

#[test]
fn settings_are_taken_at_their_limits_and_not_beyond() {
    let address = "[loader]\naddress = 'unix:/l'\n";
    for (key, least, most) in [("calls_max", 1, 1_024), ("batch_max", 1, 4_096)] {
        for (value, fits) in [
            (least - 1, false),
            (least, true),
            (most, true),
            (most + 1, false),
        ] {
            let loader = format!("{address}{key} = {value}");
            let read = config::read("agent.toml", &file(&loader, ""));
            assert_eq!(read.is_ok(), fits, "{key} = {value}");
        }
    }
    let limits = [
        ("streams_max", 1, 100_000),
        ("stream_calls_max", 1, 10_000),
        ("requests_max", 1, 100_000),
    ];
    for (key, least, most) in limits {
        for (value, fits) in [
            (least - 1, false),
            (least, true),
            (most, true),
            (most + 1, false),
        ] {
            let text = file("", "").replace("[l2]", &format!("{key} = {value}\n[l2]"));
            let read = config::read("agent.toml", &text);
            assert_eq!(read.is_ok(), fits, "{key} = {value}");
        }
    }
    for (value, fits) in [
        ("99ms", false),
        ("100ms", true),
        ("10m", true),
        ("601s", false),
    ] {
        let line = format!("watch_heartbeat = '{value}'\n[l2]");
        let read = config::read("agent.toml", &file("", "").replace("[l2]", &line));
        assert_eq!(read.is_ok(), fits, "watch_heartbeat = {value}");
    }
}
