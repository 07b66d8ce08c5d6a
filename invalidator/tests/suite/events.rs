//! Broken events of every kind: none panics, and each one is counted exactly once
//! for every rule about it, as mapped, unmapped, ignored or refused. Nothing that
//! could have been an invalidation passes without an effect.

use cache_core::config::reader;
use cache_core::model::tag::Tag;
use cache_core::wire::invalidation::Target;
use invalidator::decide::{Counted, Decision, NATIVE, NO_RULE, give_up};
use invalidator::format::received::Received;
use invalidator::rules::Rules;
use proptest::prelude::*;

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
            Counted::MissingColumn | Counted::ParseError | Counted::DeadLettered => {
                assert!(
                    decision.letter.is_some(),
                    "refused without a letter: {count:?}"
                );
            }
            Counted::Mapped => {}
        }
    }
    let refused = |outcome| {
        matches!(
            outcome,
            Counted::MissingColumn | Counted::ParseError | Counted::DeadLettered
        )
    };
    let letters = decision
        .counts
        .iter()
        .filter(|count| refused(count.outcome))
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

/// One byte replaced, removed or doubled, or a piece cut out.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let sample = proptest::sample::select(SAMPLES.to_vec());
    let edit = (any::<prop::sample::Index>(), any::<u8>(), 0u8..4);
    (sample, proptest::collection::vec(edit, 1..6)).prop_map(|(sample, edits)| {
        let mut bytes = sample.as_bytes().to_vec();
        for (at, byte, how) in edits {
            if bytes.is_empty() {
                break;
            }
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => {
                    bytes.remove(at);
                }
                2 => bytes.insert(at, byte),
                _ => {
                    bytes.drain(at..bytes.len().min(at + usize::from(byte)));
                }
            }
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn mutated_events_keep_the_equations(event in mutated()) {
        let rules = rules();
        check(&decide(&event, &rules), &rules);
    }

    #[test]
    fn no_bytes_panic(event in proptest::collection::vec(any::<u8>(), 0..300)) {
        let rules = rules();
        check(&decide(&event, &rules), &rules);
    }
}
