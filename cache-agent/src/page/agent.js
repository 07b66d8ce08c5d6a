// The agent's page: what is shown where, for all caches or for one.

import { Chart } from "./chart.js";
import { $, links, state, tile, tiles, write } from "./dom.js";
import { serveExplain, offer } from "./explain.js";
import * as f from "./figures.js";
import { Live } from "./live.js";
import { counted, rates } from "./counted.js";
import { drawTables, GETS, LAG, RATES, TIERS, TIMES, to } from "./tables.js";
import { trouble } from "./trouble.js";

/** The share of answers that the tiers shall give. */
const TARGET = 0.8;
/** Over so many seconds a point of a chart is smoothed: fewer show noise, more hide a dip. */
const SMOOTH = 5;
const RESULTS = [
  ["hit", "hit", "blue"],
  ["negative", "known absence", "violet"],
  ["stale", "stale", "yellow"],
  ["miss", "miss", "orange"],
  ["error", "error", "red"],
];

tiles($("tiles"), [
  ["t-hit", "Hit rate, of all answers", TARGET],
  ["t-l1", "L1, of all answers", undefined],
  ["t-l2", "L2, of what L1 missed", undefined],
  ["t-reads", "Answers a second"],
  ["t-loads", "Loads a second"],
  ["t-saved", "Loads saved a second"],
  ["t-lag", "Lag, commit to L1"],
  ["t-changes", "Invalidations a second"],
]);
const paints = list => list.map(([, name, paint]) => ({ name, paint }));
const charts = {
  tier: new Chart($("by-tier"), { series: paints(TIERS), unit: f.rate, stacked: true }),
  result: new Chart($("by-result"), { series: paints(RESULTS), unit: f.rate, stacked: true }),
  rate: new Chart($("rates"), {
    series: [
      { name: "all", paint: "violet" },
      { name: "L1", paint: "blue" },
      { name: "L2 of the rest", paint: "teal", dashed: true },
    ],
    unit: f.percent,
    axis: f.percents,
    most: 1,
    target: TARGET,
  }),
  lag: new Chart($("lags"), {
    series: [
      { name: "p50", paint: "blue" },
      { name: "p99", paint: "orange", dashed: true },
    ],
    unit: f.seconds,
    least: 0.005,
  }),
  times: new Chart($("times"), {
    series: TIERS.flatMap(([, name, paint]) => [
      { name: name + " p50", paint },
      { name: name + " p99", paint, dashed: true },
    ]),
    unit: f.seconds,
    axis: f.shortly,
    decades: 1e-6,
    least: 0.001,
  }),
  loads: new Chart($("loads"), {
    series: [
      { name: "run", paint: "orange" },
      { name: "saved", paint: "teal" },
      { name: "failed", paint: "red", dashed: true },
    ],
    unit: f.rate,
  }),
};

/** How the whole is called where caches are. */
const ALL = "all caches";

/** The cache that the address names; all of them if none. */
const scope = () => new URLSearchParams(location.hash.slice(1)).get("cache") || null;
const live = new Live({
  path: () => "page.json" + (scope() ? "?cache=" + encodeURIComponent(scope()) : ""),
  draw,
  gone,
});

function draw() {
  const { sight } = live;
  $("page").classList.remove("gone");
  // Only with figures, and all at once: nothing moves as they come.
  $("main").hidden = false;
  write($("version"), `${sight.about.version}, up ${f.seconds(sight.about.uptime_ms / 1000)}`);
  const { how, head, means } = trouble(sight);
  state($("state"), how, head, means);
  place(sight);
  drawTiles(sight);
  drawCharts();
  drawTables(live, scope());
}

function gone(since) {
  $("page").classList.add("gone");
  const means =
    `Not since ${since.toLocaleTimeString("en-GB")}. It is asked again each second.` +
    (live.sight ? " What is below is what it said last." : "") +
    " If it should run: look at its log, and whether its process is there.";
  state($("state"), "bad", "No answer from the agent", means);
}

function place(sight) {
  const caches = f.values(sight, GETS, "cache"),
    cache = scope();
  links($("where"), [[ALL, "#"], ...caches.map(name => [name, to(name)])], cache ?? ALL);
  write(
    $("scope"),
    cache ? ", of " + cache + (caches.includes(cache) ? "" : ", which this agent does not have") : "",
  );
  document.title = (cache ? cache + " · " : "") + "cache-agent";
  offer(caches, cache, sight.keys);
}

const since = of => (before, after, span) => of(counted(before, scope()), counted(after, scope()), span);

function drawTiles(sight) {
  const { part, rate } = live.part(RATES, since(rates));
  const none = part.all ? "" : "no answers in this time";
  tile(
    "t-hit",
    f.percent(rate.hit),
    none || `target ${100 * TARGET} %`,
    part.all && (rate.hit < TARGET ? "warn" : "good"),
    rate.hit,
  );
  tile("t-l1", f.percent(rate.l1), none || "this process's own memory");
  tile("t-l2", f.percent(rate.l2), none || "shared by all processes");
  tile("t-reads", f.rate(part.all / part.span), f.count(counted(sight, scope()).all) + " since the start");
  tile(
    "t-loads",
    f.rate(part.loads / part.span),
    `${f.rate(part.failed / part.span)} a second failed`,
    part.failed ? "warn" : "",
  );
  tile("t-saved", f.rate(part.saved / part.span), "reads that shared another's load");
  const { lag } = sight;
  tile(
    "t-lag",
    f.millis(lag.count ? lag.p50_ms : null),
    lag.count ? `p99 ${f.millis(lag.p99_ms)}, longest ${f.millis(lag.max_ms)}` : "no change with a time yet",
  );
  const changes = live.part(RATES, (before, after, span) => (total(after) - total(before)) / span);
  tile("t-changes", f.rate(changes), f.count(total(sight)) + " since the start, of all caches");
}

const total = sight => f.sum(sight, "cacheaside_invalidations_total");

function drawCharts() {
  const steps = live.points(
    SMOOTH,
    since((before, after, span) => ({ before, after, span })),
  );
  const perSecond = list =>
    steps.map(({ ago, values: { before, after, span } }) => ({
      ago,
      values: list.map(([name]) => (after[name] - before[name]) / span),
    }));
  charts.tier.draw(perSecond(TIERS));
  charts.result.draw(perSecond(RESULTS));
  charts.loads.draw(perSecond([["loads"], ["saved"], ["failed"]]));
  charts.rate.draw(
    live.points(
      RATES,
      since((...step) => {
        const { rate } = rates(...step);
        return [rate.hit, rate.l1, rate.l2];
      }),
    ),
  );
  const quantiles =
    (name, wanted, of = f.quantile) =>
    (before, after) => {
      const part = f.between(f.histogram(before, name, wanted), f.histogram(after, name, wanted));
      return [of(part, 0.5), of(part, 0.99)];
    };
  charts.lag.draw(live.points(2 * RATES, quantiles(LAG, {}, f.bound)));
  const timed = Boolean(live.sight.series[TIMES]);
  $("times").hidden = !timed;
  if (timed)
    charts.times.draw(
      live.points(2 * RATES, (...step) =>
        TIERS.flatMap(([tier]) => quantiles(TIMES, { cache: scope() ?? undefined, tier })(...step)),
      ),
    );
}

addEventListener("hashchange", () => {
  if (live.sight) draw();
  // The hot keys of the other cache are not in the last answer.
  live.ask();
  $("tiles-head").focus();
});
serveExplain();
live.start();
