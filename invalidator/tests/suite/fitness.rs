//! What `check --stream` finds, and the commands that it names.

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use invalidator::config::rules;
use invalidator::echo::Difference;
use invalidator::operate::fitness::{Finding, Holds, Level, of_consumer, of_stream};
use invalidator::settings::SourceSettings;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

fn source() -> SourceSettings {
    let text = "[source]\nstream = 'CDC'\n[native]\ncaches = ['users']\n";
    rules("rules.toml", text).expect("good rules").source
}

/// A stream with nothing to be said of it.
fn sound() -> Config {
    Config {
        name: "CDC".to_owned(),
        max_age: 24 * HOUR,
        num_replicas: 3,
        ..Config::default()
    }
}

/// 1,000 events of 1 kB an hour.
fn holds() -> Holds {
    Holds {
        messages: 2_000,
        bytes: 2_000_000,
        span: 2 * HOUR,
    }
}

fn one(config: Config) -> Finding {
    let found = of_stream(&config, &holds(), &source());
    let [finding] = &found[..] else {
        panic!("{found:?}");
    };
    finding.clone()
}

#[test]
fn a_sound_stream_has_nothing_to_mend() {
    assert_eq!(of_stream(&sound(), &holds(), &source()), []);
    let limited = Config {
        max_bytes: 24_000_000,
        max_messages: 24_000,
        ..sound()
    };
    assert_eq!(of_stream(&limited, &holds(), &source()), []);
}

#[test]
fn what_can_lose_events_is_a_problem_with_its_command() {
    let memory = Config {
        storage: StorageType::Memory,
        ..sound()
    };
    let interest = Config {
        retention: RetentionPolicy::Interest,
        ..sound()
    };
    let queue = Config {
        retention: RetentionPolicy::WorkQueue,
        ..sound()
    };
    let last = Config {
        max_messages_per_subject: 1,
        ..sound()
    };
    let short = Config {
        max_age: HOUR,
        ..sound()
    };
    let small = Config {
        max_bytes: 23_000_000,
        ..sound()
    };
    let few = Config {
        max_messages: 23_000,
        ..sound()
    };
    let silent = Config {
        no_ack: true,
        ..sound()
    };
    for (config, what, mend) in [
        (memory, "memory", "nats stream add CDC --storage file"),
        (
            interest,
            "interest",
            "nats stream edit CDC --retention limits",
        ),
        (queue, "workqueue", "nats stream add CDC --retention limits"),
        (
            last,
            "the last 1 events",
            "nats stream edit CDC --max-msgs-per-subject=-1",
        ),
        (short, "max_age is 1h", "nats stream edit CDC --max-age 24h"),
        (
            small,
            "max_bytes is 23000000",
            "nats stream edit CDC --max-bytes 48000000",
        ),
        (
            few,
            "max_msgs is 23000",
            "nats stream edit CDC --max-msgs 48000",
        ),
        (silent, "no_ack", "nats stream edit CDC --ack"),
    ] {
        let found = one(config);
        assert_eq!(found.level, Level::Problem, "{found}");
        assert!(found.what.contains(what), "{what}\n{found}");
        assert!(found.mend.contains(mend), "{mend}\n{found}");
    }
}

#[test]
fn what_is_a_choice_is_a_warning() {
    let alone = Config {
        num_replicas: 1,
        ..sound()
    };
    let refusing = Config {
        discard: DiscardPolicy::New,
        max_bytes: 1 << 40,
        ..sound()
    };
    let long = Config {
        duplicate_window: 2 * HOUR,
        ..sound()
    };
    for (config, mend) in [
        (alone, "nats stream edit CDC --replicas 3"),
        (refusing, "nats stream edit CDC --discard old"),
        (long, "nats stream edit CDC --dupe-window 2m"),
    ] {
        let found = one(config);
        assert_eq!(found.level, Level::Warning, "{found}");
        assert!(found.mend.contains(mend), "{found}");
    }
}

#[test]
fn a_burst_tells_no_rate() {
    let tiny = Config {
        max_messages: 1_001,
        ..sound()
    };
    let burst = Holds {
        messages: 1_000,
        bytes: 1_000,
        span: Duration::from_secs(1),
    };
    assert_eq!(of_stream(&tiny, &burst, &source()), []);
}

#[test]
fn a_consumer_is_mended_by_serve_where_the_server_lets_it() {
    let differs = |field| {
        let (asked, is) = ("a".to_owned(), "b".to_owned());
        let found = of_consumer(&source(), Some(&[Difference { field, asked, is }]));
        (found[0].level, found[0].mend.clone())
    };
    let (level, mend) = differs("ack_wait");
    assert_eq!(level, Level::Problem);
    assert!(mend.contains("serve"), "{mend}");
    let (_, mend) = differs("ack_policy");
    assert!(
        mend.starts_with("nats consumer rm CDC invalidator"),
        "{mend}"
    );
    assert_eq!(of_consumer(&source(), Some(&[])), []);
    assert_eq!(of_consumer(&source(), None)[0].level, Level::Warning);
}
