//! The exact bytes of every released format. A change here is a new format
//! version, and the old bytes stay as a test of their own.

use bytes::Bytes;
use cache_core::model::entry::{Entry, Stamp};
use cache_core::model::key::{Address, Bucket, Key, KeyHash, KeySpace};
use cache_core::model::landmark::Landmark;
use cache_core::model::second_look::SecondLook;
use cache_core::query::{Query, spelling::Dialect};
use cache_core::wire::codec::{Bincode, Codec, Raw};
use cache_core::wire::compressed::Compressed;
use cache_core::wire::envelope::{self, Label};
use cache_core::wire::invalidation::{
    Content, Inspection, Invalidation, Message, Publisher, Target, Violation,
};
use cache_core::wire::queued::{self, QueuedWrite};
use cache_core::{Name, Position, Session, Tag};
use std::time::Duration;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Bytes {
    let digits: Vec<_> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let pairs = digits.chunks(2).map(|pair| pair.iter().collect::<String>());
    pairs
        .map(|pair| u8::from_str_radix(&pair, 16).expect("hexadecimal"))
        .collect()
}

fn plain(text: &str) -> String {
    text.split_whitespace().collect()
}

const ENVELOPE_1: &str = "
    01 01 00 0000abcd 000000000000002a 0000018bcfe56800 0000ea60
    02 01 2a 00000001000000000000000200000003
       06 7465616d3a31 00000000000000000000000900000000
    00000005 6e022430 76616c7565";

const ENVELOPE_2: &str = "
    02 01 00 0000abcd 000000000000002a 0000018bcfe56800 0000ea60
    02 01 2a 00000001000000000000000200000003
       06 7465616d3a31 00000000000000000000000900000000
    02 7631 00000005 cb1e15e6 76616c7565";

#[test]
fn envelope_versions_1_and_2() {
    let label = Label {
        codec: 1,
        fingerprint: 0xabcd,
        key: KeyHash(42),
    };
    let as_of = Position::new(1, 2, 3);
    let entry = Entry {
        value: Some(Bytes::from_static(b"value")),
        as_of,
        stamps: vec![
            Stamp {
                tag: Tag::all(),
                as_of,
            },
            Stamp {
                tag: Tag::new("team:1").expect("a tag"),
                as_of: Position::new(0, 9, 0),
            },
        ],
        stored_ms: 1_700_000_000_000,
        ttl: Duration::from_secs(60),
        validator: None,
        fleeting: false,
    };
    assert_eq!(hex(&envelope::seal(label, &entry)), plain(ENVELOPE_1));
    assert_eq!(
        envelope::open(label, as_of, &unhex(ENVELOPE_1)),
        Ok(entry.clone())
    );
    let validated = Entry {
        validator: Some(Bytes::from_static(b"v1")),
        ..entry
    };
    assert_eq!(hex(&envelope::seal(label, &validated)), plain(ENVELOPE_2));
    assert_eq!(
        envelope::open(label, as_of, &unhex(ENVELOPE_2)),
        Ok(validated)
    );
}

const INVALIDATE_2: &str = "02 fbedfe 29 00 02
    00 05 7573657273 06 757365723a37 fe02000000 2c01000000000000 01000000 00 01
    01 05 7573657273 01 2a 00 00 01";
const HEARTBEAT_2: &str = "02 fbedfe 29 01 01 fd0000000007000000";
const INSPECT_2: &str = "02 fbedfe 29 03 01 02
    00 05 7573657273 06 757365723a37 fe02000000 2c01000000000000 01000000
    01 05 7573657273 01 2a fd0000000007000000";
const VIOLATED_2: &str = "02 fbedfe 29 04 01
    00 05 7573657273 06 757365723a37 fe02000000 2c01000000000000 01000000 fd0000000007000000";
const LANDMARK_2: &str =
    "02 fbedfe 29 05 fe02000000 2c01000000000000 01000000 fd48d874b316000000 fcefbeedfe";

#[test]
fn bus_message_version_2() {
    let users = Name::new("users").expect("a name");
    let publisher = Publisher(0xfeed);
    let invalidate = Message {
        publisher,
        sequence: 41,
        content: Content::Invalidate(vec![
            Invalidation {
                target: Target::Key {
                    cache: users.clone(),
                    key: b"user:7".as_slice().into(),
                },
                position: Position::new(1, 300, 2),
                changed_ms: None,
                in_l2: true,
            },
            Invalidation {
                target: Target::Tag {
                    cache: users,
                    tag: Tag::all(),
                },
                position: Position::ZERO,
                changed_ms: None,
                in_l2: true,
            },
        ]),
    };
    let heartbeat = Message {
        publisher,
        sequence: 41,
        content: Content::Heartbeat {
            invalidator: true,
            seen: Position::new(0, 7, 0),
        },
    };
    for (message, golden) in [(invalidate, INVALIDATE_2), (heartbeat, HEARTBEAT_2)] {
        let bytes = message.encode().expect("it is small");
        assert_eq!(hex(&bytes), plain(golden));
        assert_eq!(Message::decode(&unhex(golden)), Some(message));
    }
}

