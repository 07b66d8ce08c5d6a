//! Broken events of every kind: none panics, and each one is counted exactly once
//! for every rule about it, as mapped, unmapped, ignored or refused. Nothing that
//! could have been an invalidation passes without an effect.

use crate::mutation::{self, Mutant};
use crate::samples;
use cache_core::config::reader;
use cache_core::model::tag::Tag;
use cache_core::wire::invalidation::Target;
use invalidator::decide::{Counted, Decision, NATIVE, NO_RULE, TARGETS_MAX, give_up};
use invalidator::format::received::Received;
use invalidator::rules::{OnMissing, Rules};
use proptest::prelude::*;
use std::collections::HashMap;

const RULES: &str = "[[rule]]\ntable = 'public.users'\ncache = 'users'\n\
    keys = ['user:{id}', 'user:email:{email}']\ntags = ['team:{team_id}']\n\
    [[rule]]\ntable = 'public.*'\ncache = 'audit'\ntags = ['{@table}']\n\
    [native]\ncaches = ['sessions']\n";

const SAMPLES: [&str; 6] = [
    r#"{"schema": {"type": "struct"}, "payload": {"before": {"id": 7, "email": "a@x",
        "team_id": 3}, "after": {"id": 7, "email": "b@x", "team_id": 4}, "source": {"db": "shop",
        "schema": "public", "table": "users", "ts_ms": 1700000000000}, "op": "u"}}"#,
    r#"{"before": null, "after": {"id": 7, "email": "a@x", "team_id": null},
        "source": {"db": "shop", "schema": "public", "table": "users"}, "op": "u"}"#,
    r#"{"before": {"id": 7}, "after": null,
        "source": {"db": "shop", "schema": "public", "table": "orders"}, "op": "d"}"#,
    r#"{"source": {"db": "shop", "schema": "private", "table": "users"}, "op": "t"}"#,
    r#"{"cacheaside": 1, "cache": "users", "keys": ["user:7"], "tags": ["team:3"],
        "source_time_ms": 1700000000000}"#,
    r#"{"op": "m", "source": {}, "message": {"prefix": "cacheaside",
        "content": "eyJjYWNoZSI6InVzZXJzIiwidGFncyI6WyJ0ZWFtOjEiXX0="}}"#,
];

fn rules() -> Rules {
    reader::read("rules.toml", RULES, Rules::parse).expect("good rules")
}

fn decide(event: &[u8], rules: &Rules) -> Decision {
    invalidator::decide::decide(&Received::bytes(event), rules)
}

fn clears(decision: &Decision, cache: &str) -> bool {
    decision.targets.iter().any(|target| match target {
        Target::Tag { cache: of, tag } => of.as_str() == cache && *tag == Tag::all(),
        _ => false,
    })
}

/// Whether a count stands for a dead letter.
fn refused(outcome: Counted, rule: &str, rules: &Rules) -> bool {
    let mut of = rules
        .all
        .iter()
        .filter(|known| known.table.as_str() == rule);
    match outcome {
        Counted::MissingColumn => of.any(|rule| rule.on_missing == OnMissing::Error),
        Counted::ParseError | Counted::DeadLettered => true,
        Counted::Mapped | Counted::Ignored | Counted::Unmapped => false,
    }
}

/// The equations that hold for every event.
fn check(decision: &Decision, rules: &Rules) {
    assert!(!decision.counts.is_empty(), "counted at least once");
    for count in &decision.counts {
        let known = rules
            .all
            .iter()
            .any(|rule| rule.table.as_str() == count.rule);
        assert!(
            known || count.rule == NO_RULE || count.rule == NATIVE,
            "{count:?}"
        );
        match count.outcome {
            Counted::Unmapped | Counted::Ignored => assert_eq!(count.targets, 0, "{count:?}"),
            outcome if refused(outcome, &count.rule, rules) => {
                assert!(
                    decision.letter.is_some(),
                    "refused without a letter: {count:?}"
                );
            }
            _ => {}
        }
    }
    let letters = decision
        .counts
        .iter()
        .filter(|count| refused(count.outcome, &count.rule, rules))
        .count();
    assert_eq!(decision.letter.is_some(), letters > 0, "{decision:?}");
}

#[test]
fn the_samples_come_to_what_they_say() {
    let rules = rules();
    let outcomes: Vec<Vec<_>> = SAMPLES
        .iter()
        .map(|event| {
            let decision = decide(event.as_bytes(), &rules);
            check(&decision, &rules);
            decision
                .counts
                .iter()
                .map(|count| (count.outcome, count.targets))
                .collect()
        })
        .collect();
    use Counted::{Mapped, MissingColumn, Unmapped};
    assert_eq!(
        outcomes,
        [
            vec![(Mapped, 5), (Mapped, 1)],
            vec![(MissingColumn, 3), (Mapped, 1)],
            vec![(Mapped, 1)],
            vec![(Unmapped, 0)],
            vec![(Mapped, 2)],
            vec![(Mapped, 1)],
        ]
    );
}

#[test]
fn a_truncated_event_clears_every_cache() {
    let rules = rules();
    for end in 1..SAMPLES[0].len() {
        let decision = decide(&SAMPLES[0].as_bytes()[..end], &rules);
        check(&decision, &rules);
        let letter = decision.letter.as_ref().expect("a dead letter");
        assert!(letter.why.contains("not JSON"), "{letter:?}");
        for cache in ["users", "audit", "sessions"] {
            assert!(clears(&decision, cache), "cut after {end} bytes");
        }
    }
}

