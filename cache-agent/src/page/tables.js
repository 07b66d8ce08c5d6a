// The tables of the agent's page.

import { counted, failedLoads, rates } from "./counted.js";
import { $, line, table, write } from "./dom.js";
import * as f from "./figures.js";
import { drawInspector } from "./looks.js";

export const GETS = "cacheaside_gets_total";
export const TIMES = "cacheaside_get_duration_seconds";
export const LAG = "cacheaside_invalidation_lag_seconds";
const STEPS = "cacheaside_l2_command_duration_seconds";
/** The tiers by their labels, with their names and paints. */
export const TIERS = [
  ["l1", "L1", "blue"],
  ["l2", "L2", "teal"],
  ["none", "source", "orange"],
];
/** The seconds that rates, and that quantiles, look back. */
export const RATES = 10;
const QUANTILES = 60;

/** What leads to one cache. */
export const to = cache => "#cache=" + encodeURIComponent(cache);

/** Fills all of them, for one cache or for all. */
export function drawTables(live, scope) {
  const { sight } = live,
    cache = scope ?? undefined;
  drawCaches(live);
  drawGuards(sight, cache);
  drawWork(sight, cache);
  drawStages(live, cache);
  drawInspector(sight, "No look yet: an invalidator's inspector asks for them.");
  drawHot(sight);
  drawDemo(sight.demo);
}

function drawCaches(live) {
  const { sight } = live;
  const caches = f.values(sight, GETS, "cache");
  $("no-caches").hidden = caches.length > 0;
  table(
    $("caches"),
    caches.map(cache => {
      const { part, rate } = live.part(RATES, (before, after, span) =>
        rates(counted(before, cache), counted(after, cache), span),
      );
      const all = counted(sight, cache);
      return [
        { text: cache, href: to(cache), head: true },
        f.rate(part.all / part.span),
        f.percent(rate.hit),
        f.percent(rate.l1),
        f.percent(rate.l2),
        f.count(all.all),
        f.count(all.loads),
        { text: f.count(all.failed), kind: all.failed ? "warn" : "" },
        f.count(f.sum(sight, "cacheaside_l1_entries", { cache })),
        f.bytes(f.sum(sight, "cacheaside_l1_bytes", { cache })),
      ];
    }),
  );
}

function drawGuards(sight, cache) {
  const sum = name => f.sum(sight, "cacheaside_" + name);
  const trusted = sum("l1_trusted") === 1;
  const open = f.rows(sight, "cacheaside_breaker_open", { cache }).filter(one => one.value);
  table($("guards"), [
    line(
      "L1",
      trusted ? "trusted" : "not trusted",
      "trusted while the bus is heard, and the invalidators through it",
      trusted ? "good" : "bad",
    ),
    line(
      "sources left alone",
      open.length ? open.map(one => one.labels.cache).join(", ") : "none",
      "a breaker is open after many loads in a row failed",
      open.length ? "bad" : "good",
    ),
    line("gaps", f.count(sum("bus_gaps_total")), "losses of bus messages noticed; each dropped all of L1"),
    line(
      "raised buckets",
      f.count(sum("buckets_raised_total")),
      "parts of L2 that lost writes; their older values are refused",
    ),
    line(
      "reads behind",
      f.count(sum("bucket_behind_reads_total")),
      "reads of L2 refused, since it was behind what was heard",
    ),
  ]);
}

function drawWork(sight, cache) {
  const sum = (name, wanted) => f.count(f.sum(sight, "cacheaside_" + name, { cache, ...wanted }));
  const failed = f.sum(sight, "cacheaside_loads_total", { cache, result: failedLoads });
  table($("work"), [
    line("loads", sum("loads_total"), "by readers in this process and by the agent for its callers"),
    line("failed", f.count(failed), "error, timeout, shed, or refused by a breaker", failed ? "warn" : ""),
    line("saved", sum("coalesced_total"), "reads that shared another's load"),
    line("leases granted", sum("leases_total", { outcome: "granted" }), "each for one who loads"),
    line("leases busy", sum("leases_total", { outcome: "busy" }), "somebody else was loading: a load saved"),
    line(
      "superseded",
      sum("leases_total", { outcome: "superseded" }),
      "fills refused, since a change came meanwhile",
    ),
    line(
      "let go for room",
      sum("l1_drops_total", { cause: "size" }),
      "entries that L1 dropped because it was full",
    ),
  ]);
}

function drawStages(live, cache) {
  const { sight } = live;
  const row = (name, series, wanted, of = f.quantile, { longest = "–", often } = {}) => {
    const [part, span] = live.part(QUANTILES, (before, after, span) => [
      f.between(f.histogram(before, series, wanted), f.histogram(after, series, wanted)),
      span,
    ]);
    return [
      { text: name, head: true },
      f.rate(often ?? f.observed(part) / span),
      f.seconds(of(part, 0.5)),
      f.seconds(of(part, 0.99)),
      longest,
    ];
  };
  const lines = [];
  // Not every answer of L1 is measured, so the histogram does not say how many there are.
  const answers = tier =>
    live.part(
      QUANTILES,
      (before, after, span) =>
        (f.sum(after, GETS, { cache, tier }) - f.sum(before, GETS, { cache, tier })) / span,
    );
  for (const [tier, name] of sight.series[TIMES] ? TIERS : []) {
    lines.push(row("answer from " + name, TIMES, { cache, tier }, f.quantile, { often: answers(tier) }));
  }
  lines.push(row("load", "cacheaside_load_duration_seconds", { cache }));
  if (!cache)
    lines.push(
      row("commit to L1, at most", LAG, {}, f.bound, {
        longest: f.millis(sight.lag.count ? sight.lag.max_ms : null),
      }),
    );
  if (!cache && sight.series[STEPS]) lines.push(row("a step in L2", STEPS));
  table($("stages"), lines);
}

function drawHot({ keys }) {
  const words = keys.shown
    ? `Of the last ${f.seconds(keys.over_ms / 1000)}, from one read in sixteen.` +
      (keys.hot.length ? "" : " None was read in this time.")
    : "Not shown: this agent asks callers who they are, and a browser has no token. `cache-agent hot` has one.";
  write($("hot-words"), words);
  table(
    $("hot"),
    (keys.hot ?? []).map(hot => [
      { text: hot.key, kind: "key" },
      { text: hot.cache, kind: "name" },
      f.count(hot.reads),
      f.count(hot.error),
    ]),
  );
}

function drawDemo(demo) {
  $("demo").hidden = !demo;
  if (!demo) return;
  write(
    $("demo-words"),
    `A database of ${f.count(demo.rows)} rows changes under two processes; this page is of one of them. ` +
      `${f.count(demo.commits)} commits, ${f.count(demo.database_reads)} reads of the database. ` +
      `Stale: ${f.count(demo.stale)} of ${f.count(demo.checked)} reads checked, ` +
      `that is, reads that missed a change committed more than ${demo.bound_ms} ms before they began.`,
  );
}
