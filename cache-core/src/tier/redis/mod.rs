//! L2 over Redis: Cluster, a single node, or Sentinel, by one slot router over
//! multiplexed connections.

mod deployment;
mod directory;
mod examine;
mod node;
mod place;
mod router;
mod script;

pub use self::deployment::{Deployment, RedisAccess};
use self::deployment::{directory, unreachable};
pub use self::examine::{Examined, ExaminedNode, NodeState, examine};
use self::router::Router;
use self::script::{
    AGREE, APPLY, Answer, BEAT, Call, FILL, LEASE, QUARANTINE, RELEASE, TOUCH, WRITE,
};
use super::{
    Applied, Beat, Beaten, Filled, Invalidate, Known, Leased, MARK_KEEP, Offer, Reading, Record,
    Remote, RemoteError, Seen, Token, Touch, Watermark, Write, Written,
};
use crate::error::Error;
use crate::model::key::{Address, Bucket, Name};
use crate::model::position::{HEX_LEN, Position};
use async_trait::async_trait;
use bytes::Bytes;
use redis::Value;
use std::time::Duration;

/// The bytes before the envelope of a value with a lease: a letter, the as-of, and the
/// lease's token, position and deadline.
const LEASED_HEAD: usize = 1 + HEX_LEN + 16 + HEX_LEN + 16;

/// L2 over Redis.
#[derive(Debug)]
pub struct RedisRemote {
    domain: Name,
    router: Router,
}

impl RedisRemote {
    /// Connects with what the addresses say; `timeout` bounds every single answer.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind::Invalid) for an address that cannot be read,
    /// [`Kind::Unavailable`](crate::Kind::Unavailable) when no node answers.
    pub async fn connect(
        domain: Name,
        deployment: &Deployment,
        timeout: Duration,
    ) -> Result<Self, Error> {
        Self::open(domain, deployment, &RedisAccess::default(), timeout).await
    }

    /// Connects as somebody.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn open(
        domain: Name,
        deployment: &Deployment,
        access: &RedisAccess,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let directory = directory(deployment, access)?;
        let router = Router::connect(domain.clone(), directory, timeout).await;
        let router = router.map_err(|why| unreachable(deployment, why))?;
        Ok(Self { domain, router })
    }

    fn run(
        &self,
        script: &'static std::sync::LazyLock<script::Script>,
        address: &Address,
        args: Vec<Vec<u8>>,
    ) -> Call {
        Call::Run {
            script,
            keys: [address.record.to_vec(), self.watermark(address.bucket)],
            args,
        }
    }

    fn watermark(&self, bucket: Bucket) -> Vec<u8> {
        Address::watermark(&self.domain, bucket)
    }
}

#[async_trait]
impl Remote for RedisRemote {
    async fn read(&self, address: &Address) -> Result<Reading, RemoteError> {
        let call = Call::Read {
            record: address.record.to_vec(),
            watermark: self.watermark(address.bucket),
        };
        match self.router.call(address.bucket, &call).await? {
            Value::Array(parts) => Ok(reading(parts)),
            _ => Err(unexpected("MGET")),
        }
    }

    async fn lease(
        &self,
        address: &Address,
        token: Token,
        span: Duration,
        seen: Seen,
    ) -> Result<Leased, RemoteError> {
        let (refused, expired) = match seen {
            Seen::Nothing => (None, None),
            Seen::Refused(as_of) => (Some(as_of), None),
            Seen::Expired(as_of) => (None, Some(as_of)),
        };
        let args = vec![
            hex(token),
            millis(span),
            position(refused),
            position(expired),
            millis(MARK_KEEP),
        ];
        let call = self.run(&LEASE, address, args);
        let answer = self.router.call(address.bucket, &call).await?;
        parse_leased(answer).ok_or_else(|| unexpected("lease"))
    }

    async fn fill(&self, address: &Address, offer: Offer) -> Result<Filled, RemoteError> {
        let args = vec![
            offer.token.map(hex).unwrap_or_default(),
            position(offer.as_of),
            millis(offer.ttl.max(Duration::from_millis(1))),
            millis(MARK_KEEP),
            offer.body.to_vec(),
        ];
        let call = self.run(&FILL, address, args);
        let answer = self.router.call(address.bucket, &call).await?;
        parse_filled(answer).ok_or_else(|| unexpected("fill"))
    }

