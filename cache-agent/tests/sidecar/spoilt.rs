//! Calls of every method as a client sends them, and what a hostile one makes of them: of the
//! messages, and of the frames of HTTP/2 around them.

use crate::world::{fill, get_of};
use bytes::Bytes;
use cache_agent::proto::v1::{self, call};
use prost::Message;
use rand::Rng;
use rand::rngs::SmallRng;
use std::time::Duration;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
/// How deep messages are put into each other, beyond what the decoder takes.
const DEEP: u8 = 120;

/// One connection of a hostile client.
pub(crate) struct Attack {
    pub(crate) bytes: Vec<u8>,
    /// How many of its frames are spoilt.
    pub(crate) spoilt: u64,
    /// The last stream, whose call is good.
    pub(crate) last: u32,
}

struct Frame {
    /// As its head says, which may lie.
    length: u32,
    kind: u8,
    flags: u8,
    stream: u32,
    payload: Vec<u8>,
}

impl Attack {
    /// Spoils either the messages of some calls or the frames of one; a good call follows.
    pub(crate) fn new(dice: &mut SmallRng) -> Self {
        let mut frames = vec![Frame::new(SETTINGS, 0, 0, Vec::new())];
        let mut last = 1;
        let mut spoilt = 0;
        let of_messages = dice.random_bool(0.3);
        for _ in 0..dice.random_range(1..=if of_messages { 12 } else { 2 }) {
            let (method, mut message) = any_call(dice);
            if of_messages {
                spoil_message(&mut message, dice);
                spoilt += 1;
            }
            let mut all = call_frames(last, method, &message, dice);
            if !of_messages {
                spoilt += spoil_frames(&mut all, dice);
            }
            frames.extend(all);
            last += 2;
        }
        // One that waits for nobody.
        let good = any_get(dice).encode_to_vec();
        frames.extend(call_frames(last, GET, &good, dice));
        let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        frames.iter().for_each(|frame| frame.write(&mut bytes));
        Self {
            bytes,
            spoilt,
            last,
        }
    }
}

impl Frame {
    fn new(kind: u8, flags: u8, stream: u32, payload: Vec<u8>) -> Self {
        let length = payload.len() as u32;
        Self {
            length,
            kind,
            flags,
            stream,
            payload,
        }
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        bytes.extend(&self.length.to_be_bytes()[1..]);
        bytes.extend([self.kind, self.flags]);
        bytes.extend(self.stream.to_be_bytes());
        bytes.extend(&self.payload);
    }
}

const GET: &str = "CacheService/Get";

fn any_key(dice: &mut SmallRng) -> String {
    format!("k{}", dice.random_range(0..50))
}

fn any_cache(dice: &mut SmallRng) -> &'static str {
    ["users", "notes"][dice.random_range(0..2)]
}

fn any_get(dice: &mut SmallRng) -> v1::GetRequest {
    v1::GetRequest {
        freshness: dice.random_range(0..4),
        no_lease: dice.random(),
        session: dice.random_bool(0.2).then(String::new),
        wait: Duration::ZERO.try_into().ok(),
        ..get_of(any_cache(dice), &any_key(dice))
    }
}

fn any_fill(dice: &mut SmallRng) -> v1::FillRequest {
    let token = Bytes::from(dice.random::<[u8; 8]>().to_vec());
    v1::FillRequest {
        options: Some(any_options(dice)),
        ..fill(&any_key(dice), &token, "value")
    }
}

fn any_options(dice: &mut SmallRng) -> v1::StoreOptions {
    v1::StoreOptions {
        ttl: Duration::from_secs(60).try_into().ok(),
        tags: vec![format!("t{}", dice.random_range(0..5))],
        ..Default::default()
    }
}

fn any_set(dice: &mut SmallRng) -> v1::SetRequest {
    v1::SetRequest {
        cache: any_cache(dice).to_owned(),
        key: any_key(dice).into(),
        value: Bytes::from_static(b"a value"),
        options: dice.random_bool(0.5).then(|| any_options(dice)),
        ..Default::default()
    }
}

