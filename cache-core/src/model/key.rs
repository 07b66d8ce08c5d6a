//! Names of caches, keys, and where a key's record lives in L2.

use crate::error::{Error, Kind};
use crate::model::tag::Tag;
use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The longest key, in bytes.
pub const KEY_LEN_MAX: usize = 512;
/// The longest name of a cache or a domain, in bytes.
pub const NAME_LEN_MAX: usize = 64;
/// The number of buckets that the keys of a domain are hashed into.
///
/// Fixed for all deployments: a bucket costs one small watermark in L2 and one
/// write a heartbeat, and 256 spread evenly over any sensible cluster.
pub const BUCKETS: usize = 256;
/// The number of fence stripes; a multiple of [`BUCKETS`], so that one bucket's
/// stripes are contiguous.
pub const STRIPES: usize = 65_536;
const _: () =
    assert!(STRIPES.is_power_of_two() && BUCKETS == 256 && STRIPES.is_multiple_of(BUCKETS));

/// The name of a cache or of a domain: 1 to 64 of `a-z 0-9 _ - .`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(Arc<str>);

impl Name {
    /// Checks the text.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for other characters or lengths.
    pub fn new(text: impl AsRef<str>) -> Result<Self, Error> {
        let text = text.as_ref();
        let fits = (1..=NAME_LEN_MAX).contains(&text.len());
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-.".contains(&b);
        if fits && text.bytes().all(plain) {
            return Ok(Self(text.into()));
        }
        Err(Error::new(Kind::Invalid, "reading a name", text)
            .hint("a name has 1 to 64 characters of a-z 0-9 _ - ."))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Names are looked up by texts that nobody has checked.
impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({})", self.0)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A key within its cache: 1 to 512 bytes of any kind.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key<'a>(&'a [u8]);

impl<'a> Key<'a> {
    /// Checks the bytes.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for an empty or over-long key.
    pub fn new(bytes: &'a [u8]) -> Result<Self, Error> {
        if (1..=KEY_LEN_MAX).contains(&bytes.len()) {
            return Ok(Self(bytes));
        }
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(32)]).into_owned();
        Err(
            Error::new(Kind::Invalid, "reading a key", shown).hint(format!(
                "a key has 1 to {KEY_LEN_MAX} bytes, this one has {}",
                bytes.len()
            )),
        )
    }

    /// The bytes.
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }
}

impl fmt::Debug for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.0.escape_ascii())
    }
}

/// The stable 64-bit hash of a key (or a tag) and its cache: xxh3, the same in
/// every process, because its upper bits choose the bucket and the fence stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyHash(pub u64);

impl KeyHash {
    /// The bucket: the upper 8 bits.
    pub fn bucket(self) -> Bucket {
        Bucket((self.0 >> 56) as u8)
    }

    /// The fence stripe: the upper 16 bits, so a bucket owns 256 neighbours.
    pub fn stripe(self) -> usize {
        (self.0 >> 48) as usize
    }
}

/// One of the [`BUCKETS`] parts of a domain. Its records and its watermark share
/// a Redis hash tag, so that one script may touch both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bucket(pub u8);

impl Bucket {
    /// All buckets in order.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..=u8::MAX).map(Self)
    }

    /// The place in an array of [`BUCKETS`].
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// Makes hashes and L2 addresses for the keys of one cache.
#[derive(Clone, Debug)]
pub struct KeySpace {
    domain: Name,
    cache: Name,
    seed: u64,
}

impl KeySpace {
    /// The key space of `cache` in `domain`.
    pub fn new(domain: Name, cache: Name) -> Self {
        let seed = xxh3_64(cache.as_str().as_bytes());
        Self {
            domain,
            cache,
            seed,
        }
    }

    /// The cache's name.
    pub fn cache(&self) -> &Name {
        &self.cache
    }

