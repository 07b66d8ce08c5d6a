// Sums, rates and quantiles of series, and how numbers are written.

const fits = (labels, wanted) =>
  Object.entries(wanted).every(
    ([name, value]) => value === undefined || [value].flat().includes(labels[name]),
  );

/** The series of one name whose labels have these values; a list of values means any of them. */
export function rows(sight, name, wanted = {}) {
  const family = sight.series[name];
  return family ? family.all.filter(one => fits(one.labels, wanted)) : [];
}

/** Their values, added up. */
export function sum(sight, name, wanted) {
  return rows(sight, name, wanted).reduce((all, one) => all + one.value, 0);
}

/** The values that a label has, in order. */
export function values(sight, name, label) {
  return [...new Set(rows(sight, name).map(one => one.labels[label]))].sort();
}

/** Histograms added up to one; nothing where there is none. */
export function histogram(sight, name, wanted) {
  const all = rows(sight, name, wanted);
  if (!all.length) return null;
  const counts = all[0].counts.map((_, at) => all.reduce((part, one) => part + one.counts[at], 0));
  return { bounds: sight.series[name].bounds, counts, sum: all.reduce((part, one) => part + one.value, 0) };
}

/** What was observed between two looks; from the start where there is no earlier one. */
export function between(before, after) {
  if (!after) return null;
  const counts = after.counts.map((count, at) => count - (before ? before.counts[at] : 0));
  return { bounds: after.bounds, counts, sum: after.sum - (before ? before.sum : 0) };
}

/** How many were observed. */
export const observed = part => (part ? part.counts.at(-1) : 0);

/**
 * What a share of all did not exceed, as Prometheus reckons it: evenly spread between two
 * bounds. Nothing where nothing was observed; beyond all bounds, the last one.
 */
export function quantile(part, share) {
  const all = observed(part);
  if (!all) return null;
  const rank = share * all,
    at = part.counts.findIndex(count => count >= rank);
  if (at >= part.bounds.length) return part.bounds.at(-1);
  const [low, below] = at ? [part.bounds[at - 1], part.counts[at - 1]] : [0, 0];
  return low + ((part.bounds[at] - low) * (rank - below)) / Math.max(part.counts[at] - below, 1);
}

/** The same without spreading: the bound itself, where the clocks are no finer than it. */
export function bound(part, share) {
  const all = observed(part);
  if (!all) return null;
  return part.bounds[part.counts.findIndex(count => count >= share * all)] ?? part.bounds.at(-1);
}

/** -log10 of the share of looks that found something too old; three stand for none. */
export function nines(violated, looks) {
  return looks ? Math.max(0, -Math.log10(Math.max(violated, 3) / looks)) : null;
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const NONE = "–";
const known = write => value =>
  value === null || value === undefined || Number.isNaN(value) ? NONE : write(value);

/** A count. */
export const count = known(value => whole.format(value));

/** So many a second. */
export const rate = known(value =>
  value >= 100 || value === 0 ? whole.format(value) : value >= 10 ? value.toFixed(1) : value.toFixed(2),
);

/** A share as per cent; nothing of nothing is no share. */
export const percent = known(share => (100 * share).toFixed(1) + " %");

/** The same beside a chart. */
export const percents = value => Math.round(100 * value) + " %";

/** A part of a whole. */
export const share = (part, all) => (all ? part / all : null);

/** Seconds as people say them. */
export const seconds = known(value => {
  if (!value) return "0 s";
  if (value < 1e-6) return (value * 1e9).toFixed(0) + " ns";
  if (value < 0.00001) return (value * 1e6).toFixed(1) + " µs";
  if (value < 0.001) return (value * 1e6).toFixed(0) + " µs";
  if (value < 1) return (value * 1e3).toFixed(value < 0.01 ? 1 : 0) + " ms";
  if (value < 100) return value.toFixed(1) + " s";
  if (value < 7200) return (value / 60).toFixed(0) + " min";
  if (value < 172800) return (value / 3600).toFixed(0) + " h";
  return (value / 86400).toFixed(0) + " d";
});

/** The same beside a chart, where it is a power of ten. */
export const shortly = value => seconds(value).replace(".0 ", " ");

/** Milliseconds from clocks that count whole ones: a zero is not nothing. */
export const millis = known(value => (value ? seconds(value / 1000) : "< 1 ms"));

/** Bytes. */
export const bytes = known(value =>
  value < 1024
    ? value + " B"
    : value < 1048576
      ? (value / 1024).toFixed(0) + " KiB"
      : (value / 1048576).toFixed(1) + " MiB",
);

/** A number with one digit behind the point. */
export const tenth = known(value => value.toFixed(1));