fn any_invalidation(dice: &mut SmallRng) -> v1::InvalidateRequest {
    v1::InvalidateRequest {
        cache: any_cache(dice).to_owned(),
        keys: vec![any_key(dice).into()],
        tags: vec![format!("t{}", dice.random_range(0..5))],
        whole_cache: dice.random_bool(0.1),
        session: None,
    }
}

fn any_release(dice: &mut SmallRng) -> v1::ReleaseLeaseRequest {
    let v1::FillRequest {
        cache,
        key,
        lease_token,
        ..
    } = any_fill(dice);
    v1::ReleaseLeaseRequest {
        cache,
        key,
        lease_token,
    }
}

fn any_touch(dice: &mut SmallRng) -> v1::TouchRequest {
    v1::TouchRequest {
        cache: any_cache(dice).to_owned(),
        key: any_key(dice).into(),
        ttl: Duration::from_secs(60).try_into().ok(),
    }
}

fn any_delete(dice: &mut SmallRng) -> v1::DeleteRequest {
    v1::DeleteRequest {
        cache: any_cache(dice).to_owned(),
        key: any_key(dice).into(),
        session: None,
    }
}

fn any_exchange(dice: &mut SmallRng) -> v1::ExchangeRequest {
    let mut calls = Vec::new();
    for id in 0..dice.random_range(1..8) {
        let one = match dice.random_range(0..7) {
            0 => call::Call::Get(any_get(dice)),
            1 => call::Call::Fill(any_fill(dice)),
            2 => call::Call::ReleaseLease(any_release(dice)),
            3 => call::Call::Set(any_set(dice)),
            4 => call::Call::Touch(any_touch(dice)),
            5 => call::Call::Delete(any_delete(dice)),
            _ => call::Call::Invalidate(any_invalidation(dice)),
        };
        let timeout = Duration::from_millis(200).try_into().ok();
        let call = Some(one);
        calls.push(v1::Call { id, timeout, call });
    }
    v1::ExchangeRequest { calls }
}

/// A call that is well formed: its method and its message.
fn any_call(dice: &mut SmallRng) -> (&'static str, Vec<u8>) {
    let gets = |dice: &mut SmallRng| (0..4).map(|_| any_get(dice)).collect();
    match dice.random_range(0..14) {
        0 => (GET, any_get(dice).encode_to_vec()),
        1 => {
            let requests = gets(dice);
            let all = v1::BatchGetRequest { requests };
            ("CacheService/BatchGet", all.encode_to_vec())
        }
        2 => {
            let requests = gets(dice);
            let all = v1::StreamBatchGetRequest { requests };
            ("CacheService/StreamBatchGet", all.encode_to_vec())
        }
        3 => ("CacheService/Fill", any_fill(dice).encode_to_vec()),
        4 => (
            "CacheService/ReleaseLease",
            any_release(dice).encode_to_vec(),
        ),
        5 => ("CacheService/Set", any_set(dice).encode_to_vec()),
        6 => {
            let requests = (0..4).map(|_| any_set(dice)).collect();
            let all = v1::BatchSetRequest { requests };
            ("CacheService/BatchSet", all.encode_to_vec())
        }
        7 => ("CacheService/Touch", any_touch(dice).encode_to_vec()),
        8 => ("CacheService/Delete", any_delete(dice).encode_to_vec()),
        9 => {
            let all = any_invalidation(dice);
            ("InvalidationService/Invalidate", all.encode_to_vec())
        }
        10 => {
            let watch = v1::WatchRequest {
                caches: vec![any_cache(dice).to_owned()],
                cursor: String::new(),
            };
            ("InvalidationService/Watch", watch.encode_to_vec())
        }
        _ => ("StreamService/Exchange", any_exchange(dice).encode_to_vec()),
    }
}

/// A field as it is written without the table: so nothing depends on what was read before.
fn field(block: &mut Vec<u8>, name: &str, value: &str) {
    block.extend([0, name.len() as u8]);
    block.extend(name.as_bytes());
    block.push(value.len() as u8);
    block.extend(value.as_bytes());
}