    /// The stable hash of a key.
    pub fn hash(&self, key: Key<'_>) -> KeyHash {
        KeyHash(xxh3_64_with_seed(key.bytes(), self.seed))
    }

    /// The stable hash of a tag. Its seed differs from the keys', so that a tag
    /// and a key of the same text do not share a stripe.
    pub fn tag_hash(&self, tag: &Tag) -> KeyHash {
        KeyHash(xxh3_64_with_seed(tag.as_str().as_bytes(), !self.seed))
    }

    /// Where the record of a key lives.
    pub fn address(&self, key: Key<'_>) -> Address {
        self.locate(self.hash(key), b'k', key.bytes())
    }

    /// Where the floor of a tag lives.
    pub fn tag_address(&self, tag: &Tag) -> Address {
        self.locate(self.tag_hash(tag), b't', tag.as_str().as_bytes())
    }

    fn locate(&self, hash: KeyHash, kind: u8, rest: &[u8]) -> Address {
        let mut record = Address::tagged(&self.domain, hash.bucket());
        record.push(kind);
        record.push(b'/');
        record.extend_from_slice(self.cache.as_str().as_bytes());
        record.push(b'/');
        record.extend_from_slice(rest);
        Address {
            bucket: hash.bucket(),
            record: record.into(),
        }
    }
}

/// Where one record lives in L2: its full key, and its bucket.
///
/// The layout `{domain:bb}1/k/cache/key` carries the version of the record
/// format, so that two releases in one Redis cannot misread each other.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// The bucket that guards the record.
    pub bucket: Bucket,
    /// The full key in L2.
    pub record: Arc<[u8]>,
}

impl Address {
    /// The key of a bucket's watermark.
    pub fn watermark(domain: &Name, bucket: Bucket) -> Vec<u8> {
        let mut key = Self::tagged(domain, bucket);
        key.extend_from_slice(b"wm");
        key
    }

    /// The key of the domain's fixed terms, and the bucket it lives in.
    pub fn terms(domain: &Name) -> (Bucket, Vec<u8>) {
        let mut key = Self::tagged(domain, Bucket(0));
        key.extend_from_slice(b"terms");
        (Bucket(0), key)
    }

    fn tagged(domain: &Name, bucket: Bucket) -> Vec<u8> {
        format!("{{{domain}:{:02x}}}1/", bucket.0).into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_limits() {
        assert!(Key::new(b"").is_err());
        assert!(Key::new(&[b'x'; KEY_LEN_MAX]).is_ok());
        let long = Key::new(&[b'x'; KEY_LEN_MAX + 1]).unwrap_err();
        assert_eq!(long.kind(), Kind::Invalid);
        assert!(long.to_string().contains("1 to 512 bytes"), "{long}");
    }

    #[test]
    fn name_limits() {
        for bad in ["", "Users", "a b", "a/b", "{x}", &"n".repeat(65)] {
            assert!(Name::new(bad).is_err(), "{bad}");
        }
        assert!(Name::new("users.v-2_x").is_ok());
    }

    #[test]
    fn a_record_and_its_watermark_share_a_hash_tag() {
        let domain = Name::new("main").unwrap();
        let space = KeySpace::new(domain.clone(), Name::new("users").unwrap());
        let address = space.address(Key::new(b"user:7").unwrap());
        let watermark = Address::watermark(&domain, address.bucket);
        let tag_end = watermark.iter().position(|&b| b == b'}').unwrap();
        assert_eq!(address.record[..=tag_end], watermark[..=tag_end]);
    }

    #[test]
    fn the_layout_in_l2_is_fixed() {
        let space = KeySpace::new(Name::new("main").unwrap(), Name::new("users").unwrap());
        let address = space.address(Key::new(b"user:7").unwrap());
        let text = String::from_utf8(address.record.to_vec()).unwrap();
        assert_eq!(
            text,
            format!("{{main:{:02x}}}1/k/users/user:7", address.bucket.0)
        );
    }
}