#[test]
fn what_inspections_say_in_version_2() {
    let cache = Name::new("users").expect("a name");
    let key = Target::Key {
        cache: cache.clone(),
        key: b"user:7".as_slice().into(),
    };
    let tag = Target::Tag {
        cache,
        tag: Tag::all(),
    };
    let (position, held) = (Position::new(1, 300, 2), Position::new(0, 7, 0));
    let inspect = Content::Inspect {
        look: SecondLook::After10s,
        all: vec![
            Inspection {
                target: key.clone(),
                position,
            },
            Inspection {
                target: tag,
                position: held,
            },
        ],
    };
    let violated = Content::Violated(vec![Violation {
        target: key,
        position,
        held,
    }]);
    let landmark = Content::Landmark(Landmark {
        position,
        commit: 0x0016_b374_d848,
        log: 0xfeed_beef,
    });
    let all = [
        (inspect, INSPECT_2),
        (violated, VIOLATED_2),
        (landmark, LANDMARK_2),
    ];
    for (content, golden) in all {
        let message = Message {
            publisher: Publisher(0xfeed),
            sequence: 41,
            content,
        };
        let bytes = message.encode().expect("it is small");
        assert_eq!(hex(&bytes), plain(golden));
        assert_eq!(Message::decode(&unhex(golden)), Some(message));
    }
}

#[test]
fn keys_in_l2_version_1() {
    let name = |text| Name::new(text).expect("a name");
    let space = KeySpace::new(name("main"), name("users"));
    let key = space.address(Key::new(b"user:7").expect("a key"));
    let tag = space.tag_address(&Tag::all());
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(text(&key.record), "{main:db}1/k/users/user:7");
    assert_eq!(text(&tag.record), "{main:13}1/t/users/*");
    assert_eq!(
        text(&Address::watermark(&name("main"), Bucket(255))),
        "{main:ff}1/wm"
    );
}

#[test]
fn bincode_as_the_codec_writes_it() {
    let codec: &dyn Codec<(u64, String)> = &Bincode::default();
    let bytes = codec
        .encode(&(300, "Ada".to_owned()))
        .expect("it can be encoded");
    assert_eq!(hex(&bytes), plain("fb2c01 03416461"));
}

const QUEUED_1: &str = "01 01 00 0000abcd 0006 757365723a37 00000003 c99bfd47 416461";
const QUEUED_DELETE_1: &str = "01 01 01 0000abcd 0006 757365723a37 00000000 5a1d188f";

#[test]
fn queued_write_version_1() {
    let write = QueuedWrite {
        codec: 1,
        fingerprint: 0xabcd,
        key: Bytes::from_static(b"user:7"),
        value: Some(Bytes::from_static(b"Ada")),
    };
    assert_eq!(hex(&queued::seal(&write)), plain(QUEUED_1));
    assert_eq!(queued::open(&unhex(QUEUED_1)), Some(write.clone()));
    let delete = QueuedWrite {
        value: None,
        ..write
    };
    assert_eq!(hex(&queued::seal(&delete)), plain(QUEUED_DELETE_1));
    assert_eq!(queued::open(&unhex(QUEUED_DELETE_1)), Some(delete));
}

#[test]
fn query_keys_version_1() {
    let sql = "SELECT name FROM users WHERE id = $1 AND kind IN ('a', 2)";
    let query = Query::parse(sql, Dialect::Postgres).expect("a read");
    assert_eq!(
        query.key(&[&7, &"x"]).to_string(),
        "sql:41250d5dbc20f0a7:2e34e9c5010ce180286cfdcfe2df6b50"
    );
}

const LZ4_1: &str = "01 28000000 af303132333435363738390a000560343536373839";
const ZSTD_1: &str = "02 28000000 28b52ffd202885000050303132333435363738390100150b12";

/// A compressor may pack better one day, so only how it is read is fixed.
#[test]
fn compressed_values_version_1() {
    let value = Bytes::from("0123456789".repeat(4));
    let codec = Compressed::lz4(Raw);
    let plain = codec.encode(&value).expect("it can be encoded");
    assert_eq!(hex(&plain), format!("00{}", hex(&value)));
    for golden in [LZ4_1, ZSTD_1] {
        let read: Result<Bytes, _> = codec.decode(&unhex(golden));
        assert_eq!(read.expect("it can be read"), value);
    }
    assert_eq!(Codec::<Bytes>::id(&codec), 64);
    assert_eq!(Codec::<Bytes>::fingerprint(&codec), 3_579_956_984);
}

/// Other languages read it, and clients bring it back after an upgrade.
const SESSION_1: &str =
    "AXr1XuUAAAABAAAAAAAAAgATAAAAAQAAAAAAAAErAAAAB9sAAAABAAAAAAAAASwAAAACDX9TWQ";

#[test]
fn session_version_1() {
    let main = Name::new("main").expect("a name");
    let mut session = Session::default();
    for (bucket, position) in [
        (0xdb, Position::new(1, 300, 2)),
        (0x13, Position::new(1, 299, 7)),
        (0x14, Position::new(1, 512, 0)),
    ] {
        let noted = session.note(&main, Bucket(bucket), position);
        noted.expect("one domain");
    }
    assert_eq!(session.to_string(), SESSION_1);
    assert_eq!(SESSION_1.parse::<Session>().ok(), Some(session));
    let none = Session::default().to_string();
    assert_eq!(none, "AQAAAAAAAAAAAAAAAAAAAABOSTr-");
}
