//! Which command it is, and what it is about.

use super::args::{Args, capitals};
use super::refusal::Refusal;
use super::talk::Talk;
use bytes::Bytes;
use std::time::Duration;

/// The most keys of one command, as of a batch over gRPC.
pub const KEYS_MAX: usize = 1_000;

/// What a client asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Something about keys.
    Data(Data),
    /// Something about the connection.
    Talk(Talk),
}

/// A key and its cache, as one word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    word: Bytes,
    colon: usize,
}

impl Place {
    /// The cache.
    pub fn cache(&self) -> &str {
        // What is no text names no cache that there is.
        std::str::from_utf8(&self.word[..self.colon]).unwrap_or_default()
    }

    /// The key within it.
    pub fn key(&self) -> Bytes {
        self.word.slice(self.colon + 1..)
    }
}

/// What is asked about keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// `GET`.
    Get(Place),
    /// `MGET`.
    GetMany(Vec<Place>),
    /// `EXISTS`.
    Exists(Vec<Place>),
    /// `TTL` and `PTTL`; how long one unit is, in milliseconds.
    Ttl(Place, u64),
    /// `SET` and its older forms.
    Set(Set),
    /// `DEL` and `UNLINK`.
    Delete(Vec<Place>),
    /// `EXPIRE` and `PEXPIRE`.
    Expire(Place, Duration),
    /// `CACHE.GETL`: a value, or a lease; how long to wait for another's load.
    Lease(Place, Option<Duration>),
    /// `CACHE.FILL`: what was loaded under a lease.
    Fill(Fill),
    /// `CACHE.RELEASE`: nothing was loaded.
    Release(Place, Bytes),
    /// `CACHE.INVALIDATE`: keys, tags, or all of a cache.
    Invalidate(Invalidate),
}

/// A value without a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    /// Where.
    pub place: Place,
    /// What.
    pub value: Bytes,
    /// When it ends, if not as the cache's policy says.
    pub expiry: Option<Expiry>,
    /// Only if there is none.
    pub if_absent: bool,
    /// How success and a condition that does not hold are answered: `SETNX` has numbers.
    pub counts: bool,
}

/// When a value ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expiry {
    /// After so long.
    In(Duration),
    /// At this time, in milliseconds since the epoch.
    At(u64),
}

/// What was loaded under a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fill {
    /// Where.
    pub place: Place,
    /// The lease.
    pub token: Bytes,
    /// The value; none if the source has none.
    pub value: Option<Bytes>,
    /// How long it lives, if not as the cache's policy says.
    pub ttl: Option<Duration>,
    /// Its tags.
    pub tags: Vec<String>,
}

/// What is invalid.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Invalidate {
    /// The cache.
    pub cache: String,
    /// Keys.
    pub keys: Vec<Bytes>,
    /// Tags.
    pub tags: Vec<String>,
    /// All of it.
    pub all: bool,
}

impl Command {
    /// Reads a command; `words` has at least its name.
    ///
    /// # Errors
    /// Why it is refused; the connection goes on.
    pub fn read(words: &[Bytes]) -> Result<Self, Refusal> {
        let Some((name, rest)) = words.split_first() else {
            return Err(Refusal::Syntax);
        };
        let (name, length) = capitals(name);
        if let Some(data) = data(&name[..length], rest)? {
            return Ok(Self::Data(data));
        }
        let talk = Talk::read(&name[..length], rest)?;
        let unknown = || Refusal::Unknown(words.to_vec());
        talk.map(Self::Talk).ok_or_else(unknown)
    }

    /// Whether it changes nothing, so that the next one need not wait for it.
    pub fn only_reads(&self) -> bool {
        matches!(
            self,
            Self::Data(Data::Get(_) | Data::GetMany(_) | Data::Exists(_) | Data::Ttl(..))
        )
    }

    /// The method of the API that does the same, and the caches that it is about.
    pub fn asks_for(&self) -> Option<(&'static str, Vec<&str>)> {
        let Self::Data(data) = self else { return None };
        Some(match data {
            Data::Get(place) | Data::Ttl(place, _) | Data::Lease(place, _) => {
                ("Get", vec![place.cache()])
            }
            Data::GetMany(places) | Data::Exists(places) => ("Get", caches(places)),
            Data::Set(set) => ("Set", vec![set.place.cache()]),
            Data::Delete(places) => ("Delete", caches(places)),
            Data::Expire(place, _) => ("Touch", vec![place.cache()]),
            Data::Fill(fill) => ("Fill", vec![fill.place.cache()]),
            Data::Release(place, _) => ("ReleaseLease", vec![place.cache()]),
            Data::Invalidate(all) => ("Invalidate", vec![&all.cache]),
        })
    }