    async fn touch(&self, address: &Address, touch: Touch) -> Result<bool, RemoteError> {
        let args = vec![
            position(Some(touch.as_of)),
            touch.was.to_vec(),
            millis(touch.ttl.max(Duration::from_millis(1))),
            touch.body.to_vec(),
        ];
        let call = self.run(&TOUCH, address, args);
        let answer = Answer::new(self.router.call(address.bucket, &call).await?);
        match answer.and_then(|answer| answer.letter()) {
            Some(b'T') => Ok(true),
            Some(b'C') => Ok(false),
            _ => Err(unexpected("touch")),
        }
    }

    async fn release(&self, address: &Address, token: Token) -> Result<(), RemoteError> {
        let call = self.run(&RELEASE, address, vec![hex(token), millis(MARK_KEEP)]);
        self.router.call(address.bucket, &call).await.map(drop)
    }

    async fn quarantine(
        &self,
        address: &Address,
        token: Token,
        span: Duration,
    ) -> Result<bool, RemoteError> {
        let args = vec![hex(token), millis(span), millis(MARK_KEEP)];
        let call = self.run(&QUARANTINE, address, args);
        let answer = Answer::new(self.router.call(address.bucket, &call).await?);
        match answer.and_then(|answer| answer.letter()) {
            Some(b'Q') => Ok(true),
            Some(b'N') => Ok(false),
            _ => Err(unexpected("quarantine")),
        }
    }

    async fn write(&self, address: &Address, write: Write) -> Result<Written, RemoteError> {
        let [applied, seen] = known(&write.known);
        let args = vec![
            hex(write.token),
            position(write.as_of),
            millis(write.ttl.max(Duration::from_millis(1))),
            millis(MARK_KEEP),
            write.body.to_vec(),
            applied,
            seen,
        ];
        let call = self.run(&WRITE, address, args);
        let answer = self.router.call(address.bucket, &call).await?;
        parse_written(answer).ok_or_else(|| unexpected("write"))
    }

    async fn apply(&self, batch: Vec<Invalidate>) -> Vec<Result<Applied, RemoteError>> {
        let calls = batch.iter().map(|one| {
            let [applied, seen] = known(&one.known);
            let args = vec![position(one.position), millis(one.keep), applied, seen];
            (one.address.bucket, self.run(&APPLY, &one.address, args))
        });
        let answers = self.router.call_many(calls.collect()).await;
        let parse = |value| parse_applied(value).ok_or_else(|| unexpected("apply"));
        answers
            .into_iter()
            .map(|answer| answer.and_then(parse))
            .collect()
    }

    async fn agree(&self, terms: &[u8]) -> Result<Bytes, RemoteError> {
        let (bucket, key) = Address::terms(&self.domain);
        let call = Call::Run {
            script: &AGREE,
            keys: [key.clone(), key],
            args: vec![terms.to_vec()],
        };
        let answer = Answer::new(self.router.call(bucket, &call).await?);
        let held = answer.as_ref().and_then(|answer| answer.text(1));
        held.map(Bytes::copy_from_slice)
            .ok_or_else(|| unexpected("agree"))
    }

    fn moved(&self) -> Vec<Bucket> {
        self.router.moved()
    }

    async fn beat(&self, batch: Vec<Beat>) -> Vec<Result<Beaten, RemoteError>> {
        let calls = batch.iter().map(|one| {
            let watermark = self.watermark(one.bucket);
            let [applied, seen] = known(&one.known);
            let call = Call::Run {
                script: &BEAT,
                keys: [watermark.clone(), watermark],
                args: vec![position(Some(one.seen)), applied, seen, flag(one.doubted)],
            };
            (one.bucket, call)
        });
        let answers = self.router.call_many(calls.collect()).await;
        let parse = |value| parse_beaten(value).ok_or_else(|| unexpected("beat"));
        answers
            .into_iter()
            .map(|answer| answer.and_then(parse))
            .collect()
    }
}

fn flag(flag: bool) -> Vec<u8> {
    vec![if flag { b'1' } else { b'0' }]
}

fn known(known: &Known) -> [Vec<u8>; 2] {
    [known.applied, known.seen].map(|one| position(Some(one)))
}

fn unexpected(step: &str) -> RemoteError {
    RemoteError::Failed(format!("{step}: an answer of an unknown shape"))
}

