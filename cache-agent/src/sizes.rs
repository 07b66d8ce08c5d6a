//! How full L1 is, and how many leases are out: read when somebody looks, counted
//! by nobody.

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
        let caches: Vec<_> = self.0.caches.open_ones().collect();
        let series = [
            ("l1_entries", "Entries in L1"),
            ("l1_weight_bytes", "Bytes in L1"),
            ("l1_capacity_bytes", "Bytes that L1 may hold"),
        ];
        for (at, (name, help)) in series.into_iter().enumerate() {
            let name = format!("cacheaside_{name}");
            let mut family = encoder.encode_descriptor(&name, help, None, MetricType::Gauge)?;
            for cache in &caches {
                let (entries, bytes) = cache.l1_size();
                let value = [entries, bytes, cache.policy().l1_bytes][at];
                let labels = [("cache", cache.policy().name.as_str())];
                gauge(value).encode(family.encode_family(&labels)?)?;
            }
        }
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
