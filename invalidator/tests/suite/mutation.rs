//! Breaks events: bytes and cuts as a bad line would, and values and keys as a bad
//! program would, so that the damage gets past the reader of JSON.

use crate::samples::Sample;
use invalidator::format::received::Received;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Map, Value, json};
use std::fmt;

/// A broken event, and the sample that it was.
pub(crate) struct Mutant {
    of: String,
    subject: &'static str,
    headers: Vec<(String, String)>,
    bytes: Vec<u8>,
}

impl fmt::Display for Mutant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            of,
            subject,
            headers,
            bytes,
        } = self;
        let text = String::from_utf8_lossy(bytes);
        write!(f, "of {of}, on `{subject}`, with {headers:?}:\n{text}")
    }
}

impl Mutant {
    pub(crate) fn received(&self) -> Received<'_> {
        Received {
            subject: self.subject,
            headers: &self.headers,
            payload: &self.bytes,
        }
    }
}

/// The broken event that belongs to a seed: always the same one.
pub(crate) fn mutant(samples: &[Sample], seed: u64) -> Mutant {
    let dice = &mut SmallRng::seed_from_u64(seed);
    let sample = &samples[dice.random_range(0..samples.len())];
    let mut bytes = sample.payload.clone();
    if dice.random_ratio(2, 3)
        && let Ok(mut event) = serde_json::from_slice::<Value>(&bytes)
    {
        for _ in 0..dice.random_range(0..4) {
            change(&mut event, dice);
        }
        bytes = written(&event, dice).into_bytes();
    }
    if dice.random_ratio(1, 3) {
        for _ in 0..dice.random_range(1..5) {
            damage(&mut bytes, dice);
        }
    }
    let mut headers = sample.headers.clone();
    if dice.random_ratio(1, 20) {
        headers.push(header(dice));
    }
    if !headers.is_empty() && dice.random_ratio(1, 10) {
        let at = dice.random_range(0..headers.len());
        headers.remove(at);
    }
    Mutant {
        of: sample.name.clone(),
        subject: match dice.random_ratio(1, 20) {
            true => ["", "users", "public.users", "a.b.c.d"][dice.random_range(0..4)],
            false => sample.subject,
        },
        headers,
        bytes,
    }
}

fn header(dice: &mut SmallRng) -> (String, String) {
    let (name, value) = [
        ("ce-specversion", "1.0"),
        ("ce-specversion", "9"),
        ("content-type", "application/cloudevents-batch+json"),
        ("ce-iodebeziumop", "u"),
        ("CE-DATA", "{}"),
    ][dice.random_range(0..5)];
    (name.to_owned(), value.to_owned())
}

/// One byte flipped, removed or doubled, or a piece cut out.
fn damage(bytes: &mut Vec<u8>, dice: &mut SmallRng) {
    if bytes.is_empty() {
        return;
    }
    let at = dice.random_range(0..bytes.len());
    match dice.random_range(0..5) {
        0 => bytes[at] ^= 1 << dice.random_range(0..8),
        1 => bytes[at] = dice.random(),
        2 => {
            bytes.remove(at);
        }
        3 => bytes.insert(at, bytes[at]),
        _ => {
            let end = bytes.len().min(at + dice.random_range(1..40));
            bytes.drain(at..end);
        }
    }
}

/// One value replaced or swapped with another one, or one key dropped or renamed.
fn change(event: &mut Value, dice: &mut SmallRng) {
    let count = count(event);
    let mut at = dice.random_range(0..count);
    match dice.random_range(0..4) {
        0 => {
            let odd = odd(dice);
            replace(event, &mut at, &mut |value| *value = odd.clone());
        }
        1 => {
            let mut from = dice.random_range(0..count);
            let mut other = Value::Null;
            replace(event, &mut from, &mut |value| other = value.clone());
            replace(event, &mut at, &mut |value| *value = other.clone());
        }
        2 => replace(event, &mut at, &mut |value| match value {
            Value::Object(all) if !all.is_empty() => {
                let key = key(all, dice);
                all.remove(&key);
            }
            Value::Array(all) => drop(all.pop()),
            _ => {}
        }),
        _ => replace(event, &mut at, &mut |value| {
            if let Value::Object(all) = value
                && !all.is_empty()
            {
                let (from, to) = (key(all, dice), key(all, dice));
                let moved = all.remove(&from).unwrap_or_default();
                all.insert(to, moved);
            }
        }),
    }
}

fn key(all: &Map<String, Value>, dice: &mut SmallRng) -> String {
    let keys: Vec<_> = all.keys().cloned().collect();
    keys[dice.random_range(0..keys.len())].clone()
}

fn odd(dice: &mut SmallRng) -> Value {
    let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
    let all = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5e300),
        json!(u64::MAX),
        json!(""),
        json!("*"),
        json!("x".repeat(2_000)),
        json!("ü\u{0}:%"),
        json!("{\"a\": 1}"),
        json!([]),
        json!([{}]),
        json!({}),
        json!({"value": 1, "set": false}),
        json!({"$oid": {"$oid": 1}}),
        json!("__debezium_unavailable_value"),
        deep,
    ];
    all[dice.random_range(0..all.len())].clone()
}

/// How many values there are in a value, with itself.
fn count(value: &Value) -> usize {
    1 + match value {
        Value::Object(all) => all.values().map(count).sum(),
        Value::Array(all) => all.iter().map(count).sum::<usize>(),
        _ => 0,
    }
}

/// Does something to one of the values in a value.
fn replace(value: &mut Value, left: &mut usize, with: &mut dyn FnMut(&mut Value)) {
    if *left == 0 {
        *left = usize::MAX;
        return with(value);
    }
    *left -= 1;
    let inner: Vec<&mut Value> = match value {
        Value::Object(all) => all.values_mut().collect(),
        Value::Array(all) => all.iter_mut().collect(),
        _ => Vec::new(),
    };
    for value in inner {
        if *left == usize::MAX {
            return;
        }
        replace(value, left, with);
    }
}

/// The text of a value, in which a key may stand twice: no value can hold that.
fn written(value: &Value, dice: &mut SmallRng) -> String {
    match value {
        Value::Object(all) => {
            let mut entries = Vec::new();
            for (key, value) in all {
                let key = Value::from(key.as_str());
                entries.push(format!("{key}:{}", written(value, dice)));
                if dice.random_ratio(1, 60) {
                    entries.push(format!("{key}:{}", odd(dice)));
                }
            }
            format!("{{{}}}", entries.join(","))
        }
        Value::Array(all) => {
            let all: Vec<_> = all.iter().map(|value| written(value, dice)).collect();
            format!("[{}]", all.join(","))
        }
        other => other.to_string(),
    }
}