fn hex(token: Token) -> Vec<u8> {
    format!("{:016x}", token.0).into_bytes()
}

fn millis(span: Duration) -> Vec<u8> {
    span.as_millis().to_string().into_bytes()
}

fn position(position: Option<Position>) -> Vec<u8> {
    position
        .map(|position| position.to_hex().to_vec())
        .unwrap_or_default()
}

fn reading(mut parts: Vec<Value>) -> Reading {
    let watermark = parts.pop().and_then(|value| match value {
        Value::BulkString(bytes) => parse_watermark(&bytes),
        _ => None,
    });
    let (record, garbage, leased) = match parts.pop() {
        Some(Value::BulkString(bytes)) => {
            let leased = is_leased(&bytes);
            let record = parse_record(bytes.into());
            let garbage = record.is_none();
            (record, garbage, leased)
        }
        _ => (None, false, false),
    };
    Reading {
        record,
        watermark,
        garbage,
        leased,
    }
}

fn parse_watermark(bytes: &[u8]) -> Option<Watermark> {
    let mut parts = bytes.chunks_exact(HEX_LEN).map(Position::from_hex);
    let watermark = Watermark {
        applied: parts.next()??,
        seen: parts.next()??,
        floor: parts.next()??,
    };
    (bytes.len() == 3 * HEX_LEN).then_some(watermark)
}

fn is_leased(record: &[u8]) -> bool {
    match record.first() {
        Some(b'R') => true,
        Some(b'M') => record.len() == LEASED_HEAD,
        _ => false,
    }
}

fn parse_record(bytes: Bytes) -> Option<Record> {
    let at = Position::from_hex(bytes.get(1..=HEX_LEN)?)?;
    match bytes[0] {
        b'V' => Some(Record::Value {
            as_of: at,
            body: bytes.slice(1 + HEX_LEN..),
        }),
        b'R' if bytes.len() >= LEASED_HEAD => Some(Record::Value {
            as_of: at,
            body: bytes.slice(LEASED_HEAD..),
        }),
        b'M' => Some(Record::Mark { floor: at }),
        _ => None,
    }
}

fn parse_leased(value: Value) -> Option<Leased> {
    let answer = Answer::new(value)?;
    Some(match answer.letter()? {
        b'G' => Leased::Granted {
            as_of: answer.position(1)?,
            floor: answer.position(2)?,
        },
        b'B' => Leased::Busy {
            remaining: Duration::from_millis(answer.number(1)?.try_into().ok()?),
        },
        b'P' => Leased::Present,
        b'N' => Leased::NoWatermark,
        _ => return None,
    })
}

fn parse_filled(value: Value) -> Option<Filled> {
    let answer = Answer::new(value)?;
    Some(match answer.letter()? {
        b'S' => Filled::Stored {
            as_of: answer.position(1)?,
        },
        b'F' => Filled::Superseded {
            floor: answer.position(1)?,
        },
        b'L' => Filled::LeaseLost,
        _ => return None,
    })
}

fn parse_applied(value: Value) -> Option<Applied> {
    let answer = Answer::new(value)?;
    Some(match answer.letter()? {
        b'D' => Applied::Done {
            position: answer.position(1)?,
            floor: answer.position(2)?,
            raised: answer.maybe_position(3)?,
        },
        b'N' => Applied::NoWatermark,
        b'O' => Applied::OldEpoch,
        b'X' => Applied::TicksExhausted,
        _ => return None,
    })
}

fn parse_written(value: Value) -> Option<Written> {
    let answer = Answer::new(value)?;
    Some(match answer.letter()? {
        b'S' => Written::Stored {
            position: answer.position(1)?,
            raised: answer.maybe_position(2)?,
        },
        b'I' => Written::Invalidated {
            position: answer.position(1)?,
            raised: answer.maybe_position(2)?,
        },
        b'N' => Written::NoWatermark,
        b'X' => Written::TicksExhausted,
        _ => return None,
    })
}

fn parse_beaten(value: Value) -> Option<Beaten> {
    let answer = Answer::new(value)?;
    let watermark = Watermark {
        applied: answer.position(1)?,
        seen: answer.position(2)?,
        floor: answer.position(3)?,
    };
    Some(match answer.letter()? {
        b'F' => Beaten::Fine(watermark),
        b'R' => Beaten::Raised(watermark),
        _ => return None,
    })
}
