//! The floors of each crate: who stands above whom.
//!
//! An entry is a file, or a folder with `/` at its end; the longest that fits
//! a file counts. A file may import only from floors strictly below its own.
//! Beside that it may use what the `mod.rs` of its own folder says, which for
//! its part imports none of the folder's files.

/// The floors of one crate.
pub(crate) struct Floors {
    pub(crate) floors: &'static [(&'static str, u32)],
    /// Each `mod.rs` that is not the ground its folder stands on but the head
    /// above it: it imports its children, and none of them imports it.
    pub(crate) heads: &'static [&'static str],
}

/// The top: imports anything, is imported by nobody.
const TOP: u32 = 99;

const CACHE_CORE: Floors = Floors {
    floors: &[
        ("bus/mod.rs", 0),
        ("queue/mod.rs", 0),
        ("queue/lead.rs", 1),
        ("queue/memory.rs", 1),
        ("queue/nats.rs", 4),
        ("queue_series.rs", 5),
        ("wire/queued.rs", 3),
        ("clock.rs", 0),
        ("coherence/mod.rs", 0),
        ("config/mod.rs", 0),
        ("config/report.rs", 0),
        ("config/units.rs", 0),
        ("error.rs", 0),
        ("config/overrides.rs", 0),
        ("flight/breaker.rs", 3),
        ("flight/budget.rs", 2),
        ("flight/bulkhead.rs", 0),
        ("flight/mod.rs", 0),
        ("manual.rs", 0),
        ("ops/", 0),
        ("ops/exit.rs", 1),
        ("strategy/mod.rs", 0),
        ("guard/mod.rs", 0),
        ("model/lifetime.rs", 0),
        ("model/mod.rs", 0),
        ("model/position.rs", 0),
        ("model/second_look.rs", 0),
        ("model/session.rs", 3),
        ("query/param.rs", 0),
        ("random.rs", 0),
        ("shim.rs", 0),
        ("tier/redis/node.rs", 0),
        ("query/spelling.rs", 0),
        ("wire/codec.rs", 0),
        ("wire/mod.rs", 0),
        ("bus/memory.rs", 1),
        ("wire/compressed.rs", 1),
        ("config/wrong.rs", 1),
        ("guard/trust.rs", 1),
        ("model/as_of.rs", 1),
        ("model/tag.rs", 1),
        ("model/template.rs", 1),
        ("tier/redis/script.rs", 1),
        ("config/reader.rs", 2),
        ("query/refusal.rs", 2),
        ("model/entry.rs", 2),
        ("model/key.rs", 2),
        ("source.rs", 2),
        ("bus/nats.rs", 3),
        ("event.rs", 3),
        ("guard/fence.rs", 3),
        ("query/volatile.rs", 3),
        ("tier/mod.rs", 3),
        ("tier/redis/directory.rs", 3),
        ("wire/envelope.rs", 3),
        ("wire/invalidation.rs", 3),
        ("coherence/voice.rs", 4),
        ("series.rs", 4),
        ("tier/observed.rs", 4),
        ("flight/single.rs", 4),
        ("guard/horizon.rs", 4),
        ("guard/recent.rs", 3),
        ("guard/owed.rs", 4),
        ("policy.rs", 4),
        ("query/tables.rs", 4),
        ("tier/decide.rs", 4),
        ("tier/l1.rs", 4),
        ("tier/redis/router.rs", 4),
        ("coherence/apply.rs", 5),
        ("metrics.rs", 6),
        ("advice.rs", 5),
        ("query/mod.rs", 5),
        ("coherence/heartbeat.rs", 5),
        ("tier/memory.rs", 5),
        ("tier/redis/mod.rs", 5),
        ("tier/tags.rs", 5),
        ("coherence/announce.rs", 6),
        ("coherence/inspect.rs", 6),
        ("coherence/listen.rs", 7),
        ("coherence/retry.rs", 7),
        ("domain/mod.rs", 8),
        ("domain/local.rs", 9),
        ("switches.rs", 5),
        ("fill/batch.rs", 7),
        ("fill/mod.rs", 9),
        ("fill/explain.rs", 11),
        ("fill/look.rs", 10),
        ("fill/probe.rs", 10),
        ("fill/reason.rs", 5),
        ("fill/offer.rs", 11),
        ("fill/run.rs", 11),
        ("fill/refresh.rs", 12),
        ("fill/shadow.rs", 12),
        ("fill/stale.rs", 12),
        ("fill/load.rs", 13),
        ("connect.rs", 9),
        ("config/domain.rs", 10),
        ("strategy/cache_aside.rs", 14),
        ("strategy/batch.rs", 15),
        ("strategy/memoize.rs", 15),
        ("strategy/warm_up.rs", 14),
        ("strategy/read_through.rs", 16),
        ("strategy/session.rs", 15),
        ("strategy/commit.rs", 14),
        ("strategy/write_through.rs", 15),
        ("strategy/write_behind/mod.rs", 7),
        ("strategy/write_behind/backoff.rs", 8),
        ("strategy/write_behind/window.rs", 9),
        ("strategy/write_behind/flush.rs", 15),
        ("strategy/write_behind/flusher.rs", 16),
        ("strategy/write_behind/handle.rs", 17),
        ("cache.rs", 18),
        ("builder.rs", 19),
        // Tests may use all of it; nothing else here may.
        ("testkit/until.rs", 89),
        ("testkit/", 90),
        ("testkit/contract/expired.rs", 91),
        ("testkit/contract/losses.rs", 91),
        ("testkit/contract/writes.rs", 91),
        ("testkit/contract/remote.rs", 92),
        ("testkit/servers/mod.rs", 91),
        ("testkit/servers/port.rs", 92),
        ("testkit/servers/process.rs", 92),
        ("testkit/servers/node.rs", 93),
        ("testkit/servers/topology.rs", 94),
        ("testkit/servers/", 95),
        ("lib.rs", TOP),
    ],
    heads: &["query/mod.rs", "tier/redis/mod.rs"],
};

