//! Reads from NATS what [`fitness`](super::fitness) judges.

use super::fitness::{Finding, Holds, of_consumer, of_stream};
use crate::echo;
use crate::settings::SourceSettings;
use crate::source::{Link, millis};
use async_nats::jetstream::consumer::IntoConsumerConfig;
use async_nats::jetstream::context::ConsumerInfoErrorKind;
use cache_core::source::Cause;
use cache_core::{Error, Kind};
use std::time::Duration;

/// What was found, and by what measure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// What the stream holds.
    pub holds: Holds,
    /// Everything there is to say.
    pub findings: Vec<Finding>,
}

/// Looks at the stream and its consumer; changes nothing.
///
/// # Errors
/// [`Kind::Unavailable`] when NATS does not answer, or has no such stream.
pub async fn look(link: &Link, source: &SourceSettings) -> Result<Looked, Error> {
    let failed = |cause: Cause| {
        let doing = "looking at the stream";
        Error::new(Kind::Unavailable, doing, source.stream.as_str()).because(cause)
    };
    let stream = link.stream(&source.stream).await?;
    let info = stream.cached_info();
    let state = &info.state;
    let (first, last) = (millis(state.first_timestamp), millis(state.last_timestamp));
    let holds = Holds {
        messages: state.messages,
        bytes: state.bytes,
        span: Duration::from_millis(last.saturating_sub(first)),
    };
    let asked = source.consumer_config().into_consumer_config();
    let differs = match stream.consumer_info(&source.durable).await {
        Ok(info) => Some(echo::consumer(&asked, &info.config)),
        Err(error) if error.kind() == ConsumerInfoErrorKind::NotFound => None,
        Err(error) => return Err(failed(error.into())),
    };
    let mut findings = of_stream(&info.config, &holds, source);
    findings.extend(of_consumer(source, differs.as_deref()));
    Ok(Looked { holds, findings })
}
