//! The bytes around a value in L2: format version, codec, lifetimes, tags, checksum.
//!
//! ```text
//! version u8 | codec u8 | flags u8 | fingerprint u32 | key hash u64
//! stored_ms u64 | ttl_ms u32 | stamps: count u8, each (len u8, tag, position 16)
//! in version 2: validator: length u8, bytes
//! payload length u32 | crc32 u32 of everything before it and the payload | payload
//! ```
//! Integers are big-endian. The as-of is not here: L2's scripts compare it, so it
//! stands before the envelope in hexadecimal. The key's hash is here because a
//! connection that mixed up two answers would otherwise serve one key's value
//! for another's.

use crate::model::entry::{Entry, Stamp};
use crate::model::key::KeyHash;
use crate::model::position::Position;
use crate::model::tag::{TAGS_MAX, Tag};
use crate::source::VALIDATOR_LEN_MAX;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::time::Duration;

/// The format's version, the first byte of every envelope.
const VERSION: u8 = 1;
/// The version of those with a validator.
const WITH_VALIDATOR: u8 = 2;
const FLAG_ABSENT: u8 = 1;
const FLAG_FLEETING: u8 = 2;
/// The bytes before the stamps.
const HEAD: usize = 1 + 1 + 1 + 4 + 8 + 8 + 4;

/// What an envelope says about its payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// The codec's id.
    pub codec: u8,
    /// The codec's fingerprint of the type.
    pub fingerprint: u32,
    /// The hash of the key the value belongs to.
    pub key: KeyHash,
}

/// Why bytes are not an envelope that can be served. Each is a miss and a count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// Another format version.
    Version,
    /// Another codec, type or schema.
    Codec,
    /// Another key's value.
    Key,
    /// Cut off, too long, or not an envelope at all.
    Shape,
    /// The checksum does not fit.
    Checksum,
}

/// The bytes of an entry whose value is already encoded.
pub fn seal(label: Label, entry: &Entry<Bytes>) -> Bytes {
    debug_assert!(entry.stamps.len() <= TAGS_MAX + 1);
    let validator = entry.validator.as_deref();
    debug_assert!(validator.is_none_or(|bytes| bytes.len() <= VALIDATOR_LEN_MAX));
    let payload = entry.value.as_deref().unwrap_or_default();
    let mut out = BytesMut::with_capacity(HEAD + 9 + entry.stamps.len() * 48 + payload.len());
    out.put_u8(validator.map_or(VERSION, |_| WITH_VALIDATOR));
    out.put_u8(label.codec);
    let flag = |holds, flag| if holds { flag } else { 0 };
    out.put_u8(flag(entry.value.is_none(), FLAG_ABSENT) | flag(entry.fleeting, FLAG_FLEETING));
    out.put_u32(label.fingerprint);
    out.put_u64(label.key.0);
    out.put_u64(entry.stored_ms);
    out.put_u32(u32::try_from(entry.ttl.as_millis()).unwrap_or(u32::MAX));
    out.put_u8(entry.stamps.len() as u8);
    for stamp in &entry.stamps {
        out.put_u8(stamp.tag.as_str().len() as u8);
        out.put_slice(stamp.tag.as_str().as_bytes());
        out.put_u128(stamp.as_of.packed());
    }
    if let Some(validator) = validator {
        out.put_u8(validator.len() as u8);
        out.put_slice(validator);
    }
    out.put_u32(payload.len() as u32);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&out);
    crc.update(payload);
    out.put_u32(crc.finalize());
    out.put_slice(payload);
    out.freeze()
}

/// Reads an envelope; the payload is a slice of `bytes`, not a copy.
///
/// # Errors
/// [`Unreadable`] for anything that may not be served under `label`.
pub fn open(label: Label, as_of: Position, bytes: &Bytes) -> Result<Entry<Bytes>, Unreadable> {
    let mut rest = bytes.clone();
    let with_validator = match rest.first() {
        Some(&VERSION) => false,
        Some(&WITH_VALIDATOR) => true,
        Some(_) => return Err(Unreadable::Version),
        None => return Err(Unreadable::Shape),
    };
    if rest.len() <= HEAD {
        return Err(Unreadable::Shape);
    }
    rest.advance(1);
    let (codec, flags) = (rest.get_u8(), rest.get_u8());
    let fingerprint = rest.get_u32();
    let key = KeyHash(rest.get_u64());
    let stored_ms = rest.get_u64();
    let ttl = Duration::from_millis(rest.get_u32().into());
    let stamps = read_stamps(&mut rest)?;
    let validator = match with_validator {
        true => Some(read_validator(&mut rest)?),
        false => None,
    };
    let payload_len = rest.try_get_u32().map_err(|_| Unreadable::Shape)? as usize;
    let sealed_len = bytes.len() - rest.len();
    let crc = rest.try_get_u32().map_err(|_| Unreadable::Shape)?;
    if rest.len() != payload_len {
        return Err(Unreadable::Shape);
    }
    let mut sum = crc32fast::Hasher::new();
    sum.update(&bytes[..sealed_len]);
    sum.update(&rest);
    if sum.finalize() != crc {
        return Err(Unreadable::Checksum);
    }
    if key != label.key {
        return Err(Unreadable::Key);
    }
    if codec != label.codec || fingerprint != label.fingerprint {
        return Err(Unreadable::Codec);
    }
    Ok(Entry {
        value: (flags & FLAG_ABSENT == 0).then_some(rest),
        as_of,
        stamps,
        stored_ms,
        ttl,
        validator,
        fleeting: flags & FLAG_FLEETING != 0,
    })
}

