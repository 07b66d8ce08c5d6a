//! What one client has seen and written, as a text that it carries from process to process.
//!
//! ```text
//! version u8 | domain u32 | epoch u32 | offset u64
//! each bucket with a tick, in ascending order: bucket u8, epoch u32, offset u64, tick u32
//! crc32 u32 of everything before it
//! ```
//! Integers are big-endian, and the whole is base64url without padding (RFC 4648).

use super::key::{BUCKETS, Bucket, Name};
use super::position::Position;
use crate::error::{Error, Kind};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64URL;
use bytes::{Buf, BufMut};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use xxhash_rust::xxh3::xxh3_64;

/// The format's version, the first byte.
const VERSION: u8 = 1;
/// The bytes before the buckets.
const HEAD: usize = 1 + 4 + 4 + 8;
const EACH: usize = 1 + 16;
const CHECKSUM: usize = 4;
const BYTES_MAX: usize = HEAD + BUCKETS * EACH + CHECKSUM;
/// The longest text of a session, in characters. One with few ticks has about a hundred.
pub const SESSION_LEN_MAX: usize = (BYTES_MAX * 4).div_ceil(3);

/// How far one client has seen the data of a domain, whatever process it talked to.
///
/// A read that asks for a session's positions is answered with nothing older than what the
/// client has seen or written. The text of a session is no secret and no proof: a client
/// that makes one up is answered by loads. Whoever hands it to strangers signs it.
///
/// An offset counts in the whole domain, a tick in one bucket only: so it keeps the highest
/// offset, and beside it the highest position with a tick of each bucket, 256 at most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// The domain's hash; zero until something is noted.
    domain: u32,
    /// The highest position, its tick left out.
    highest: Position,
    ticks: BTreeMap<Bucket, Position>,
}

/// What a session asks of one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The smallest as-of that will do.
    pub at_least: Position,
    /// Whether a tick of the key's bucket was seen: no replica can show that it has come
    /// past one.
    pub primary: bool,
}

impl Session {
    /// A position was seen or written in a bucket of a domain.
    ///
    /// # Errors
    /// [`Kind::Invalid`] if the session is of another domain.
    pub fn note(&mut self, domain: &Name, bucket: Bucket, seen: Position) -> Result<(), Error> {
        self.check(domain)?;
        self.domain = hash(domain);
        self.raise(bucket, seen);
        Ok(())
    }

    /// Takes over what another session of the same client has seen, such as one that ran
    /// beside this.
    ///
    /// # Errors
    /// [`Kind::Invalid`] if both are of different domains.
    pub fn merge(&mut self, other: &Self) -> Result<(), Error> {
        if self.domain != 0 && other.domain != 0 && self.domain != other.domain {
            return Err(foreign("merging two sessions"));
        }
        self.domain = self.domain.max(other.domain);
        self.highest = self.highest.max(other.highest);
        for (bucket, position) in &other.ticks {
            self.raise(*bucket, *position);
        }
        Ok(())
    }

    /// What is asked of the keys in a bucket of a domain.
    ///
    /// # Errors
    /// [`Kind::Invalid`] if the session is of another domain.
    pub fn asked(&self, domain: &Name, bucket: Bucket) -> Result<Asked, Error> {
        self.check(domain)?;
        let tick = self.ticks.get(&bucket);
        Ok(Asked {
            at_least: tick.map_or(self.highest, |tick| self.highest.max(*tick)),
            primary: tick.is_some(),
        })
    }

    /// The highest position seen in the domain, its tick left out.
    pub fn highest(&self) -> Position {
        self.highest
    }

    fn raise(&mut self, bucket: Bucket, seen: Position) {
        self.highest = self.highest.max(Position { tick: 0, ..seen });
        if seen.tick > 0 {
            // It stays when a higher offset is seen: a replica may be past that, and not
            // hold the change that the tick stands for.
            let tick = self.ticks.entry(bucket).or_default();
            *tick = seen.max(*tick);
        }
    }

    fn check(&self, domain: &Name) -> Result<(), Error> {
        if self.domain == 0 || self.domain == hash(domain) {
            return Ok(());
        }
        Err(foreign("using a session"))
    }
}

/// The domain's part of a text; never zero.
fn hash(domain: &Name) -> u32 {
    (xxh3_64(domain.as_str().as_bytes()) as u32).max(1)
}

fn foreign(doing: &'static str) -> Error {
    Error::new(Kind::Invalid, doing, "a session of another domain")
        .hint("positions of two domains do not compare; keep a session for each")
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = Vec::with_capacity(HEAD + self.ticks.len() * EACH + CHECKSUM);
        bytes.put_u8(VERSION);
        bytes.put_u32(self.domain);
        bytes.put_u32(self.highest.epoch);
        bytes.put_u64(self.highest.offset);
        for (bucket, position) in &self.ticks {
            bytes.put_u8(bucket.0);
            bytes.put_u128(position.packed());
        }
        bytes.put_u32(crc32fast::hash(&bytes));
        f.write_str(&BASE64URL.encode(bytes))
    }
}

impl FromStr for Session {
    type Err = Error;

    /// Reads what [`Session`]'s `Display` wrote, in whatever process.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for anything else: cut, changed, or of a later version.
    fn from_str(text: &str) -> Result<Self, Error> {
        read(text).map_err(|hint| {
            let shown: String = text.chars().take(16).collect();
            Error::new(Kind::Invalid, "reading a session", shown).hint(hint)
        })
    }
}

