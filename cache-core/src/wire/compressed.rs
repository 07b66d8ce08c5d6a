//! Compression behind any codec, for values that are worth it.

use crate::wire::codec::{Codec, CodecError, DECODE_BYTES_MAX};
use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

/// From how many encoded bytes on a value is compressed: 1 KiB.
pub const COMPRESS_FROM: usize = 1024;

/// Added to the id of the codec within.
const ID: u8 = 64;
/// Mixed into the fingerprint of the codec within.
const FORMAT: &[u8] = b"compressed 1";

const PLAIN: u8 = 0;
#[cfg(feature = "lz4")]
const LZ4: u8 = 1;
#[cfg(feature = "zstd")]
const ZSTD: u8 = 2;
/// The method and the length before compression.
const HEAD: usize = 5;

/// A codec whose encoded values are compressed, from [`COMPRESS_FROM`] bytes on and where
/// that makes them smaller.
///
/// Its id and fingerprint differ from those of the codec within: processes with it and
/// without it miss each other's entries. The method is in each value: those with LZ4 and
/// those with zstd read each other, if both features are on.
#[derive(Clone, Copy, Debug)]
pub struct Compressed<C> {
    codec: C,
    method: Method,
    from: usize,
}

#[derive(Clone, Copy, Debug)]
enum Method {
    #[cfg(feature = "lz4")]
    Lz4,
    #[cfg(feature = "zstd")]
    Zstd(i32),
}

impl<C> Compressed<C> {
    /// LZ4: hardly slower than none, for values that are read from L2 often.
    #[cfg(feature = "lz4")]
    pub fn lz4(codec: C) -> Self {
        Self::new(codec, Method::Lz4)
    }

    /// zstd: smaller, and slower. The level is from 1, the fastest, to 19; 3 is its own
    /// default. A level beyond is the nearest.
    #[cfg(feature = "zstd")]
    pub fn zstd(codec: C, level: i32) -> Self {
        Self::new(codec, Method::Zstd(level.clamp(1, 19)))
    }

    fn new(codec: C, method: Method) -> Self {
        Self {
            codec,
            method,
            from: COMPRESS_FROM,
        }
    }

    /// The same, compressing from so many encoded bytes on.
    #[must_use]
    pub fn from_bytes(self, from: usize) -> Self {
        Self { from, ..self }
    }

    /// The compressed form with its head; nothing if it is not smaller, or longer than a
    /// reader would unpack.
    fn compress(&self, plain: &[u8]) -> Result<Option<Bytes>, CodecError> {
        if plain.len() < self.from || plain.len() > DECODE_BYTES_MAX {
            return Ok(None);
        }
        let (method, packed) = match self.method {
            #[cfg(feature = "lz4")]
            Method::Lz4 => (LZ4, lz4_flex::block::compress(plain)),
            #[cfg(feature = "zstd")]
            Method::Zstd(level) => {
                let packed = zstd::bulk::compress(plain, level);
                (ZSTD, packed.map_err(|error| CodecError(error.to_string()))?)
            }
        };
        if HEAD + packed.len() > plain.len() {
            return Ok(None);
        }
        let length = u32::try_from(plain.len()).map_err(|error| CodecError(error.to_string()))?;
        let mut bytes = Vec::with_capacity(HEAD + packed.len());
        bytes.push(method);
        bytes.extend(length.to_le_bytes());
        bytes.extend(packed);
        Ok(Some(bytes.into()))
    }
}

/// What a value is packed into.
enum Packed<'a> {
    Plain,
    By(u8, usize, &'a [u8]),
}

fn open(bytes: &[u8]) -> Option<Packed<'_>> {
    let (method, rest) = bytes.split_first()?;
    if *method == PLAIN {
        return Some(Packed::Plain);
    }
    let (length, packed) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    Some(Packed::By(*method, length, packed))
}

/// Unpacks to exactly so many bytes; what would be more is refused before it is there.
fn unpack(method: u8, length: usize, packed: &[u8]) -> Result<Bytes, CodecError> {
    if length > DECODE_BYTES_MAX {
        return Err(CodecError(format!("it unpacks to {length} bytes")));
    }
    let plain: Result<Vec<u8>, String> = match method {
        #[cfg(feature = "lz4")]
        LZ4 => lz4_flex::block::decompress(packed, length).map_err(|error| error.to_string()),
        #[cfg(feature = "zstd")]
        ZSTD => zstd::bulk::decompress(packed, length).map_err(|error| error.to_string()),
        other => Err(format!("there is no method {other} in this process")),
    };
    let plain = plain.map_err(CodecError)?;
    match plain.len() == length {
        true => Ok(plain.into()),
        false => Err(CodecError(format!(
            "{} bytes instead of {length}",
            plain.len()
        ))),
    }
}

impl<V, C: Codec<V>> Codec<V> for Compressed<C> {
    fn id(&self) -> u8 {
        self.codec.id() ^ ID
    }

    fn fingerprint(&self) -> u32 {
        let within = self.codec.fingerprint().to_le_bytes();
        xxh3_64(&[FORMAT, &within].concat()) as u32
    }

