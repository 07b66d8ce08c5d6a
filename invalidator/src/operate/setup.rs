//! Makes what `serve` needs in NATS, and compares what is there with what was asked for.
//! Changes nothing that exists: who made it otherwise may have had a reason.

use crate::config::{RulesFile, Service};
use crate::echo::{self, Difference};
use crate::pause;
use crate::settings::SourceSettings;
use crate::source::{Link, is_absent};
use async_nats::jetstream::consumer::IntoConsumerConfig;
use async_nats::jetstream::consumer::pull::Config as PullConfig;
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use async_nats::jetstream::stream::{Config, Stream};
use cache_core::source::Cause;
use cache_core::{Error, Kind};
use serde_json::{Value, json};
use std::fmt;

/// What became of one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It was there, and was left as it is.
    There,
    /// It was not there, and is now.
    Made,
    /// It is not there, and would be made.
    Missing,
    /// It is not there, and the files do not say how to make it.
    Absent,
}

/// One thing that `serve` needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// `stream` or `consumer`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What became of it.
    pub state: State,
    /// How it differs from what was asked for.
    pub differs: Vec<Difference>,
}

/// Looks at everything in turn, and makes what is missing unless this is a `dry_run`.
///
/// # Errors
/// [`Kind::Unavailable`] when NATS does not answer or refuses.
pub async fn setup(
    link: &Link,
    service: &Service,
    rules: &RulesFile,
    dry_run: bool,
) -> Result<Vec<Item>, Error> {
    let source = &rules.source;
    let table = Table { link, dry_run };
    let (events, stream) = table
        .stream(&source.stream, source.stream_config().as_ref())
        .await?;
    let letters = service.letters.stream_config();
    let (letters, _) = table.stream(&letters.name, Some(&letters)).await?;
    let control = pause::stream_config();
    let (control, _) = table.stream(&control.name, Some(&control)).await?;
    let consumer = table.consumer(stream.as_ref(), source).await?;
    Ok(vec![events, letters, control, consumer])
}

struct Table<'a> {
    link: &'a Link,
    dry_run: bool,
}

impl Table<'_> {
    async fn stream(
        &self,
        name: &str,
        asked: Option<&Config>,
    ) -> Result<(Item, Option<Stream>), Error> {
        let failed = |cause: Cause| {
            Error::new(Kind::Unavailable, "setting up the stream", name).because(cause)
        };
        let item = |state, differs| Item {
            kind: "stream",
            name: name.to_owned(),
            state,
            differs,
        };
        let differs = |stream: &Stream| match asked {
            Some(asked) => echo::stream(asked, &stream.cached_info().config),
            None => Vec::new(),
        };
        let context = &self.link.context;
        match context.get_stream(name).await {
            Ok(stream) => {
                let item = item(State::There, differs(&stream));
                return Ok((item, Some(stream)));
            }
            Err(error) if is_absent(&error.kind()) => {}
            Err(error) => return Err(failed(error.into())),
        }
        match asked {
            None => Ok((item(State::Absent, Vec::new()), None)),
            Some(_) if self.dry_run => Ok((item(State::Missing, Vec::new()), None)),
            Some(asked) => {
                let made = context.create_stream(asked.clone()).await;
                let stream = made.map_err(|error| failed(error.into()))?;
                let item = item(State::Made, differs(&stream));
                Ok((item, Some(stream)))
            }
        }
    }

    async fn consumer(
        &self,
        stream: Option<&Stream>,
        source: &SourceSettings,
    ) -> Result<Item, Error> {
        let durable = source.durable.as_str();
        let name = format!("{durable} on {}", source.stream);
        let asked: PullConfig = source.consumer_config();
        let full = asked.clone().into_consumer_config();
        let failed = |cause: Cause| {
            let doing = "setting up the consumer";
            Error::new(Kind::Unavailable, doing, name.as_str()).because(cause)
        };
        let item = |state, differs| Item {
            kind: "consumer",
            name: name.clone(),
            state,
            differs,
        };
        let Some(stream) = stream else {
            return Ok(item(State::Missing, Vec::new()));
        };
        match stream.consumer_info(durable).await {
            Ok(info) => {
                let differs = echo::consumer(&full, &info.config);
                return Ok(item(State::There, differs));
            }
            Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => {}
            Err(error) => return Err(failed(error.into())),
        }
        if self.dry_run {
            return Ok(item(State::Missing, Vec::new()));
        }
        let made = stream.create_consumer(asked).await;
        let info = made.map_err(|error| failed(error.into()))?;
        let differs = echo::consumer(&full, &info.cached_info().config);
        Ok(item(State::Made, differs))
    }
}

impl State {
    fn word(self) -> &'static str {
        match self {
            Self::There => "there",
            Self::Made => "made",
            Self::Missing => "missing",
            Self::Absent => "absent",
        }
    }
}

impl Item {
    /// Whether somebody must do something about it.
    pub fn is_problem(&self) -> bool {
        self.state == State::Absent || !self.differs.is_empty()
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        let differs = self
            .differs
            .iter()
            .map(|one| json!({"field": one.field, "asked": one.asked, "is": one.is}));
        json!({
            "kind": self.kind,
            "name": self.name,
            "state": self.state.word(),
            "differs": differs.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, name, .. } = self;
        write!(f, "{kind:<9} {name:<32} ")?;
        match self.state {
            State::There => write!(f, "was there"),
            State::Made => write!(f, "made"),
            State::Missing => write!(f, "would be made"),
            State::Absent => write!(
                f,
                "is not there: write its right name, or `create_stream = true`"
            ),
        }?;
        for difference in &self.differs {
            write!(f, "\n{:<9} {difference}", "")?;
        }
        Ok(())
    }
}