fn read(text: &str) -> Result<Session, &'static str> {
    const STRANGE: &str = "it is no text of a session; begin an empty one";
    const CHANGED: &str = "it was cut or changed on its way; begin an empty one";
    if text.len() > SESSION_LEN_MAX {
        return Err(STRANGE);
    }
    let bytes = BASE64URL.decode(text).map_err(|_| STRANGE)?;
    let (Some(&version), Some(sealed)) = (bytes.first(), bytes.len().checked_sub(CHECKSUM)) else {
        return Err(STRANGE);
    };
    let (mut rest, mut sum) = bytes.split_at(sealed);
    if version != VERSION {
        return Err("it is of another version, or was changed on its way");
    }
    if crc32fast::hash(rest) != sum.get_u32() {
        return Err(CHANGED);
    }
    if rest.len() < HEAD || !(rest.len() - HEAD).is_multiple_of(EACH) {
        return Err(STRANGE);
    }
    rest.advance(1);
    let domain = rest.get_u32();
    let highest = Position::new(rest.get_u32(), rest.get_u64(), 0);
    let mut ticks = BTreeMap::new();
    while rest.has_remaining() {
        let bucket = Bucket(rest.get_u8());
        let position = Position::unpacked(rest.get_u128());
        let ascends = ticks
            .last_key_value()
            .is_none_or(|(last, _)| *last < bucket);
        let is_seen = position.tick > 0
            && Position {
                tick: 0,
                ..position
            } <= highest;
        if !ascends || !is_seen {
            return Err(STRANGE);
        }
        ticks.insert(bucket, position);
    }
    let session = Session {
        domain,
        highest,
        ticks,
    };
    match domain == 0 && session != Session::default() {
        true => Err(STRANGE),
        false => Ok(session),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn session(noted: &[(u8, Position)]) -> Session {
        let mut session = Session::default();
        for (bucket, position) in noted {
            session
                .note(&name("main"), Bucket(*bucket), *position)
                .unwrap();
        }
        session
    }

    fn any_noted() -> impl Strategy<Value = Vec<(u8, Position)>> {
        let position = (any::<u32>(), any::<u64>(), 0..3u32);
        let position = position.prop_map(|(e, o, t)| Position::new(e, o, t));
        proptest::collection::vec((any::<u8>(), position), 0..600)
    }

    proptest! {
        #[test]
        fn a_session_is_read_as_it_was_written(noted in any_noted()) {
            let session = session(&noted);
            let text = session.to_string();
            prop_assert!(text.len() <= SESSION_LEN_MAX);
            prop_assert_eq!(text.parse::<Session>().unwrap(), session);
        }

        #[test]
        fn the_order_in_which_a_client_saw_things_does_not_matter(noted in any_noted()) {
            let (first, second) = noted.split_at(noted.len() / 2);
            let mut merged = session(second);
            merged.merge(&session(first)).unwrap();
            prop_assert_eq!(merged, session(&noted));
        }

        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = text.parse::<Session>();
        }
    }

    #[test]
    fn a_text_that_was_cut_or_changed_is_refused() {
        let text = session(&[(3, Position::new(1, 2, 3)), (9, Position::new(1, 7, 0))]).to_string();
        for end in 0..text.len() {
            let error = text[..end].parse::<Session>().unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "cut at {end}");
        }
        for at in 0..text.len() {
            for other in ['A', 'b', '-', '=', ' '] {
                let mut changed: Vec<char> = text.chars().collect();
                if std::mem::replace(&mut changed[at], other) != other {
                    let changed: String = changed.into_iter().collect();
                    assert!(changed.parse::<Session>().is_err(), "{changed}");
                }
            }
        }
        assert!("A".repeat(SESSION_LEN_MAX + 1).parse::<Session>().is_err());
    }

    #[test]
    fn a_session_of_another_domain_is_refused() {
        let mut session = session(&[(3, Position::new(1, 2, 3))]);
        let other = name("other");
        let refused = session.asked(&other, Bucket(3)).unwrap_err();
        assert_eq!(refused.kind(), Kind::Invalid);
        assert!(refused.to_string().contains("another domain"), "{refused}");
        assert!(session.note(&other, Bucket(3), Position::ZERO).is_err());
        let mut foreign = Session::default();
        foreign.note(&other, Bucket(0), Position::ZERO).unwrap();
        assert!(session.merge(&foreign).is_err());
    }

    #[test]
    fn ticks_count_in_their_bucket_and_offsets_everywhere() {
        let tick = Position::new(1, 90, 2);
        let session = session(&[(3, tick), (4, Position::new(1, 80, 9))]);
        let asked = |bucket| session.asked(&name("main"), Bucket(bucket)).unwrap();
        let of = |at_least, primary| Asked { at_least, primary };
        assert_eq!(asked(3), of(tick, true));
        assert_eq!(asked(4), of(Position::new(1, 90, 0), true));
        assert_eq!(asked(5), of(Position::new(1, 90, 0), false));
    }

    #[test]
    fn an_older_epoch_is_below_whatever_its_offset() {
        let late = (3, Position::new(1, 900, 5));
        let session = session(&[(3, Position::new(2, 1, 0)), late]);
        let asked = session.asked(&name("main"), Bucket(3)).unwrap();
        assert_eq!(asked.at_least, Position::new(2, 1, 0));
        assert!(asked.primary, "its own write may be in no replica yet");
    }
}