    fn encode(&self, value: &V) -> Result<Bytes, CodecError> {
        let plain = self.codec.encode(value)?;
        if let Some(bytes) = self.compress(&plain)? {
            return Ok(bytes);
        }
        Ok([&[PLAIN], &plain[..]].concat().into())
    }

    fn decode(&self, bytes: &Bytes) -> Result<V, CodecError> {
        match open(bytes) {
            None => Err(CodecError("it has no head".to_owned())),
            Some(Packed::Plain) => self.codec.decode(&bytes.slice(1..)),
            Some(Packed::By(method, length, packed)) => {
                self.codec.decode(&unpack(method, length, packed)?)
            }
        }
    }

    fn size(&self, bytes: &Bytes) -> usize {
        match open(bytes) {
            Some(Packed::By(_, length, _)) => length,
            Some(Packed::Plain) | None => bytes.len(),
        }
    }
}

#[cfg(all(test, feature = "lz4", feature = "zstd"))]
mod tests {
    use super::*;
    use crate::wire::codec::{Bincode, Raw};
    use proptest::prelude::*;

    fn all(from: usize) -> [Compressed<Raw>; 2] {
        [Compressed::lz4(Raw), Compressed::zstd(Raw, 3)].map(|codec| codec.from_bytes(from))
    }

    fn text(length: usize) -> Bytes {
        b"what is said again "
            .iter()
            .copied()
            .cycle()
            .take(length)
            .collect()
    }

    #[test]
    fn only_what_is_large_and_becomes_smaller_is_compressed() {
        for codec in all(COMPRESS_FROM) {
            let length = |value: &Bytes| codec.encode(value).unwrap().len();
            assert_eq!(length(&text(COMPRESS_FROM - 1)), COMPRESS_FROM);
            assert!(length(&text(COMPRESS_FROM)) < 100);
            let noise: Vec<u8> = (0..4_096_u32)
                .flat_map(|n| xxh3_64(&n.to_le_bytes()).to_le_bytes())
                .collect();
            assert_eq!(length(&noise.clone().into()), noise.len() + 1);
            assert_eq!(codec.encode(&noise.clone().into()).unwrap()[0], PLAIN);
        }
    }

    #[test]
    fn what_would_unpack_to_more_than_is_allowed_is_refused() {
        let huge = vec![0; DECODE_BYTES_MAX + 1];
        for (method, packed) in [
            (LZ4, lz4_flex::block::compress(&huge)),
            (ZSTD, zstd::bulk::compress(&huge, 3).unwrap()),
        ] {
            for claimed in [huge.len(), u32::MAX as usize, DECODE_BYTES_MAX, 10] {
                let head = (claimed as u32).to_le_bytes();
                let bytes = [&[method], &head[..], &packed].concat();
                let decoded: Result<Bytes, _> = all(0)[0].decode(&bytes.into());
                assert!(decoded.is_err(), "{method}, {claimed} bytes claimed");
            }
        }
        // Nobody would read it, so it is not packed.
        assert_eq!(all(0)[0].encode(&huge.into()).unwrap()[0], PLAIN);
    }

    #[test]
    fn a_process_without_compression_misses_and_reads_no_garbage() {
        let plain: &dyn Codec<String> = &Bincode::default();
        let packed: &dyn Codec<String> = &Compressed::lz4(Bincode::default());
        let raised: &dyn Codec<String> = &Compressed::lz4(Bincode { schema: 1 });
        assert_ne!(plain.id(), packed.id());
        assert_ne!(plain.fingerprint(), packed.fingerprint());
        assert_ne!(raised.fingerprint(), packed.fingerprint());
    }

    #[test]
    fn a_value_counts_in_l1_as_what_it_unpacks_to() {
        for codec in all(COMPRESS_FROM) {
            let bytes = codec.encode(&text(100_000)).unwrap();
            assert!(bytes.len() < 1_000);
            assert_eq!(Codec::<Bytes>::size(&codec, &bytes), 100_000);
        }
    }

    proptest! {
        #[test]
        fn both_methods_read_what_either_wrote_and_refuse_half_of_it(
            part in prop::collection::vec(any::<u8>(), 0..60),
            times in 1..60_usize,
            from in 0..200_usize,
        ) {
            let value = Bytes::from(part.repeat(times));
            for codec in all(from) {
                let bytes = codec.encode(&value).unwrap();
                for other in all(from) {
                    let decoded: Bytes = other.decode(&bytes).unwrap();
                    prop_assert_eq!(&decoded, &value);
                }
                if bytes[0] != PLAIN {
                    for cut in 0..bytes.len() {
                        let half: Result<Bytes, _> = codec.decode(&bytes.slice(..cut));
                        prop_assert!(half.is_err());
                    }
                }
            }
        }

        #[test]
        fn garbage_is_refused_or_read_and_never_panics(
            method in 0..4_u8,
            length in 0..2_000_u32,
            rest in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let bytes = [&[method], &length.to_le_bytes()[..], &rest].concat();
            let codec = Compressed::zstd(Bincode::default(), 3);
            let _: Result<String, _> = codec.decode(&bytes.clone().into());
            let _: Result<String, _> = codec.decode(&bytes[..bytes.len().min(4)].to_vec().into());
        }
    }
}
