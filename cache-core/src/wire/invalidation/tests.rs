use super::*;
use proptest::prelude::*;

fn sample() -> Message {
    let users = Name::new("users").unwrap();
    let at = |target| Invalidation {
        target,
        position: Position::new(1, 300, 2),
        changed_ms: Some(1_700_000_000_000),
        in_l2: true,
    };
    Message {
        publisher: Publisher(0xfeed),
        sequence: 41,
        content: Content::Invalidate(vec![
            at(Target::Key {
                cache: users.clone(),
                key: b"user:7".as_slice().into(),
            }),
            at(Target::Tag {
                cache: users,
                tag: Tag::all(),
            }),
            at(Target::Bucket(Bucket(255))),
        ]),
    }
}

fn user(key: &[u8]) -> Target {
    Target::Key {
        cache: Name::new("users").unwrap(),
        key: key.into(),
    }
}

fn inspect() -> Content {
    Content::Inspect {
        look: SecondLook::After60s,
        all: vec![Inspection {
            target: user(b"user:7"),
            position: Position::new(1, 300, 2),
        }],
    }
}

fn landmark() -> Content {
    Content::Landmark(Landmark {
        position: Position::new(1, 300, 0),
        commit: u64::MAX,
        log: 7,
    })
}

fn violated() -> Content {
    Content::Violated(vec![Violation {
        target: user(b"user:7"),
        position: Position::new(1, 300, 2),
        held: Position::new(1, 299, 0),
    }])
}

#[test]
fn what_is_encoded_is_read_back() {
    for content in [
        sample().content,
        Content::Farewell,
        inspect(),
        violated(),
        landmark(),
        Content::Heartbeat {
            invalidator: true,
            seen: Position::new(u32::MAX, u64::MAX, u32::MAX),
        },
    ] {
        let message = Message {
            content,
            ..sample()
        };
        let bytes = message.encode().unwrap();
        assert_eq!(Message::decode(&bytes), Some(message));
    }
}

#[test]
fn trailing_bytes_other_versions_and_nothing_are_refused() {
    let mut bytes = sample().encode().unwrap().to_vec();
    bytes.push(0);
    assert_eq!(Message::decode(&bytes), None);
    bytes.pop();
    bytes[0] = VERSION + 1;
    assert_eq!(Message::decode(&bytes), None);
    assert_eq!(Message::decode(&[]), None);
}

#[test]
fn a_full_message_of_longest_keys_fits_and_a_fuller_one_is_none() {
    let longest = user(&[0xff; KEY_LEN_MAX]);
    let inspection = Inspection {
        target: longest.clone(),
        position: Position::MAX,
    };
    let violation = Violation {
        target: longest,
        position: Position::MAX,
        held: Position::MAX,
    };
    let look = SecondLook::After1s;
    for (count, fits) in [(INSPECTIONS_MAX, true), (INSPECTIONS_MAX + 1, false)] {
        let all = vec![inspection.clone(); count];
        let inspect = Content::Inspect { look, all };
        let violated = Content::Violated(vec![violation.clone(); count]);
        for content in [inspect, violated] {
            let message = Message {
                content,
                ..sample()
            };
            let bytes = message.encode().unwrap();
            assert_eq!(Message::decode(&bytes).is_some(), fits, "{count}");
        }
    }
}

#[test]
fn a_look_that_nobody_takes_is_refused() {
    let message = Message {
        content: inspect(),
        ..sample()
    };
    let mut bytes = message.encode().unwrap().to_vec();
    let look = bytes.iter().position(|&byte| byte == 2).unwrap();
    let look = look + 1 + bytes[look + 1..].iter().position(|&b| b == 2).unwrap();
    bytes[look] = 3;
    assert_eq!(Message::decode(&bytes), None);
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Message::decode(&bytes);
        let versioned: Vec<u8> = [&[VERSION], &bytes[..]].concat();
        let _ = Message::decode(&versioned);
    }
}
