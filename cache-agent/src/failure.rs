//! Everything that can go wrong in a call: one gRPC code and one stable reason each.

use crate::proto::v1;
pub use crate::reason::Reason;
use cache_core::{Error, Kind};
use std::collections::HashMap;
use tonic::Status;
use tonic_types::{ErrorDetails, StatusExt};

/// The `domain` of every `ErrorInfo`.
pub const ERROR_DOMAIN: &str = "cache-agent.cacheaside";

/// Why a call, or one part of a batch, failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The cause, for programs; it decides the code.
    pub reason: Reason,
    /// What happened and what to do, for people.
    pub message: String,
    /// The field at fault, for a request that can never succeed.
    pub field: Option<&'static str>,
    /// Numbers and names behind the message.
    pub metadata: Vec<(&'static str, String)>,
}

impl Failure {
    /// A failure without details.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            field: None,
            metadata: Vec::new(),
        }
    }

    /// The same, with the field at fault.
    #[must_use]
    pub fn at(self, field: &'static str) -> Self {
        Self {
            field: Some(field),
            ..self
        }
    }

    /// The same, with one more detail.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.metadata.push((name, value.to_string()));
        self
    }

    /// Too many calls at once.
    pub fn overloaded(most: usize) -> Self {
        let message = format!("{most} calls already run, which is the limit; try again later");
        Self::new(Reason::Overloaded, message).with("limit", most)
    }

    /// The domain is not joined, because Redis or NATS have not been reached yet.
    pub fn not_joined() -> Self {
        let message = "Redis or NATS have not been reached since the agent started; \
                       nothing can be stored or invalidated until they are";
        Self::new(Reason::L2Unavailable, message)
    }

    /// Something that has a limit is above it.
    pub fn too_many(what: &str, size: usize, most: usize) -> Self {
        let message = format!("there are {size} {what}; the limit is {most}");
        Self::new(Reason::BatchTooLarge, message)
            .with("limit", most)
            .with("size", size)
    }

    /// The agent is about to end.
    pub fn shutting_down() -> Self {
        let message = "the agent is about to end; what was not answered was not begun";
        Self::new(Reason::ShuttingDown, message)
    }

    /// The time of the call is up.
    pub fn deadline() -> Self {
        let message = "the answer did not come within the call's deadline; \
                       what was asked for may still happen";
        Self::new(Reason::DeadlineExceeded, message)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let reason = match error.kind() {
            Kind::Invalid => Reason::Invalid,
            Kind::UnknownCache => Reason::CacheUnknown,
            Kind::Overloaded => Reason::Overloaded,
            Kind::Unavailable => Reason::L2Unavailable,
            Kind::Mismatch => Reason::L2Mismatch,
            Kind::SourceDown => Reason::LoaderDown,
            Kind::LoadTimeout => Reason::LoaderTimeout,
            Kind::LoadFailed | Kind::LoadPanicked => Reason::LoaderFailed,
            Kind::WriteFailed => Reason::SourceRefused,
            Kind::WriteUncertain => Reason::WriteUncertain,
            // The codec of the agent takes any bytes.
            _ => Reason::Internal,
        };
        Self::new(reason, error.to_string())
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let (name, code) = failure.reason.on_the_wire();
        let metadata = failure.metadata.into_iter();
        let metadata: HashMap<String, String> = metadata
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        let mut details = ErrorDetails::with_error_info(name, ERROR_DOMAIN, metadata);
        if let Some(field) = failure.field {
            details.add_bad_request_violation(field, failure.message.clone());
        }
        if let Some(delay) = failure.reason.retry_after() {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(code, failure.message, details)
    }
}

impl From<Failure> for v1::Failure {
    fn from(failure: Failure) -> Self {
        let (name, code) = failure.reason.on_the_wire();
        Self {
            code: code as i32,
            reason: name.to_owned(),
            message: failure.message,
            retry_after: failure
                .reason
                .retry_after()
                .map(|after| prost_types::Duration::try_from(after).unwrap_or_default()),
        }
    }
}
