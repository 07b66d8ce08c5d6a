//! How a value becomes bytes: the seam, bincode by default, raw bytes for the agent.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use xxhash_rust::xxh3::xxh3_64;

/// The most bytes a decoder may claim: above every value limit, and far below
/// what a hostile length prefix would ask for.
pub const DECODE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Turns values into bytes and back.
///
/// An id and a fingerprint go into the envelope: bytes written by another codec
/// or for another type count as a miss, never as a wrong value.
pub trait Codec<V>: Send + Sync + fmt::Debug + 'static {
    /// The codec's number in the envelope; below 128 is this crate's.
    fn id(&self) -> u8;

    /// A number that changes with the shape of `V`.
    fn fingerprint(&self) -> u32;

    /// The bytes of a value.
    ///
    /// # Errors
    /// What the serializer says.
    fn encode(&self, value: &V) -> Result<Bytes, CodecError>;

    /// The value, if the bytes are all of exactly one.
    ///
    /// # Errors
    /// What the deserializer says; the caller counts it and takes it as a miss.
    fn decode(&self, bytes: &Bytes) -> Result<V, CodecError>;

    /// What a value of these bytes counts in L1, in bytes.
    fn size(&self, bytes: &Bytes) -> usize {
        bytes.len()
    }
}

/// Why a codec refused.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CodecError(pub String);

impl CodecError {
    fn from(cause: impl fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

/// The fingerprint of a type: its name, and a version that its owner raises when
/// the fields change. A serde format without field names would otherwise read
/// swapped fields of one type silently wrong.
fn fingerprint_of<V>(schema: u16) -> u32 {
    let name = std::any::type_name::<V>();
    xxh3_64(format!("{name}#{schema}").as_bytes()) as u32
}

/// bincode 2 with a limit: compact, the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bincode {
    /// Raise it when the fields of the type change.
    pub schema: u16,
}

impl<V: Serialize + DeserializeOwned + 'static> Codec<V> for Bincode {
    fn id(&self) -> u8 {
        1
    }

    fn fingerprint(&self) -> u32 {
        fingerprint_of::<V>(self.schema)
    }

    fn encode(&self, value: &V) -> Result<Bytes, CodecError> {
        let config = bincode::config::standard().with_limit::<DECODE_BYTES_MAX>();
        let bytes = bincode::serde::encode_to_vec(value, config);
        bytes.map(Bytes::from).map_err(CodecError::from)
    }

    fn decode(&self, bytes: &Bytes) -> Result<V, CodecError> {
        let config = bincode::config::standard().with_limit::<DECODE_BYTES_MAX>();
        let (value, used) =
            bincode::serde::decode_from_slice(bytes, config).map_err(CodecError::from)?;
        if used == bytes.len() {
            Ok(value)
        } else {
            Err(CodecError(format!("{} bytes too many", bytes.len() - used)))
        }
    }
}

/// The bytes as they are, without a copy: for values that somebody else encoded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Raw;

impl Codec<Bytes> for Raw {
    fn id(&self) -> u8 {
        0
    }

    fn fingerprint(&self) -> u32 {
        0
    }

    fn encode(&self, value: &Bytes) -> Result<Bytes, CodecError> {
        Ok(value.clone())
    }

    fn decode(&self, bytes: &Bytes) -> Result<Bytes, CodecError> {
        Ok(bytes.clone())
    }
}

/// Implements a serde codec that names its fields or checks its own end.
#[cfg(any(feature = "json", feature = "messagepack", feature = "postcard"))]
macro_rules! serde_codec {
    ($(#[$doc:meta])* $feature:literal, $name:ident, $id:literal, $encode:expr, $decode:expr) => {
        $(#[$doc])*
        #[cfg(feature = $feature)]
        #[derive(Clone, Copy, Debug, Default)]
        pub struct $name {
            /// Raise it when the fields of the type change.
            pub schema: u16,
        }

        #[cfg(feature = $feature)]
        impl<V: Serialize + DeserializeOwned + 'static> Codec<V> for $name {
            fn id(&self) -> u8 {
                $id
            }

            fn fingerprint(&self) -> u32 {
                fingerprint_of::<V>(self.schema)
            }

            fn encode(&self, value: &V) -> Result<Bytes, CodecError> {
                $encode(value).map(Bytes::from).map_err(CodecError::from)
            }

            fn decode(&self, bytes: &Bytes) -> Result<V, CodecError> {
                $decode(bytes).map_err(CodecError::from)
            }
        }
    };
}

#[cfg(feature = "json")]
serde_codec!(
    /// JSON, for people and other languages.
    "json", Json, 2, serde_json::to_vec, serde_json::from_slice
);
#[cfg(feature = "messagepack")]
serde_codec!(
    /// MessagePack with field names: survives added fields.
    "messagepack", MessagePack, 3, rmp_serde::to_vec_named, rmp_serde::from_slice
);
#[cfg(feature = "postcard")]
serde_codec!(
    /// postcard: as compact as bincode, with a specified format.
    "postcard", Postcard, 4, postcard::to_stdvec, postcard::from_bytes
);

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct User {
        id: u64,
        name: String,
    }

    fn user() -> User {
        User {
            id: 7,
            name: "Ada".into(),
        }
    }

    fn round_trip(codec: &dyn Codec<User>) {
        let bytes = codec.encode(&user()).unwrap();
        assert_eq!(codec.decode(&bytes).unwrap(), user());
        assert!(codec.decode(&bytes.slice(..bytes.len() - 1)).is_err());
    }

    #[test]
    fn every_codec_reads_what_it_wrote_and_refuses_half_of_it() {
        round_trip(&Bincode::default());
        #[cfg(feature = "json")]
        round_trip(&Json::default());
        #[cfg(feature = "messagepack")]
        round_trip(&MessagePack::default());
        #[cfg(feature = "postcard")]
        round_trip(&Postcard::default());
    }

    #[test]
    fn a_hostile_length_is_refused_before_anything_is_allocated() {
        let claim: Bytes = vec![253, 0, 0, 0, 0, 0, 1, 0, 0].into();
        let codec: &dyn Codec<String> = &Bincode::default();
        assert!(codec.decode(&claim).is_err());
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let codec: &dyn Codec<User> = &Bincode::default();
        let bytes = [&codec.encode(&user()).unwrap()[..], b"x"].concat();
        assert!(codec.decode(&bytes.into()).is_err());
    }

    #[test]
    fn the_fingerprint_tells_types_and_schemas_apart() {
        let of_user = Codec::<User>::fingerprint(&Bincode::default());
        let of_string = Codec::<String>::fingerprint(&Bincode::default());
        let raised = Codec::<User>::fingerprint(&Bincode { schema: 1 });
        assert_ne!(of_user, of_string);
        assert_ne!(of_user, raised);
    }
}
