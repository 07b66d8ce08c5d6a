//! Everything that can go wrong in a call: one gRPC code and one stable reason each.

use crate::proto::v1;
use cache_core::{Error, Kind};
use std::collections::HashMap;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The `domain` of every `ErrorInfo`.
pub const ERROR_DOMAIN: &str = "cache-agent.cacheaside";
/// When a caller that was turned away may come again: long enough for a queue of
/// loads to move on.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// The stable name of a cause, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A key without bytes.
    KeyEmpty,
    /// A key above its limit.
    KeyTooLong,
    /// A value above the cache's limit.
    ValueTooLarge,
    /// A batch above its limit.
    BatchTooLarge,
    /// A part of a batch that does not fit into the answer.
    ResponseTooLarge,
    /// A tag outside its limits, or too many.
    BadTag,
    /// A time to live outside its limits.
    BadTtl,
    /// A wait that is no length of time.
    BadWait,
    /// A required field without a value.
    FieldMissing,
    /// Outside some other limit.
    Invalid,
    /// A cache that is not configured.
    CacheUnknown,
    /// A call that says nothing of who sends it.
    TokenMissing,
    /// A token that nobody has.
    TokenInvalid,
    /// A cache, or a method, that the caller may not use.
    CacheForbidden,
    /// Too many calls run at once, or too much waits for L2.
    Overloaded,
    /// L2 or the bus cannot be reached.
    L2Unavailable,
    /// The answer did not come within the call's deadline.
    DeadlineExceeded,
    /// L2 was set up with other fixed settings.
    L2Mismatch,
    /// A defect of the agent.
    Internal,
}

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

    /// The time of the call is up.
    pub fn deadline() -> Self {
        let message = "the answer did not come within the call's deadline; \
                       what was asked for may still happen";
        Self::new(Reason::DeadlineExceeded, message)
    }
}

impl Reason {
    /// The name on the wire, and the gRPC code that goes with it.
    pub fn on_the_wire(self) -> (&'static str, Code) {
        match self {
            Self::KeyEmpty => ("KEY_EMPTY", Code::InvalidArgument),
            Self::KeyTooLong => ("KEY_TOO_LONG", Code::InvalidArgument),
            Self::ValueTooLarge => ("VALUE_TOO_LARGE", Code::InvalidArgument),
            Self::BatchTooLarge => ("BATCH_TOO_LARGE", Code::InvalidArgument),
            Self::ResponseTooLarge => ("RESPONSE_TOO_LARGE", Code::ResourceExhausted),
            Self::BadTag => ("BAD_TAG", Code::InvalidArgument),
            Self::BadTtl => ("BAD_TTL", Code::InvalidArgument),
            Self::BadWait => ("BAD_WAIT", Code::InvalidArgument),
            Self::FieldMissing => ("FIELD_MISSING", Code::InvalidArgument),
            Self::Invalid => ("INVALID", Code::InvalidArgument),
            Self::CacheUnknown => ("CACHE_UNKNOWN", Code::FailedPrecondition),
            Self::TokenMissing => ("TOKEN_MISSING", Code::Unauthenticated),
            Self::TokenInvalid => ("TOKEN_INVALID", Code::Unauthenticated),
            Self::CacheForbidden => ("CACHE_FORBIDDEN", Code::PermissionDenied),
            // Not UNAVAILABLE, which clients retry at once and people are woken for.
            Self::Overloaded => ("OVERLOADED", Code::ResourceExhausted),
            Self::L2Unavailable => ("L2_UNAVAILABLE", Code::Unavailable),
            Self::DeadlineExceeded => ("DEADLINE_EXCEEDED", Code::DeadlineExceeded),
            Self::L2Mismatch => ("L2_MISMATCH", Code::FailedPrecondition),
            Self::Internal => ("INTERNAL", Code::Internal),
        }
    }

    fn retry_after(self) -> Option<Duration> {
        matches!(self, Self::Overloaded | Self::L2Unavailable).then_some(RETRY_AFTER)
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
            // The agent runs no loader and its codec takes any bytes.
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
        }
    }
}
