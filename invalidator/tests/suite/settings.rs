//! The two files of the service, and what the environment changes in them.

use cache_core::config::overrides::{Given, Override};
use invalidator::config::{rules, service};
use invalidator::settings::Repeat;
use std::time::Duration;

const RULE: &str = "[[rule]]\ntable = 'public.users'\ncache = 'users'\nkeys = ['user:{id}']\n";
const SERVICE: &str =
    "[l2]\nurls = ['redis://127.0.0.1:6379']\n[bus]\nurl = 'nats://127.0.0.1:4222'\n";

fn source_problems(text: &str) -> String {
    let text = format!("[source]\n{text}\n{RULE}");
    rules("rules.toml", &text)
        .expect_err("problems")
        .to_string()
}

fn service_problems(text: &str) -> String {
    service("s.toml", text, &[])
        .expect_err("problems")
        .to_string()
}

#[test]
fn the_defaults_of_the_source() {
    let text = format!("[source]\nstream = 'CDC'\n{RULE}");
    let source = rules("rules.toml", &text).expect("good rules").source;
    assert_eq!(source.durable, "invalidator");
    assert_eq!(
        (source.filter, source.epoch, source.create),
        (None, 0, None)
    );
    assert_eq!(
        (source.batch, source.in_flight_max, source.attempts_max),
        (256, 65_536, 20)
    );
    assert_eq!(source.ack_wait, Duration::from_secs(5));
    assert_eq!(source.outage, Duration::from_secs(24 * 3600));
    assert_eq!(source.repeat, Repeat::Early(Duration::from_secs(1)));
}

#[test]
fn a_time_that_is_given_counts_for_every_event() {
    let repeat = |given: &str| {
        let text = format!("[source]\nstream = 'CDC'\nrepeat_after = '{given}'\n{RULE}");
        rules("rules.toml", &text)
            .expect("good rules")
            .source
            .repeat
    };
    assert_eq!(repeat("2s"), Repeat::All(Duration::from_secs(2)));
    assert_eq!(repeat("0s"), Repeat::NEVER);
}

#[test]
fn a_stream_that_is_made_needs_subjects() {
    let problems = source_problems("stream = 'CDC'\ncreate_stream = true");
    assert!(
        problems.contains("rules.toml:3:17: `create_stream` without `subjects`"),
        "{problems}"
    );
    let problems = source_problems("stream = 'CDC'\nsubjects = ['cdc.>']");
    assert!(
        problems.contains("`subjects` without `create_stream = true`"),
        "{problems}"
    );
    let text =
        format!("[source]\nstream = 'CDC'\ncreate_stream = true\nsubjects = ['cdc.>']\n{RULE}");
    let create = rules("rules.toml", &text)
        .expect("good rules")
        .source
        .create;
    let create = create.expect("it is made");
    assert_eq!(create.subjects, ["cdc.>"]);
    assert_eq!(create.keep, Duration::from_secs(7 * 24 * 3600));
}

#[test]
fn names_and_subjects_are_those_of_nats() {
    let problems = source_problems(
        "stream = 'a.b'\ndurable = 'x y'\nfilter = 'cdc..users'\nbatch = 0\nack_wait = '1ms'",
    );
    for wanted in [
        "`stream`: `a.b` is no name in NATS",
        "`durable`: `x y` is no name in NATS",
        "`filter`: `cdc..users` is no subject",
        "`batch`: 0 is out of range",
        "it goes from 1s to 10m; the default is 5s",
        "5 problems in rules.toml",
    ] {
        assert!(problems.contains(wanted), "{wanted}\n\n{problems}");
    }
}

#[test]
fn the_events_come_from_the_bus_unless_told_otherwise() {
    let read = service("s.toml", SERVICE, &[]).expect("a good file");
    assert_eq!(read.events.urls, "nats://127.0.0.1:4222");
    assert_eq!(read.admin.to_string(), "127.0.0.1:9465");
    assert_eq!(read.letters.stream, "CACHEASIDE_DLQ");
    assert_eq!(read.drain, Duration::from_secs(20));
    let text = format!("{SERVICE}[events]\nurl = 'nats://elsewhere:4222'\n");
    let read = service("s.toml", &text, &[]).expect("a good file");
    assert_eq!(read.events.urls, "nats://elsewhere:4222");
    let text = format!("{SERVICE}[events]\nnkey_file = '/dev/null'\n");
    let problems = service("s.toml", &text, &[]).expect_err("of which NATS?");
    let problems = problems.to_string();
    assert!(problems.contains("`nkey_file` without `url`"), "{problems}");
}

#[test]
fn the_inspector_has_a_rate_and_may_be_switched_off() {
    let rate = |text: &str| {
        let read = service("s.toml", &format!("{SERVICE}{text}"), &[]);
        read.expect("a good file").inspector.rate
    };
    assert_eq!(rate(""), 1_000);
    assert_eq!(rate("[inspector]\nrate = 0\n"), 0);
    let problems = service_problems("[l2]\n[bus]\n[inspector]\nrate = 10001\npace = 1\n");
    for wanted in [
        "`rate`: 10001 is out of range",
        "unknown key `pace` in [inspector]",
        "`urls` is missing",
    ] {
        assert!(problems.contains(wanted), "{wanted}\n\n{problems}");
    }
}

#[test]
fn the_environment_comes_before_the_file() {
    let given = Override::of;
    let overrides = [
        given("l2", "urls", Given::list("redis://a:1, redis://b:2")),
        given("bus", "url", Given::Text("nats://u:secret@c:3".into())),
        given("events", "url", Given::Text("nats://d:4".into())),
    ];
    let read = service("s.toml", "", &overrides).expect("nothing else is needed");
    let shown = format!("{:?}", read.domain.remote);
    assert!(shown.contains("a:1, b:2"), "{shown}");
    assert_eq!(read.events.urls, "nats://d:4");
    let wrong = [given("events", "url", Given::Text("http://d:4".into()))];
    let problems = service("s.toml", SERVICE, &wrong)
        .expect_err("no address of NATS")
        .to_string();
    assert!(
        problems.starts_with("s.toml: `url`: an address looks like nats://"),
        "{problems}"
    );
    assert!(problems.contains("(given from outside)"), "{problems}");
}

#[test]
fn everything_that_is_wrong_is_told_at_once() {
    let problems = service_problems(
        "[l2]\nurls = ['127.0.0.1']\n[bus]\n[admin]\nadress = 'x'\n[drain]\ntimeout = 'soon'\n\
         [dead_letters]\nsize = '1MB'\n",
    );
    for wanted in [
        "an address looks like redis://host:6379",
        "`url` is missing",
        "did you mean `address`?",
        "`soon` is no duration",
        "`1MB` is no size",
    ] {
        assert!(problems.contains(wanted), "{wanted}\n\n{problems}");
    }
}

#[test]
fn an_invalidator_in_memory_is_refused() {
    let problems = service_problems("[l2]\nkind = 'memory'\n[bus]\nkind = 'memory'\n");
    assert!(problems.contains("would serve nobody"), "{problems}");
}
