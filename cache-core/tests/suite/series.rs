//! The page of all series has those of the core, and no others of its own.

use cache_core::Name;
use cache_core::event::{Event, Observer, QueueEvent};
use cache_core::metrics::Metrics;
use cache_core::testkit::pages::{registered, told_by};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use std::time::Duration;

#[test]
fn every_series_of_the_core_is_on_the_page() {
    let mut registry = Registry::default();
    let metrics = Metrics::new(&mut registry);
    let cache = metrics.register(&Name::new("users").expect("a name"));
    // A family has its lines once something was counted in it.
    metrics.observe(&Event::Queue {
        cache,
        what: QueueEvent::PutAside,
    });
    metrics.observe(&Event::Remote {
        step: "read",
        ok: true,
        took: Duration::from_millis(1),
        bytes: 1,
    });
    let mut text = String::new();
    encode(&mut text, &registry).expect("a text");
    assert_eq!(registered(&text), told_by(&["every process"]));
}