fn read_validator(rest: &mut Bytes) -> Result<Bytes, Unreadable> {
    let len = rest.try_get_u8().map_err(|_| Unreadable::Shape)?.into();
    match rest.len() < len {
        true => Err(Unreadable::Shape),
        false => Ok(rest.split_to(len)),
    }
}

fn read_stamps(rest: &mut Bytes) -> Result<Vec<Stamp>, Unreadable> {
    let shape = |_| Unreadable::Shape;
    let count = rest.try_get_u8().map_err(shape)?;
    if usize::from(count) > TAGS_MAX + 1 {
        return Err(Unreadable::Shape);
    }
    let mut stamps = Vec::with_capacity(count.into());
    for _ in 0..count {
        let len = usize::from(rest.try_get_u8().map_err(shape)?);
        if rest.len() < len + 16 {
            return Err(Unreadable::Shape);
        }
        let text = rest.split_to(len);
        let text = std::str::from_utf8(&text).map_err(|_| Unreadable::Shape)?;
        let tag = if text == "*" {
            Tag::all()
        } else {
            Tag::new(text).map_err(|_| Unreadable::Shape)?
        };
        stamps.push(Stamp {
            tag,
            as_of: Position::unpacked(rest.get_u128()),
        });
    }
    Ok(stamps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const AT: Position = Position::new(1, 2, 3);

    fn label() -> Label {
        Label {
            codec: 1,
            fingerprint: 0xabcd,
            key: KeyHash(42),
        }
    }

    fn entry() -> Entry<Bytes> {
        Entry {
            value: Some(Bytes::from_static(b"value")),
            as_of: AT,
            stamps: vec![Stamp {
                tag: Tag::all(),
                as_of: AT,
            }],
            stored_ms: 1_700_000_000_000,
            ttl: Duration::from_secs(60),
            validator: None,
            fleeting: false,
        }
    }

    #[test]
    fn what_is_sealed_is_read_back() {
        let sealed = seal(label(), &entry());
        assert_eq!(open(label(), AT, &sealed), Ok(entry()));
        let absent = Entry {
            value: None,
            ..entry()
        };
        assert_eq!(open(label(), AT, &seal(label(), &absent)), Ok(absent));
        let fleeting = Entry {
            fleeting: true,
            ..entry()
        };
        assert_eq!(open(label(), AT, &seal(label(), &fleeting)), Ok(fleeting));
        for validator in [Bytes::new(), Bytes::from(vec![7; VALIDATOR_LEN_MAX])] {
            let validated = Entry {
                validator: Some(validator),
                ..entry()
            };
            assert_eq!(open(label(), AT, &seal(label(), &validated)), Ok(validated));
        }
    }

    #[test]
    fn another_key_codec_or_schema_is_not_served() {
        let sealed = seal(label(), &entry());
        let other_key = Label {
            key: KeyHash(43),
            ..label()
        };
        assert_eq!(open(other_key, AT, &sealed), Err(Unreadable::Key));
        let other_codec = Label {
            codec: 2,
            ..label()
        };
        assert_eq!(open(other_codec, AT, &sealed), Err(Unreadable::Codec));
        let other_type = Label {
            fingerprint: 1,
            ..label()
        };
        assert_eq!(open(other_type, AT, &sealed), Err(Unreadable::Codec));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let validated = Entry {
            validator: Some(Bytes::from_static(b"etag")),
            ..entry()
        };
        for sealed in [seal(label(), &entry()), seal(label(), &validated)] {
            for at in 0..sealed.len() {
                assert!(
                    open(label(), AT, &sealed.slice(..at)).is_err(),
                    "cut at {at}"
                );
                for bit in 0..8 {
                    let mut broken = sealed.to_vec();
                    broken[at] ^= 1 << bit;
                    assert!(
                        open(label(), AT, &broken.into()).is_err(),
                        "bit {bit} of byte {at}"
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = open(label(), AT, &bytes.clone().into());
            for version in [VERSION, WITH_VALIDATOR] {
                if let Some(first) = bytes.first_mut() {
                    *first = version;
                }
                let _ = open(label(), AT, &bytes.clone().into());
            }
        }
    }
}
