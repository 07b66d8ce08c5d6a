//! What a server made of what it was asked for. Servers leave out what they do not know
//! without an error, so what they answer is compared, field by field.

use async_nats::jetstream::consumer::Config as ConsumerConfig;
use async_nats::jetstream::stream::Config as StreamConfig;
use cache_core::config::units::Span;
use std::fmt::{self, Debug};
use std::time::Duration;

/// One field that is otherwise than it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The field, by its name in NATS.
    pub field: &'static str,
    /// What was asked for.
    pub asked: String,
    /// What it is.
    pub is: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, asked, is } = self;
        write!(f, "{field} is {is}, not {asked}")
    }
}

/// How a consumer differs from what was asked for.
pub fn consumer(asked: &ConsumerConfig, set: &ConsumerConfig) -> Vec<Difference> {
    let mut all = Differences::default();
    all.add("ack_policy", &asked.ack_policy, &set.ack_policy);
    all.add_span("ack_wait", asked.ack_wait, set.ack_wait);
    all.add("max_deliver", &asked.max_deliver, &set.max_deliver);
    all.add(
        "max_ack_pending",
        &asked.max_ack_pending,
        &set.max_ack_pending,
    );
    all.add("filter_subject", &asked.filter_subject, &set.filter_subject);
    all.add("deliver_policy", &asked.deliver_policy, &set.deliver_policy);
    all.add(
        "deliver_subject",
        &asked.deliver_subject,
        &set.deliver_subject,
    );
    all.0
}

/// How a stream differs from what was asked for.
pub fn stream(asked: &StreamConfig, set: &StreamConfig) -> Vec<Difference> {
    let mut all = Differences::default();
    let sorted = |subjects: &[String]| {
        let mut subjects = subjects.to_vec();
        subjects.sort();
        subjects
    };
    all.add("subjects", &sorted(&asked.subjects), &sorted(&set.subjects));
    all.add("retention", &asked.retention, &set.retention);
    all.add("storage", &asked.storage, &set.storage);
    all.add_span("max_age", asked.max_age, set.max_age);
    let limit = |asked: i64| if asked == 0 { -1 } else { asked };
    all.add("max_bytes", &limit(asked.max_bytes), &limit(set.max_bytes));
    let (wanted, set_to) = (
        limit(asked.max_messages_per_subject),
        limit(set.max_messages_per_subject),
    );
    all.add("max_msgs_per_subject", &wanted, &set_to);
    all.0
}

#[derive(Default)]
struct Differences(Vec<Difference>);

impl Differences {
    fn add<T: Debug + PartialEq>(&mut self, field: &'static str, asked: &T, is: &T) {
        if asked != is {
            self.0.push(Difference {
                field,
                asked: format!("{asked:?}"),
                is: format!("{is:?}"),
            });
        }
    }

    fn add_span(&mut self, field: &'static str, asked: Duration, is: Duration) {
        let show = |span: Duration| match span.is_zero() {
            true => "unlimited".to_owned(),
            false => Span(span).to_string(),
        };
        if asked != is {
            self.0.push(Difference {
                field,
                asked: show(asked),
                is: show(is),
            });
        }
    }
}