    /// Its name, for counting.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Data(Data::Get(_)) => "get",
            Self::Data(Data::GetMany(_)) => "mget",
            Self::Data(Data::Exists(_)) => "exists",
            Self::Data(Data::Ttl(..)) => "ttl",
            Self::Data(Data::Set(_)) => "set",
            Self::Data(Data::Delete(_)) => "del",
            Self::Data(Data::Expire(..)) => "expire",
            Self::Data(Data::Lease(..)) => "cache.getl",
            Self::Data(Data::Fill(_)) => "cache.fill",
            Self::Data(Data::Release(..)) => "cache.release",
            Self::Data(Data::Invalidate(_)) => "cache.invalidate",
            Self::Talk(_) => "connection",
        }
    }
}

fn caches(places: &[Place]) -> Vec<&str> {
    places.iter().map(Place::cache).collect()
}

fn data(name: &[u8], rest: &[Bytes]) -> Result<Option<Data>, Refusal> {
    let args = |command| Args::new(command, rest);
    Ok(Some(match name {
        b"GET" => Data::Get(only_key(args("get"))?),
        b"MGET" => Data::GetMany(keys(args("mget"))?),
        b"EXISTS" => Data::Exists(keys(args("exists"))?),
        b"TTL" => Data::Ttl(only_key(args("ttl"))?, 1_000),
        b"PTTL" => Data::Ttl(only_key(args("pttl"))?, 1),
        b"DEL" => Data::Delete(keys(args("del"))?),
        b"UNLINK" => Data::Delete(keys(args("unlink"))?),
        b"SET" => Data::Set(set(args("set"))?),
        b"SETEX" => Data::Set(set_for(args("setex"), 1_000)?),
        b"PSETEX" => Data::Set(set_for(args("psetex"), 1)?),
        b"SETNX" => Data::Set(set_if_absent(args("setnx"))?),
        b"EXPIRE" => expire(args("expire"), 1_000)?,
        b"PEXPIRE" => expire(args("pexpire"), 1)?,
        b"CACHE.GETL" => lease(args("cache.getl"))?,
        b"CACHE.FILL" => Data::Fill(fill(args("cache.fill"))?),
        b"CACHE.RELEASE" => release(args("cache.release"))?,
        b"CACHE.INVALIDATE" => Data::Invalidate(invalidate(args("cache.invalidate"))?),
        _ => return Ok(None),
    }))
}

fn place(word: Bytes) -> Result<Place, Refusal> {
    // Whether there is such a cache is asked where the caches are.
    match word.iter().position(|byte| *byte == b':') {
        Some(colon) => Ok(Place { word, colon }),
        None => Err(Refusal::NoCache(word)),
    }
}

fn only_key(mut args: Args<'_>) -> Result<Place, Refusal> {
    let key = args.word()?;
    args.end()?;
    place(key)
}

fn keys(mut args: Args<'_>) -> Result<Vec<Place>, Refusal> {
    let words = args.some()?;
    if words.len() > KEYS_MAX {
        return Err(Refusal::Unsupported("more than 1000 keys in one command"));
    }
    words.into_iter().map(place).collect()
}

fn set(mut args: Args<'_>) -> Result<Set, Refusal> {
    let mut set = Set {
        place: place(args.word()?)?,
        value: args.word()?,
        expiry: None,
        if_absent: false,
        counts: false,
    };
    while let Some(option) = args.opt() {
        let (option, length) = capitals(&option);
        let expiry = match &option[..length] {
            b"NX" => {
                set.if_absent = true;
                continue;
            }
            b"EX" => Expiry::In(span(&mut args, 1_000)?),
            b"PX" => Expiry::In(span(&mut args, 1)?),
            b"EXAT" => Expiry::At(positive(&mut args, 1_000)?),
            b"PXAT" => Expiry::At(positive(&mut args, 1)?),
            b"XX" => return Err(Refusal::Unsupported("SET … XX is not supported")),
            b"GET" => return Err(Refusal::Unsupported("SET … GET is not supported")),
            b"KEEPTTL" => return Err(Refusal::Unsupported("SET … KEEPTTL is not supported")),
            _ => return Err(Refusal::Syntax),
        };
        if set.expiry.replace(expiry).is_some() {
            return Err(Refusal::Syntax);
        }
    }
    Ok(set)
}

