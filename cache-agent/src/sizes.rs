//! How many leases and streams are out: read when somebody looks, counted by nobody.

use crate::calls::Agent;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use std::fmt;

/// The gauges of one agent.
#[derive(Debug)]
pub struct Sizes(pub Agent);

impl Collector for Sizes {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let agent = &self.0;
        let held = "Leases that callers of this agent hold";
        let open = "Exchanges and watches that are open";
        for (name, help, value) in [
            ("cacheaside_leases_held", held, agent.leases.len()),
            ("cacheaside_streams_open", open, agent.streams.taken()),
        ] {
            let family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            gauge(value as u64).encode(family)?;
        }
        Ok(())
    }
}

fn gauge(value: u64) -> ConstGauge<i64> {
    ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX))
}
