//! The configuration file: what it may say, and how its mistakes are told.

use cache_agent::config::{self, Start};
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
  = help: there are unix, unix_mode, tcp, requests_max, deadline, tls_cert, tls_key, tls_client_ca, connections_max

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
