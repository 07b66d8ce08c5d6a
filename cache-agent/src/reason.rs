//! The stable names of everything that can go wrong, and the gRPC code of each.
//! `docs/errors.md` tells callers what to do.

use std::time::Duration;
use tonic::Code;

/// When a caller that was turned away may come again: long enough for a queue of
/// loads to move on.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// Declares the causes, each with its name on the wire and its gRPC code.
macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $code:ident;)*) => {
        /// The stable name of a cause, for programs.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason {
            $($(#[$doc])* $variant,)*
        }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name on the wire, and the gRPC code that goes with it.
            pub fn on_the_wire(self) -> (&'static str, Code) {
                match self {
                    $(Self::$variant => ($name, Code::$code),)*
                }
            }
        }
    };
}

reasons! {
    /// A key without bytes.
    KeyEmpty = "KEY_EMPTY", InvalidArgument;
    /// A key above its limit.
    KeyTooLong = "KEY_TOO_LONG", InvalidArgument;
    /// A value above the cache's limit.
    ValueTooLarge = "VALUE_TOO_LARGE", InvalidArgument;
    /// A batch above its limit.
    BatchTooLarge = "BATCH_TOO_LARGE", InvalidArgument;
    /// A part of a batch that does not fit into the answer.
    ResponseTooLarge = "RESPONSE_TOO_LARGE", ResourceExhausted;
    /// A tag outside its limits, or too many.
    BadTag = "BAD_TAG", InvalidArgument;
    /// A time to live outside its limits.
    BadTtl = "BAD_TTL", InvalidArgument;
    /// A wait, a timeout or a bound of staleness that is no length of time.
    BadWait = "BAD_WAIT", InvalidArgument;
    /// A freshness that this build does not know.
    BadFreshness = "BAD_FRESHNESS", InvalidArgument;
    /// A session that cannot be read, or is of another domain.
    BadSession = "BAD_SESSION", InvalidArgument;
    /// A cursor that cannot be read.
    BadCursor = "BAD_CURSOR", InvalidArgument;
    /// A required field without a value.
    FieldMissing = "FIELD_MISSING", InvalidArgument;
    /// A field that this cache has no use for.
    FieldUnsupported = "FIELD_UNSUPPORTED", InvalidArgument;
    /// Outside some other limit.
    Invalid = "INVALID", InvalidArgument;
    /// A condition that cannot be kept in this cache.
    ConditionUnsupported = "CONDITION_UNSUPPORTED", FailedPrecondition;
    /// A call that says nothing of who sends it.
    TokenMissing = "TOKEN_MISSING", Unauthenticated;
    /// A token that nobody has.
    TokenInvalid = "TOKEN_INVALID", Unauthenticated;
    /// A cache, or a method, that the caller may not use.
    CacheForbidden = "CACHE_FORBIDDEN", PermissionDenied;
    /// A cache that is not configured.
    CacheUnknown = "CACHE_UNKNOWN", FailedPrecondition;
    /// Too many calls run at once, or too much waits for L2. Not UNAVAILABLE, which
    /// clients retry at once and people are woken for.
    Overloaded = "OVERLOADED", ResourceExhausted;
    /// As many writes as allowed wait for the source.
    WriteBehindFull = "WRITE_BEHIND_FULL", ResourceExhausted;
    /// L2 or the bus cannot be reached.
    L2Unavailable = "L2_UNAVAILABLE", Unavailable;
    /// The queue of writes cannot be reached.
    QueueUnavailable = "QUEUE_UNAVAILABLE", Unavailable;
    /// The answer did not come within the call's deadline.
    DeadlineExceeded = "DEADLINE_EXCEEDED", DeadlineExceeded;
    /// L2 was set up with other fixed settings.
    L2Mismatch = "L2_MISMATCH", FailedPrecondition;
    /// The application answered a load with an error.
    LoaderFailed = "LOADER_FAILED", Unavailable;
    /// The application did not answer a load in time.
    LoaderTimeout = "LOADER_TIMEOUT", Unavailable;
    /// The application's loads failed for many keys in a row; it is left alone.
    LoaderDown = "LOADER_DOWN", Unavailable;
    /// The application did not write; the source is as it was.
    SourceRefused = "SOURCE_REFUSED", Aborted;
    /// Nobody knows whether the source was written.
    WriteUncertain = "WRITE_UNCERTAIN", Unknown;
    /// The agent is about to end.
    ShuttingDown = "SHUTTING_DOWN", Unavailable;
    /// A defect of the agent.
    Internal = "INTERNAL", Internal;
}

impl Reason {
    /// When trying again makes sense, if it does.
    pub fn retry_after(self) -> Option<Duration> {
        let passes = matches!(
            self,
            Self::Overloaded
                | Self::WriteBehindFull
                | Self::L2Unavailable
                | Self::QueueUnavailable
                | Self::LoaderFailed
                | Self::LoaderTimeout
                | Self::LoaderDown
                | Self::ShuttingDown
        );
        passes.then_some(RETRY_AFTER)
    }
}