fn call_frames(stream: u32, method: &str, message: &[u8], dice: &mut SmallRng) -> Vec<Frame> {
    // POST over http, by the numbers that both ends know.
    let mut block = vec![0x83, 0x86];
    field(&mut block, ":path", &format!("/cacheaside.v1.{method}"));
    field(&mut block, ":authority", "localhost");
    field(&mut block, "content-type", "application/grpc");
    field(&mut block, "te", "trailers");
    field(&mut block, "grpc-timeout", "500m");
    if dice.random_bool(0.1) {
        field(&mut block, "cacheaside-session", "");
    }
    let mut body = vec![0];
    body.extend((message.len() as u32).to_be_bytes());
    body.extend(message);
    let cut = dice.random_range(0..=body.len());
    let (first, rest) = body.split_at(if dice.random_bool(0.2) { cut } else { 0 });
    vec![
        Frame::new(HEADERS, END_HEADERS, stream, block),
        Frame::new(DATA, 0, stream, first.to_vec()),
        Frame::new(DATA, END_STREAM, stream, rest.to_vec()),
    ]
}

/// Makes another message of it, at its bytes and at its fields.
fn spoil_message(message: &mut Vec<u8>, dice: &mut SmallRng) {
    for _ in 0..dice.random_range(1..4) {
        let at = dice.random_range(0..message.len().max(1));
        match dice.random_range(0..9) {
            0 => message.truncate(at),
            1 => message.insert(at.min(message.len()), dice.random()),
            2 => message.extend_from_within(at.min(message.len())..),
            // A number of ten bytes, the largest that there is and larger.
            3 => message.splice(at..at, [0xff; 10]).for_each(drop),
            4 => {
                // A field that claims more bytes than there are.
                message.extend([dice.random_range(0..16) << 3 | 2, 0xff, 0xff, 0xff, 0x7f]);
            }
            5 => {
                for _ in 0..dice.random_range(1..DEEP) {
                    if message.len() < 16_000 {
                        nest(message, dice.random_range(1..10));
                    }
                }
            }
            6 => *message = (0..at).map(|_| dice.random()).collect(),
            7 if !message.is_empty() => message[at] ^= 1 << dice.random_range(0..8),
            _ if !message.is_empty() => message[at] = dice.random(),
            _ => {}
        }
    }
}

/// Makes it a field of another message.
fn nest(message: &mut Vec<u8>, number: u8) {
    let mut outer = vec![number << 3 | 2];
    let length = message.len();
    outer.extend([
        (length & 0x7f) as u8 | 0x80,
        (length >> 7 & 0x7f) as u8 | 0x80,
    ]);
    outer.push((length >> 14) as u8);
    outer.append(message);
    *message = outer;
}

/// Spoils some of these frames, or puts others among them; how many.
fn spoil_frames(frames: &mut Vec<Frame>, dice: &mut SmallRng) -> u64 {
    let count = dice.random_range(1..4);
    for _ in 0..count {
        let at = dice.random_range(0..frames.len());
        let stream = frames[at].stream;
        let one = &mut frames[at];
        match dice.random_range(0..9) {
            0 => one.kind = dice.random_range(0..12),
            1 => one.flags = dice.random(),
            2 => one.stream = dice.random(),
            3 => one.stream = dice.random_range(0..8),
            4 => one.length = dice.random_range(0..20_000),
            5 if !one.payload.is_empty() => {
                let byte = dice.random_range(0..one.payload.len());
                one.payload[byte] = dice.random();
            }
            6 => {
                let length = dice.random_range(0..=one.payload.len());
                one.payload.truncate(length);
                one.length = length as u32;
            }
            7 => {
                let again = Frame::new(one.kind, one.flags, stream, one.payload.clone());
                frames.insert(at, again);
            }
            // Frames of every other kind, with what they have to say or not.
            _ => {
                let length = [0, 4, 5, 6, 8, 9][dice.random_range(0..6)];
                let payload = (0..length).map(|_| dice.random()).collect();
                let stream = [0, stream, stream + 2][dice.random_range(0..3)];
                let kind = dice.random_range(2..11);
                frames.insert(at, Frame::new(kind, dice.random(), stream, payload));
            }
        }
    }
    count
}