fn set_for(mut args: Args<'_>, unit: u64) -> Result<Set, Refusal> {
    let place = place(args.word()?)?;
    let expiry = Some(Expiry::In(span(&mut args, unit)?));
    let value = args.word()?;
    args.end()?;
    Ok(Set {
        place,
        value,
        expiry,
        if_absent: false,
        counts: false,
    })
}

fn set_if_absent(mut args: Args<'_>) -> Result<Set, Refusal> {
    let (place, value) = (place(args.word()?)?, args.word()?);
    args.end()?;
    Ok(Set {
        place,
        value,
        expiry: None,
        if_absent: true,
        counts: true,
    })
}

fn expire(mut args: Args<'_>, unit: u64) -> Result<Data, Refusal> {
    let place = place(args.word()?)?;
    let span = span(&mut args, unit)?;
    match args.opt() {
        None => Ok(Data::Expire(place, span)),
        Some(_) => Err(Refusal::Unsupported(
            "conditions of EXPIRE are not supported",
        )),
    }
}

fn lease(mut args: Args<'_>) -> Result<Data, Refusal> {
    let place = place(args.word()?)?;
    let wait = match args.opt() {
        None => None,
        Some(option) if option.eq_ignore_ascii_case(b"wait") => {
            let wait = u64::try_from(args.number()?).map_err(|_| Refusal::NotANumber)?;
            Some(Duration::from_millis(wait))
        }
        Some(_) => return Err(Refusal::Syntax),
    };
    args.end()?;
    Ok(Data::Lease(place, wait))
}

fn fill(mut args: Args<'_>) -> Result<Fill, Refusal> {
    let mut fill = Fill {
        place: place(args.word()?)?,
        token: args.word()?,
        value: Some(args.word()?),
        ttl: None,
        tags: Vec::new(),
    };
    while let Some(option) = args.opt() {
        let (option, length) = capitals(&option);
        match &option[..length] {
            b"EX" => fill.ttl = Some(span(&mut args, 1_000)?),
            b"PX" => fill.ttl = Some(span(&mut args, 1)?),
            b"TAG" => fill.tags.push(text(args.word()?)?),
            // The value is there to keep the words in order, and says nothing.
            b"ABSENT" => fill.value = None,
            _ => return Err(Refusal::Syntax),
        }
    }
    Ok(fill)
}

fn release(mut args: Args<'_>) -> Result<Data, Refusal> {
    let release = Data::Release(place(args.word()?)?, args.word()?);
    args.end()?;
    Ok(release)
}

fn invalidate(mut args: Args<'_>) -> Result<Invalidate, Refusal> {
    let mut all = Invalidate {
        cache: text(args.word()?)?,
        ..Invalidate::default()
    };
    let mut option = args.opt();
    if option.is_none() {
        return Err(Refusal::Arity(args.command()));
    }
    while let Some(word) = option {
        let (word, length) = capitals(&word);
        match &word[..length] {
            b"KEY" => all.keys.push(args.word()?),
            b"TAG" => all.tags.push(text(args.word()?)?),
            b"ALL" => all.all = true,
            _ => return Err(Refusal::Syntax),
        }
        option = args.opt();
    }
    Ok(all)
}

fn text(word: Bytes) -> Result<String, Refusal> {
    String::from_utf8(word.to_vec()).map_err(|_| Refusal::Syntax)
}

/// A length of time above zero, in milliseconds of `unit`.
fn span(args: &mut Args<'_>, unit: u64) -> Result<Duration, Refusal> {
    positive(args, unit).map(Duration::from_millis)
}

fn positive(args: &mut Args<'_>, unit: u64) -> Result<u64, Refusal> {
    let bad = || Refusal::BadExpiry(args.command());
    let bad = bad();
    let number = u64::try_from(args.number()?).ok().filter(|n| *n > 0);
    number.and_then(|n| n.checked_mul(unit)).ok_or(bad)
}
