//! The commands of `cache-agent` that look at a configuration: what is in effect, and whether
//! it works.

use crate::callers::file;
use crate::commands::{Said, alone, ended};
use cache_agent::config;
use cache_core::testkit::servers::nats::NatsServer;
use cache_core::testkit::servers::redis::RedisServer;
use serde_json::Value;
use std::fs;
use tempfile::TempDir;

#[tokio::test]
async fn the_configuration_in_effect_is_shown_without_passwords() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("agent.toml");
    let text = "[listen]\nunix = '/run/a.sock'\n[l2]\nurls = ['redis://me:secret@a:1']\n\
                [bus]\nurl = 'nats://b:2'\n[[cache]]\nname = 'users'\nttl = '5m'\n";
    fs::write(&path, text).expect("it is writable");
    let path = path.display().to_string();
    let show = |variables: &[(&str, &str)], args: &[&str]| {
        let mut command = alone(&[&["config", "show", "--config", &path], args].concat());
        command.envs(variables.iter().copied());
        ended(command)
    };
    let shown = show(&[("CACHE_AGENT__L2__TIMEOUT", "50ms")], &[]).await;
    assert_eq!(shown.code, 0, "{}", shown.errors);
    assert!(!shown.text.contains("secret"), "{}", shown.text);
    for line in [
        "timeout = \"50ms\"  # from outside",
        "# address = \"127.0.0.1:9464\"  (default)",
        "ttl = \"5m\"",
        "# deadline = \"1s\"  (default)",
    ] {
        assert!(
            shown.text.lines().any(|is| is == line),
            "{line}: {}",
            shown.text
        );
    }
    let again = config::read("shown", &shown.text).expect("it can be read again");
    let twice = config::read("file", text).expect("a configuration");
    assert_eq!(
        (again.listen.limits, again.drain),
        (twice.listen.limits, twice.drain)
    );
    assert_eq!(again.caches, twice.caches);

    let shown = show(&[], &["--output", "json"]).await;
    let tables = shown
        .text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    let tables: Vec<Value> = tables.collect();
    let listen = tables.iter().find(|table| table["table"] == "[listen]");
    let key = &listen.expect("a table")["keys"]["requests_max"];
    assert_eq!(
        (&key["value"], &key["by"]),
        (&1024.into(), &"default".into())
    );

    let wrong = show(&[("CACHE_AGENT__L2__TIMOUT", "50ms")], &[]).await;
    assert_eq!(wrong.code, 3);
    assert!(
        wrong.errors.contains("did you mean `timeout`?"),
        "{}",
        wrong.errors
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_finds_what_is_wrong_and_says_how_to_mend_it() {
    let (redis, nats) = tokio::join!(RedisServer::start(), NatsServer::start());
    let (redis, nats) = (redis.expect("a Redis"), nats.expect("a NATS"));
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("agent.toml");
    let text = |trust: &str, redis: &str| {
        format!(
            "[domain]\ntrust_by = '{trust}'\nheartbeat = '100ms'\ntrust_for = '500ms'\n\
             [listen]\nunix = '{}/a.sock'\n[admin]\naddress = '127.0.0.1:0'\n\
             [l2]\nkind = 'single'\nurls = ['{redis}']\n[bus]\nurl = '{}'\n\
             [[cache]]\nname = 'users'\n",
            folder.path().display(),
            nats.url()
        )
    };
    let examine = async |text: String| {
        fs::write(&path, text).expect("it is writable");
        let path = path.display().to_string();
        ended(alone(&["doctor", "--config", &path, "--output", "json"])).await
    };
    let found = |said: &Said, part: &str, state: &str| -> Vec<String> {
        let all = said
            .text
            .lines()
            .map(|line| serde_json::from_str(line).expect("JSON"));
        let those = all.filter(|one: &Value| one["part"] == part && one["state"] == state);
        those
            .map(|one| one["found"].to_string() + &one["mend"].to_string())
            .collect()
    };
    let well = examine(text("echo", &redis.url())).await;
    assert_eq!(well.code, 0, "{}{}", well.text, well.errors);
    for part in ["configuration", "agent", "doors", "redis", "nats", "domain"] {
        assert!(
            !found(&well, part, "ok").is_empty(),
            "{part}: {}",
            well.text
        );
    }
    // Nobody gives a sign of life; the L2 was told otherwise, which is the first to be said.
    let other = examine(text("invalidator", &redis.url())).await;
    assert_eq!(other.code, 3);
    assert!(
        found(&other, "domain", "bad")[0].contains("trust_by=echo"),
        "{}",
        other.text
    );
    let away = examine(text("echo", "redis://127.0.0.1:1")).await;
    assert_eq!(away.code, 3);
    assert!(
        found(&away, "redis", "bad")[0].contains("refused"),
        "{}",
        away.text
    );
    assert!(
        !found(&away, "nats", "ok").is_empty(),
        "one that is away hides no other"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_doctor_tells_an_eviction_that_breaks_the_promise_and_a_missing_invalidator() {
    let policy = [("maxmemory", "64mb"), ("maxmemory-policy", "allkeys-lru")];
    let (redis, nats) = tokio::join!(RedisServer::start_with(&policy), NatsServer::start());
    let (redis, nats) = (redis.expect("a Redis"), nats.expect("a NATS"));
    let config = file(&format!(
        "[domain]\nheartbeat = '100ms'\ntrust_for = '500ms'\n\
         [listen]\ntcp = '127.0.0.1:0'\n[admin]\naddress = '127.0.0.1:0'\n\
         [l2]\nkind = 'single'\nurls = ['{}']\n[bus]\nurl = '{}'\n[[cache]]\nname = 'users'\n",
        redis.url(),
        nats.url()
    ));
    let path = config.path().display().to_string();
    let said = ended(alone(&["doctor", "--config", &path, "--quiet"])).await;
    assert_eq!(said.code, 3, "{}", said.errors);
    for words in [
        "maxmemory-policy allkeys-lru may evict",
        "CONFIG SET maxmemory-policy volatile-lfu",
        "no sign of life",
        "start `invalidator serve`",
    ] {
        assert!(said.text.contains(words), "{words}: {}", said.text);
    }
    assert!(
        !said.text.contains("  ok  "),
        "only what is wrong: {}",
        said.text
    );
    assert!(!said.text.contains('\x1b'), "no colours in a pipe");
}
