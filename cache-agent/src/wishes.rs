//! What a Get asks for beyond its key.

use crate::convert;
use crate::deadline::Deadline;
use crate::failure::{Failure, Reason};
use crate::proto::v1::{self, Freshness};
use cache_core::{Ask, Position};
use std::time::Duration;

/// What a Get asks for beyond its key, checked.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    freshness: Freshness,
    wait: Option<Duration>,
    at_least: Position,
    max_staleness: Option<Duration>,
}

impl Wishes {
    /// Reads them.
    ///
    /// # Errors
    /// [`Reason::BadWait`] and [`Reason::BadFreshness`].
    pub fn of(request: &v1::GetRequest) -> Result<Self, Failure> {
        let freshness = Freshness::try_from(request.freshness).map_err(|_| {
            let message = format!(
                "{} is no freshness that this agent knows; it is older than its caller",
                request.freshness
            );
            Failure::new(Reason::BadFreshness, message).at("freshness")
        })?;
        let span = |span: Option<prost_types::Duration>, field| {
            span.map(|span| convert::length(span, field)).transpose()
        };
        Ok(Self {
            freshness,
            wait: span(request.wait, "wait")?,
            at_least: request.at_least.map(Into::into).unwrap_or_default(),
            max_staleness: span(request.max_staleness, "max_staleness")?,
        })
    }

    /// Together with what a session asks, as the tiers are asked.
    pub fn ask(self, session: Ask, usual_wait: Duration, deadline: Deadline) -> Ask {
        let strict = (self.freshness == Freshness::Strict).then_some(Duration::ZERO);
        Ask {
            at_least: self.at_least.max(session.at_least),
            max_staleness: strict.or(self.max_staleness),
            wait: Some(self.wait.unwrap_or(usual_wait).min(deadline.left())),
            primary: session.primary,
        }
    }

    /// Whether an expired value will do where the tiers give one by themselves.
    pub fn takes_held_over(self) -> bool {
        self.freshness != Freshness::Fresh
    }

    /// Whether an expired value that was stored so long ago will do in place of a miss.
    pub fn takes_expired(self, age: Duration) -> bool {
        let most = self.max_staleness.unwrap_or(Duration::MAX);
        self.freshness == Freshness::StaleOk && !most.is_zero() && age <= most
    }
}