#[test]
fn a_malformed_event_clears_no_more_than_it_may_be_about() {
    let rules = rules();
    let of_table = r#"{"op": "u", "source": {"schema": "public", "table": "orders"}}"#;
    let decision = decide(of_table.as_bytes(), &rules);
    assert!(
        clears(&decision, "audit") && !clears(&decision, "users"),
        "{decision:?}"
    );
    let of_cache = r#"{"cacheaside": 1, "cache": "users", "keys": 7}"#;
    let decision = decide(of_cache.as_bytes(), &rules);
    assert!(
        clears(&decision, "users") && !clears(&decision, "audit"),
        "{decision:?}"
    );
    let of_nobody = r#"{"op": "u", "source": {"schema": "private", "table": "x"}}"#;
    let decision = decide(of_nobody.as_bytes(), &rules);
    assert!(
        decision.targets.is_empty() && decision.letter.is_some(),
        "{decision:?}"
    );
}

#[test]
fn an_event_that_comes_back_for_ever_is_given_up() {
    let rules = rules();
    let decision = give_up(21, &rules);
    check(&decision, &rules);
    assert!(
        decision
            .letter
            .as_ref()
            .is_some_and(|letter| letter.why.contains("21 times"))
    );
    assert!(clears(&decision, "users") && clears(&decision, "sessions"));
}

#[test]
fn one_event_with_very_many_keys_clears_their_caches() {
    let rules = samples::rules();
    let event = |count: usize| {
        let row = |id: usize| format!(r#"{{"id": "{id}", "email": "{id}@x", "team_id": null}}"#);
        let rows: Vec<_> = (0..count).map(row).collect();
        let rows = rows.join(",");
        format!(
            r#"{{"isDdl": false, "type": "INSERT", "database": "public", "table": "users", "data": [{rows}]}}"#
        )
    };
    let most = decide(event(TARGETS_MAX / 2).as_bytes(), &rules);
    assert_eq!(most.targets.len(), TARGETS_MAX);
    let over = decide(event(TARGETS_MAX / 2 + 1).as_bytes(), &rules);
    assert_eq!(over.targets.len(), 1);
    assert!(clears(&over, "users"), "{:?}", over.targets);
    assert_eq!(
        over.counts.len(),
        TARGETS_MAX + 2,
        "two rules about each row"
    );
}

/// The equations would notice a refused event that is not kept.
#[test]
#[should_panic(expected = "refused without a letter")]
fn a_refused_event_without_a_letter_breaks_the_equations() {
    let rules = rules();
    let refused = decide(b"{", &rules);
    let lost = Decision {
        letter: None,
        ..refused
    };
    check(&lost, &rules);
}

/// What an event as a whole came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Class {
    Mapped,
    Ignored,
    Unmapped,
    DeadLettered,
}

/// One class for each event: the gravest of what its changes came to.
fn class(decision: &Decision) -> Class {
    let came_to = |outcome| decision.counts.iter().any(|count| count.outcome == outcome);
    match () {
        () if decision.letter.is_some() => Class::DeadLettered,
        () if came_to(Counted::Mapped) || came_to(Counted::MissingColumn) => Class::Mapped,
        () if came_to(Counted::Ignored) => Class::Ignored,
        () => Class::Unmapped,
    }
}

/// Says which event it was, should anything about it panic.
struct Witness<'e> {
    seed: u64,
    event: &'e Mutant,
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { seed, event } = self;
            eprintln!("run again with EVENTS=1 SEED={seed}: {event}");
        }
    }
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number, not {text}")),
    )
}

/// Samples of every format, broken in every way: 20,000 of them, or as many as `EVENTS`
/// says, beginning with the one that `SEED` names.
#[test]
fn mutated_events_of_every_format_are_each_counted_once() {
    let events = number("EVENTS").unwrap_or(20_000);
    let first = number("SEED").unwrap_or_else(|| rand::random::<u32>().into());
    println!("{events} events from SEED={first}");
    let rules = samples::rules();
    let samples = samples::all();
    let mut classes = HashMap::new();
    let mut changes = HashMap::new();
    for seed in first..first + events {
        let event = mutation::mutant(&samples, seed);
        let witness = Witness {
            seed,
            event: &event,
        };
        let decision = invalidator::decide::decide(&event.received(), &rules);
        check(&decision, &rules);
        *classes.entry(class(&decision)).or_insert(0_u64) += 1;
        for count in &decision.counts {
            *changes.entry(count.outcome).or_insert(0_u64) += 1;
        }
        drop(witness);
    }
    println!("{classes:?}, by rule and change {changes:?}");
    assert_eq!(classes.values().sum::<u64>(), events, "{classes:?}");
    assert!(changes.values().sum::<u64>() >= events, "{changes:?}");
    if events >= 10_000 {
        let all = [
            Class::Mapped,
            Class::Ignored,
            Class::Unmapped,
            Class::DeadLettered,
        ];
        for class in all {
            assert!(classes.contains_key(&class), "no event was {class:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_bytes_panic(event in proptest::collection::vec(any::<u8>(), 0..300)) {
        let rules = rules();
        check(&decide(&event, &rules), &rules);
    }
}
