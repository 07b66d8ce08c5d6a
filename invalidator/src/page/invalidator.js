// The invalidator's page: what is shown where.

import { Chart } from "./chart.js";
import { $, line, state, table, tile, tiles, write } from "./dom.js";
import * as f from "./figures.js";
import { Live } from "./live.js";
import { drawInspector } from "./looks.js";
import { NAME, trouble } from "./trouble.js";

/** The seconds that rates and quantiles look back, and over which a point is smoothed. */
const RATES = 10;
const QUANTILES = 20;
const SMOOTH = 3;
/** The outcomes of an event by their labels, with their names and paints. */
const OUTCOMES = [
  ["mapped", "mapped", "blue"],
  ["ignored", "ignored", "grey"],
  ["unmapped", "unmapped", "violet"],
  ["missing_column", "column missing", "yellow"],
  ["parse_error", "unreadable", "orange"],
  ["dead_lettered", "dead letter", "red"],
];
const STAGES = [
  ["source_to_stream", "commit to stream", "teal"],
  ["stream_to_announced", "stream to L2 and bus", "blue"],
];
const WAITING = [
  ["consumer_pending", "in the stream", "orange"],
  ["ack_pending", "given to an instance", "teal"],
  ["in_flight", "in hand here", "blue"],
  ["late", "late", "red", true],
];

tiles($("tiles"), [
  ["t-events", "Events a second"],
  ["t-keys", "Keys and tags a second"],
  ["t-backlog", "Backlog"],
  ["t-hand", "In hand here"],
  ["t-announced", "Stream to L2 and bus, p50"],
  ["t-last", "Last event"],
  ["t-letters", "Dead letters"],
  ["t-nines", "Nines"],
]);
const paints = list => list.map(([, name, paint, dashed]) => ({ name, paint, dashed }));
const charts = {
  outcomes: new Chart($("outcomes"), { series: paints(OUTCOMES), unit: f.rate, stacked: true }),
  backlog: new Chart($("backlog"), { series: paints(WAITING), unit: f.count, least: 10 }),
  lags: new Chart($("lags"), {
    series: STAGES.flatMap(([, name, paint]) => [
      { name: name + ", p50", paint },
      { name: "p99", paint, dashed: true },
    ]),
    unit: f.seconds,
    least: 0.005,
  }),
};
const live = new Live({ path: () => "page.json", draw, gone });
const of = (sight, name, wanted) => f.sum(sight, NAME + name, wanted);
const perSecond = (name, wanted, span = RATES) =>
  live.part(span, (before, after, took) => (of(after, name, wanted) - of(before, name, wanted)) / took);

function draw() {
  const { sight } = live;
  $("page").classList.remove("gone");
  // Only with figures, and all at once: nothing moves as they come.
  $("main").hidden = false;
  write($("version"), `${sight.about.version}, up ${f.seconds(sight.about.uptime_ms / 1000)}`);
  const { how, head, means } = trouble(sight);
  state($("state"), how, head, means);
  drawTiles(sight);
  drawCharts();
  drawRules(sight);
  drawStream(sight);
  drawInspector(sight, "No look yet: either nothing was announced, or [inspector] is off.");
}

function gone(since) {
  $("page").classList.add("gone");
  const means =
    `Not since ${since.toLocaleTimeString("en-GB")}. It is asked again each second.` +
    (live.sight ? " What is below is what it said last." : "") +
    " Other instances go on meanwhile; `invalidator lag` shows whether anybody carries.";
  state($("state"), "bad", "No answer from the invalidator", means);
}

/** The seconds since the last event; nothing where none came. */
function silence(sight) {
  const at = of(sight, "last_event_timestamp_seconds");
  return at ? Math.max(0, sight.now_ms / 1000 - at) : null;
}

