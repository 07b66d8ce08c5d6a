//! Generated histories of steps, to be run on two implementations of L2 that must
//! agree on every answer.

use crate::model::key::{Address, Key, KeySpace, Name};
use crate::model::position::Position;
use crate::tier::{
    Beat, Invalidate, Known, Leased, Offer, Record, Remote, Seen, Token, Touch, Write,
};
use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::time::Duration;

/// Long enough that no lease and no record ends during a history.
const LONG: Duration = Duration::from_secs(500);
/// Two keys of one bucket, so that one is absent while the other has moved the
/// watermark, and a key of another.
const KEYS: [&[u8]; 3] = [b"key-0", b"key-608", b"key-1"];

/// One step of a history.
#[derive(Clone, Debug)]
pub enum Step {
    /// [`Remote::read`].
    Read(Address),
    /// [`Remote::lease`].
    Lease(Address, Token, Seen),
    /// [`Remote::fill`].
    Fill(Address, Offer),
    /// [`Remote::touch`] of what is there, as of this or its own as-of.
    Touch(Address, Option<Position>, Bytes),
    /// [`Remote::release`].
    Release(Address, Token),
    /// [`Remote::quarantine`].
    Quarantine(Address, Token),
    /// [`Remote::write`].
    Write(Address, Write),
    /// [`Remote::apply`].
    Apply(Invalidate),
    /// [`Remote::beat`].
    Beat(Beat),
}

/// The history of a seed: 10 to 40 steps on three keys, with few tokens and small
/// positions, so that steps meet each other.
pub fn of_seed(seed: u64) -> Vec<Step> {
    let mut rng = StdRng::seed_from_u64(seed);
    let count = rng.random_range(10..=40);
    let mut steps = Vec::with_capacity(count + KEYS.len());
    if rng.random_bool(0.9) {
        // Most histories begin with watermarks; nothing much happens without.
        steps.extend(KEYS.map(|key| {
            let bucket = address(key).bucket;
            Step::Beat(Beat {
                bucket,
                seen: Position::ZERO,
                known: Known::NOTHING,
                doubted: false,
            })
        }));
    }
    steps.extend((0..count).map(|_| step(&mut rng)));
    steps
}

fn address(key: &[u8]) -> Address {
    let name = |text| Name::new(text).expect("a name within its limits");
    let key = Key::new(key).expect("a key within its limits");
    KeySpace::new(name("main"), name("users")).address(key)
}

fn step(rng: &mut StdRng) -> Step {
    let address = address(KEYS[rng.random_range(0..KEYS.len())]);
    let token = Token(rng.random_range(1..=3));
    match rng.random_range(0..14) {
        0 | 1 => Step::Read(address),
        2 | 3 => Step::Lease(address, token, seen(rng)),
        4..=6 => {
            let offer = Offer {
                token: rng.random_bool(0.8).then_some(token),
                as_of: maybe_position(rng, 0.4),
                body: Bytes::copy_from_slice(&[rng.random::<u8>(); 3]),
                ttl: LONG,
            };
            Step::Fill(address, offer)
        }
        7 => Step::Release(address, token),
        8 => Step::Apply(Invalidate {
            address,
            position: maybe_position(rng, 0.6),
            known: known(rng),
            keep: LONG,
        }),
        9 => Step::Quarantine(address, token),
        10 => {
            let body = Bytes::copy_from_slice(&[rng.random::<u8>(); 3]);
            Step::Touch(address, maybe_position(rng, 0.3), body)
        }
        11 | 12 => Step::Write(
            address,
            Write {
                token,
                as_of: maybe_position(rng, 0.4),
                known: known(rng),
                body: Bytes::copy_from_slice(&[rng.random::<u8>(); 3]),
                ttl: LONG,
            },
        ),
        _ => Step::Beat(Beat {
            bucket: address.bucket,
            seen: position(rng),
            known: known(rng),
            doubted: rng.random_bool(0.05),
        }),
    }
}

fn seen(rng: &mut StdRng) -> Seen {
    let position = position(rng);
    match rng.random_range(0..4) {
        0 => Seen::Refused(position),
        1 => Seen::Expired(position),
        _ => Seen::Nothing,
    }
}

/// Mostly nothing: a caller that knows better raises the bucket, and little happens
/// in one that is raised all the time.
fn known(rng: &mut StdRng) -> Known {
    Known {
        applied: maybe_position(rng, 0.2).unwrap_or_default(),
        seen: maybe_position(rng, 0.2).unwrap_or_default(),
    }
}

fn maybe_position(rng: &mut StdRng, share: f64) -> Option<Position> {
    rng.random_bool(share).then(|| position(rng))
}

fn position(rng: &mut StdRng) -> Position {
    let offset = match rng.random_range(0..20) {
        0 => 1 << 41,
        1 => u64::MAX,
        _ => rng.random_range(0..8),
    };
    let tick = match rng.random_range(0..20) {
        0 => u32::MAX,
        1..=4 => rng.random_range(0..3),
        _ => 0,
    };
    let epoch = u32::from(rng.random_bool(0.05));
    Position::new(epoch, offset, tick)
}

/// Runs one step and writes its answer down, without what depends on time.
pub async fn run(remote: &dyn Remote, step: &Step) -> String {
    match step.clone() {
        Step::Read(address) => format!("{:?}", remote.read(&address).await),
        Step::Lease(address, token, seen) => {
            match remote.lease(&address, token, LONG, seen).await {
                Ok(Leased::Busy { .. }) => "Busy".to_owned(),
                other => format!("{other:?}"),
            }
        }
        Step::Fill(address, offer) => format!("{:?}", remote.fill(&address, offer).await),
        Step::Touch(address, as_of, body) => touch(remote, &address, as_of, body).await,
        Step::Release(address, token) => format!("{:?}", remote.release(&address, token).await),
        Step::Quarantine(address, token) => {
            format!("{:?}", remote.quarantine(&address, token, LONG).await)
        }
        Step::Write(address, write) => format!("{:?}", remote.write(&address, write).await),
        Step::Apply(one) => format!("{:?}", remote.apply(vec![one]).await),
        Step::Beat(one) => format!("{:?}", remote.beat(vec![one]).await),
    }
}

async fn touch(
    remote: &dyn Remote,
    address: &Address,
    as_of: Option<Position>,
    body: Bytes,
) -> String {
    let record = remote.read(address).await.map(|reading| reading.record);
    let (at, was) = match record {
        Ok(Some(Record::Value { as_of, body })) => (as_of, body),
        Ok(_) | Err(_) => (Position::ZERO, Bytes::from_static(b"none")),
    };
    let touch = Touch {
        as_of: as_of.unwrap_or(at),
        was,
        body,
        ttl: LONG,
    };
    format!("{:?}", remote.touch(address, touch).await)
}
