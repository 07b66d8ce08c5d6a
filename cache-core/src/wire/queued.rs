//! The bytes of a write that waits in a queue.
//!
//! ```text
//! version u8 | codec u8 | flags u8 | fingerprint u32 | key: length u16, bytes
//! payload length u32 | crc32 u32 of everything before it and the payload | payload
//! ```
//! Integers are big-endian.

use crate::model::key::KEY_LEN_MAX;
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// The format's version, the first byte of every queued write.
const VERSION: u8 = 1;
const FLAG_DELETE: u8 = 1;
/// The bytes beside key and payload.
pub const OVERHEAD: usize = 1 + 1 + 1 + 4 + 2 + 4 + 4;

/// A write whose value is encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedWrite {
    /// The codec's id.
    pub codec: u8,
    /// The codec's fingerprint of the type.
    pub fingerprint: u32,
    /// The key.
    pub key: Bytes,
    /// The encoded value; `None` deletes the key.
    pub value: Option<Bytes>,
}

/// The bytes of a write.
pub fn seal(write: &QueuedWrite) -> Bytes {
    let payload = write.value.as_deref().unwrap_or_default();
    let mut out = BytesMut::with_capacity(OVERHEAD + write.key.len() + payload.len());
    out.put_u8(VERSION);
    out.put_u8(write.codec);
    out.put_u8(if write.value.is_none() {
        FLAG_DELETE
    } else {
        0
    });
    out.put_u32(write.fingerprint);
    out.put_u16(write.key.len() as u16);
    out.put_slice(&write.key);
    out.put_u32(payload.len() as u32);
    let sum = checksum(&out, payload);
    out.put_u32(sum);
    out.put_slice(payload);
    out.freeze()
}

/// Reads a write; key and payload are slices of `bytes`, not copies. `None` for what is
/// not one.
pub fn open(bytes: &Bytes) -> Option<QueuedWrite> {
    let mut rest = bytes.clone();
    if rest.try_get_u8().ok()? != VERSION {
        return None;
    }
    let codec = rest.try_get_u8().ok()?;
    let flags = rest.try_get_u8().ok()?;
    let fingerprint = rest.try_get_u32().ok()?;
    let key_len = usize::from(rest.try_get_u16().ok()?);
    if !(1..=KEY_LEN_MAX).contains(&key_len) || rest.len() < key_len {
        return None;
    }
    let key = rest.split_to(key_len);
    let payload_len = rest.try_get_u32().ok()? as usize;
    let summed = bytes.len() - rest.len();
    let sum = rest.try_get_u32().ok()?;
    if rest.len() != payload_len || checksum(&bytes[..summed], &rest) != sum {
        return None;
    }
    Some(QueuedWrite {
        codec,
        fingerprint,
        key,
        value: (flags & FLAG_DELETE == 0).then_some(rest),
    })
}

fn checksum(head: &[u8], payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(head);
    crc.update(payload);
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn write() -> QueuedWrite {
        QueuedWrite {
            codec: 1,
            fingerprint: 0xabcd,
            key: Bytes::from_static(b"user:7"),
            value: Some(Bytes::from_static(b"Ada")),
        }
    }

    #[test]
    fn a_queued_write_is_read_back_and_so_is_a_delete() {
        assert_eq!(open(&seal(&write())), Some(write()));
        let delete = QueuedWrite {
            value: None,
            ..write()
        };
        assert_eq!(open(&seal(&delete)), Some(delete));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_a_queued_write_is_noticed() {
        let sealed = seal(&write());
        for at in 0..sealed.len() {
            assert_eq!(open(&sealed.slice(..at)), None, "cut at {at}");
            for bit in 0..8 {
                let mut broken = sealed.to_vec();
                broken[at] ^= 1 << bit;
                assert_eq!(open(&broken.into()), None, "bit {bit} of byte {at}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = open(&bytes.clone().into());
            if let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            let _ = open(&bytes.into());
        }
    }
}