function drawTiles(sight) {
  tile(
    "t-events",
    f.rate(perSecond("events_total")),
    f.count(of(sight, "events_total")) + " since the start",
  );
  const keys = live.part(
    RATES,
    (before, after, took) => (f.between(fanOut(before), fanOut(after))?.sum ?? 0) / took,
  );
  tile("t-keys", f.rate(keys), "made invalid, by all rules");
  const pending = of(sight, "consumer_pending");
  tile("t-backlog", f.count(pending), `${f.count(of(sight, "ack_pending"))} more given and not answered for`);
  const late = of(sight, "late");
  tile(
    "t-hand",
    f.count(of(sight, "in_flight")),
    `${f.count(late)} late: wait for L2 or the bus`,
    late ? "warn" : "",
  );
  const lag = lagOf("stream_to_announced");
  tile(
    "t-announced",
    f.seconds(f.bound(lag, 0.5)),
    "p99 " + f.seconds(f.bound(lag, 0.99)) + ", each at most",
  );
  const quiet = silence(sight);
  const ago = quiet !== null && quiet < 1 ? "< 1 s" : f.seconds(quiet);
  tile(
    "t-last",
    quiet === null ? "none" : ago,
    quiet === null ? "since the start" : "ago; silence is not health",
  );
  const letters = of(sight, "dead_letters_total");
  tile(
    "t-letters",
    f.count(letters),
    letters ? "invalidator dlq list" : "all events could be read",
    letters ? "warn" : "",
  );
  const looks = f.sum(sight, "cacheaside_inspections_total", { tier: "l2", outcome: ["held", "violated"] });
  tile(
    "t-nines",
    looks ? f.tenth(of(sight, "inspector_nines")) : "–",
    looks ? `of ${f.count(looks)} second looks` : "no second look yet",
  );
}

const fanOut = sight => f.histogram(sight, NAME + "keys_per_event");

function lagOf(stage) {
  const at = sight => f.histogram(sight, NAME + "lag_seconds", { stage });
  return live.part(QUANTILES, (before, after) => f.between(at(before), at(after)));
}

function drawCharts() {
  const rates = (before, after, span) =>
    OUTCOMES.map(
      ([outcome]) =>
        (of(after, "events_total", { outcome }) - of(before, "events_total", { outcome })) / span,
    );
  charts.outcomes.draw(live.points(SMOOTH, rates));
  charts.backlog.draw(live.points(1, (_, after) => WAITING.map(([name]) => of(after, name))));
  const lags = (before, after) =>
    STAGES.flatMap(([stage]) => {
      const [then, now] = [before, after].map(sight => f.histogram(sight, NAME + "lag_seconds", { stage }));
      const part = f.between(then, now);
      return [f.bound(part, 0.5), f.bound(part, 0.99)];
    });
  charts.lags.draw(live.points(QUANTILES, lags));
}

function drawRules(sight) {
  const rules = f.values(sight, NAME + "events_total", "rule");
  const none = rules.length
    ? "The rate is of the last ten seconds; the rest since the start."
    : "No event came since the start.";
  write($("rules-words"), none);
  const lines = rules.map(rule => {
    const outcome = name => of(sight, "events_total", { rule, outcome: name });
    const bad = name => ({ text: f.count(outcome(name)), kind: outcome(name) ? "warn" : "" });
    const keys = f.histogram(sight, NAME + "keys_per_event", { rule });
    const letters = of(sight, "dead_letters_total", { rule });
    return [
      { text: rule, head: true },
      f.rate(perSecond("events_total", { rule })),
      f.count(outcome("mapped")),
      f.count(outcome("ignored")),
      f.count(outcome("unmapped")),
      bad("missing_column"),
      bad("parse_error"),
      { text: f.count(letters), kind: letters ? "warn" : "" },
      f.tenth(f.share(keys?.sum ?? 0, f.observed(keys))),
      f.count(f.bound(keys, 0.99)),
    ];
  });
  table($("rules"), lines);
}

function drawStream(sight) {
  const paused = of(sight, "paused") === 1;
  const overruns = of(sight, "overruns_total");
  table($("stream"), [
    line("paused", paused ? "yes" : "no", "`invalidator pause` stops all instances", paused ? "bad" : "good"),
    line("epoch", f.count(of(sight, "epoch")), "of all positions; each rise is a cold cache"),
    line(
      "overruns",
      f.count(overruns),
      "times the stream dropped unread events, and all was cleared",
      overruns ? "bad" : "",
    ),
    line(
      "redelivered",
      f.count(of(sight, "redelivered_total")),
      "what came more than once: an instance ended, or was slow",
    ),
    line(
      "not looked at again",
      f.count(of(sight, "inspector_not_sampled_total")),
      "announced, and beyond the inspector's rate",
    ),
    line(
      "found in L1s",
      f.count(of(sight, "inspector_l1_violations_total")),
      "told by processes whose L1 held something too old",
    ),
  ]);
}

live.start();
