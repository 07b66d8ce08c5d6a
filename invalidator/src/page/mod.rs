//! The built-in page, on the admin listener: a dashboard over the service's own series.

use cache_core::ops::page::parts::Page;

/// The page itself.
pub const PAGE: Page = Page {
    html: include_str!("index.html"),
    scripts: &[
        ("invalidator.js", include_str!("invalidator.js")),
        ("trouble.js", include_str!("trouble.js")),
    ],
};

/// All series that the page reads.
pub const SERIES: [&str; 17] = [
    "cacheaside_inspections_total",
    "cacheaside_invalidator_ack_pending",
    "cacheaside_invalidator_consumer_pending",
    "cacheaside_invalidator_dead_letters_total",
    "cacheaside_invalidator_epoch",
    "cacheaside_invalidator_events_total",
    "cacheaside_invalidator_in_flight",
    "cacheaside_invalidator_inspector_l1_violations_total",
    "cacheaside_invalidator_inspector_nines",
    "cacheaside_invalidator_inspector_not_sampled_total",
    "cacheaside_invalidator_keys_per_event",
    "cacheaside_invalidator_lag_seconds",
    "cacheaside_invalidator_last_event_timestamp_seconds",
    "cacheaside_invalidator_late",
    "cacheaside_invalidator_overruns_total",
    "cacheaside_invalidator_paused",
    "cacheaside_invalidator_redelivered_total",
];
