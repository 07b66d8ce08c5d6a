//! Frames of the RESP door, mutated: whatever comes is a command, a refusal, a reason to end
//! the connection, or not whole yet. `FRAMES=10000000 SEED=1` runs more of them.

use bytes::{Bytes, BytesMut};
use cache_agent::resp::command::Command;
use cache_agent::resp::frame;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::fmt::Write;

/// The frames of a usual run.
const FRAMES: u64 = 50_000;
/// The most bytes that come at once.
const CUT_MAX: usize = 64;

/// Commands that are well formed, with all that they may have.
const COMMANDS: [&str; 22] = [
    "GET users:7",
    "MGET users:7 notes:8 users:9",
    "EXISTS users:7",
    "TTL users:7",
    "PTTL users:7",
    "SET users:7 value EX 60 NX",
    "SET users:7 value PXAT 1700000000000",
    "SETEX users:7 60 value",
    "SETNX users:7 value",
    "DEL users:7 users:8",
    "EXPIRE users:7 60",
    "CACHE.GETL users:7 WAIT 100",
    "CACHE.FILL users:7 5a0c11d09e7f3a42 value EX 60 TAG team:3 TAG team:4",
    "CACHE.FILL users:7 5a0c11d09e7f3a42 - ABSENT",
    "CACHE.RELEASE users:7 5a0c11d09e7f3a42",
    "CACHE.INVALIDATE users KEY 7 TAG team:3 ALL",
    "HELLO 3 AUTH user secret SETNAME me",
    "CLIENT SETINFO LIB-NAME lib",
    "CONFIG GET save",
    "PING there",
    "SELECT 0",
    "COMMAND DOCS",
];

/// What became of the frames that came.
#[derive(Debug, Default)]
struct Came {
    commands: u64,
    refused: u64,
    empty: u64,
    broken: u64,
    cut: u64,
}

#[test]
fn no_frame_panics_or_passes_unnoticed() {
    let number = |name| std::env::var(name).ok().map(|text| text.parse::<u64>());
    let number = |name| number(name).map(|parsed| parsed.expect("a whole number"));
    let frames = number("FRAMES").unwrap_or(FRAMES);
    let seed = number("SEED").unwrap_or(1);
    let dice = &mut SmallRng::seed_from_u64(seed);
    let mut came = Came::default();
    let mut words = Vec::new();
    for _ in 0..frames {
        let bytes = mutated(dice);
        read(&bytes, dice, &mut words, &mut came);
    }
    println!("SEED={seed}: {frames} frames, {came:?}");
    assert!(came.commands > frames / 10, "{came:?}");
    assert!(
        came.refused > 0 && came.broken > 0 && came.cut > 0,
        "{came:?}"
    );
    // Each frame ends in one way; what was whole before its end was read as well.
    assert!(came.broken + came.cut <= frames, "{came:?}");
}

fn mutated(dice: &mut SmallRng) -> Vec<u8> {
    let words: Vec<_> = COMMANDS[dice.random_range(0..COMMANDS.len())]
        .split(' ')
        .collect();
    let mut text = String::new();
    match dice.random_range(0..8) {
        0 => text = words.join(" ") + "\r\n",
        _ => {
            let _ = write!(text, "*{}\r\n", words.len());
            for word in &words {
                let _ = write!(text, "${}\r\n{word}\r\n", word.len());
            }
        }
    }
    let mut bytes = text.into_bytes();
    for _ in 0..dice.random_range(0..4) {
        let at = dice.random_range(0..bytes.len().max(1));
        match dice.random_range(0..4) {
            0 => bytes.truncate(at),
            _ if bytes.is_empty() => {}
            1 => bytes.insert(at, dice.random()),
            2 => bytes.extend_from_within(at..),
            _ => bytes[at] = dice.random(),
        }
    }
    bytes
}

/// Reads a connection that brings these bytes, cut somewhere.
fn read(bytes: &[u8], dice: &mut SmallRng, words: &mut Vec<Bytes>, came: &mut Came) {
    let mut buffer = BytesMut::new();
    let cut = dice.random_range(1..=CUT_MAX);
    for part in bytes.chunks(cut) {
        buffer.extend_from_slice(part);
        loop {
            let before = buffer.len();
            match frame::take(&mut buffer, words) {
                Ok(true) => {
                    assert!(buffer.len() < before, "it takes what it reads");
                    match Command::read(words) {
                        _ if words.is_empty() => came.empty += 1,
                        Ok(_) => came.commands += 1,
                        Err(_) => came.refused += 1,
                    }
                }
                Ok(false) => {
                    assert_eq!(buffer.len(), before, "it leaves what is not whole");
                    break;
                }
                Err(_) => {
                    came.broken += 1;
                    return;
                }
            }
        }
    }
    came.cut += u64::from(!buffer.is_empty());
}