const CACHE_AGENT: Floors = Floors {
    floors: &[
        ("config.rs", 0),
        ("deadline.rs", 0),
        ("demo/mod.rs", 0),
        ("health.rs", 0),
        ("leases.rs", 0),
        ("listen.rs", 0),
        ("observe.rs", 0),
        ("proto.rs", 0),
        ("demo/database.rs", 1),
        ("demo/members.rs", 1),
        ("failure.rs", 1),
        ("caches.rs", 2),
        ("convert.rs", 2),
        ("gate.rs", 2),
        ("calls/mod.rs", 3),
        ("stats.rs", 3),
        ("calls/get.rs", 4),
        ("calls/invalidate.rs", 4),
        ("calls/store.rs", 4),
        ("demo/traffic.rs", 4),
        ("page/mod.rs", 4),
        ("service.rs", 4),
        ("sizes.rs", 4),
        ("calls/batch.rs", 5),
        ("grpc.rs", 5),
        ("app.rs", 6),
        ("cli/exit.rs", 7),
        ("dev.rs", 7),
        ("cli/dev.rs", 8),
        ("cli/serve.rs", 8),
        ("cli/mod.rs", 9),
        ("lib.rs", TOP),
        ("main.rs", TOP),
    ],
    heads: &["cli/mod.rs"],
};

const INVALIDATOR: Floors = Floors {
    floors: &[
        ("batch.rs", 0),
        ("change.rs", 0),
        ("cli/exit.rs", 0),
        ("dead_letter.rs", 0),
        ("delivery.rs", 0),
        ("echo.rs", 0),
        ("format/base64.rs", 0),
        ("format/fields.rs", 1),
        ("format/mod.rs", 0),
        ("format/row.rs", 2),
        ("inspect/mod.rs", 0),
        ("inspect/nines.rs", 0),
        ("inspect/verdict.rs", 0),
        ("main.rs", 0),
        ("headers.rs", 0),
        ("operate/instant.rs", 0),
        ("operate/mod.rs", 0),
        ("settings.rs", 0),
        ("format/native.rs", 3),
        ("inspect/reads.rs", 1),
        ("inspect/sampler.rs", 1),
        ("inspect/schedule.rs", 1),
        ("pattern.rs", 1),
        ("pause.rs", 1),
        ("source.rs", 1),
        ("consume.rs", 2),
        ("format/debezium.rs", 4),
        ("rules.rs", 2),
        ("config.rs", 3),
        ("format/detect.rs", 5),
        ("mapping.rs", 3),
        ("cli/check.rs", 6),
        ("cli/files.rs", 4),
        ("operate/fitness.rs", 4),
        ("operate/look.rs", 5),
        ("operate/read.rs", 2),
        ("operate/judged.rs", 7),
        ("operate/announce.rs", 4),
        ("operate/epoch.rs", 9),
        ("operate/letters.rs", 8),
        ("operate/expect.rs", 8),
        ("cli/test.rs", 9),
        ("operate/replay.rs", 8),
        ("operate/rest.rs", 2),
        ("cli/pause.rs", 10),
        ("operate/runbook.rs", 0),
        ("operate/target.rs", 0),
        ("cli/flush.rs", 10),
        ("cli/bump.rs", 11),
        ("cli/replay.rs", 11),
        ("operate/lag.rs", 9),
        ("cli/dlq.rs", 10),
        ("cli/lag.rs", 10),
        ("cli/tail.rs", 10),
        ("operate/setup.rs", 4),
        ("cli/setup.rs", 5),
        ("decide.rs", 6),
        ("explain.rs", 7),
        ("metrics.rs", 7),
        ("cli/explain.rs", 8),
        ("inspect/inspector.rs", 8),
        ("outbox.rs", 8),
        ("recall.rs", 8),
        ("watch.rs", 8),
        ("late.rs", 9),
        ("pipeline.rs", 10),
        ("app.rs", 11),
        ("cli/serve.rs", 12),
        ("cli/mod.rs", 13),
        ("lib.rs", TOP),
        ("main.rs", TOP),
    ],
    heads: &["cli/mod.rs"],
};

/// The floors of the crate `name`.
pub(crate) fn of(name: &str) -> &'static Floors {
    match name {
        "cache-core" => &CACHE_CORE,
        "cache-agent" => &CACHE_AGENT,
        "invalidator" => &INVALIDATOR,
        other => panic!("{other} has no floors: give it some in tests/tidy/floors.rs"),
    }
}

impl Floors {
    /// The floor of a file, by the longest entry that fits.
    pub(crate) fn of(&self, path: &str) -> Option<u32> {
        let fitting = self.floors.iter().filter(|(entry, _)| fits(entry, path));
        let longest = fitting.max_by_key(|(entry, _)| entry.len())?;
        Some(longest.1)
    }

    /// Whether the `mod.rs` at `path` stands above its children.
    pub(crate) fn is_head(&self, path: &str) -> bool {
        self.heads.contains(&path)
    }

    /// Entries that fit no file.
    pub(crate) fn stale<'a>(
        &'a self,
        paths: impl Iterator<Item = &'a str> + Clone,
    ) -> impl Iterator<Item = &'static str> {
        let entries = self.floors.iter().map(|(entry, _)| *entry);
        let entries = entries.chain(self.heads.iter().copied());
        entries.filter(move |entry| !paths.clone().any(|path| fits(entry, path)))
    }
}

fn fits(entry: &str, path: &str) -> bool {
    path == entry || (entry.ends_with('/') && path.starts_with(entry))
}
