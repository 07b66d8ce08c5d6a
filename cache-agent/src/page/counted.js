// What one document has counted of a cache, or of all of them.

import { share, sum } from "./figures.js";

/** The results of loads that brought nothing. */
export const failedLoads = ["error", "timeout", "shed", "refused"];
/** By document, since each is drawn many times; by cache within it. */
const known = new WeakMap();

/** The counters as they stand. */
export function counted(sight, cache) {
  const name = cache ?? "";
  if (!known.has(sight)) known.set(sight, new Map());
  const caches = known.get(sight);
  if (!caches.has(name)) caches.set(name, count(sight, cache ?? undefined));
  return caches.get(name);
}

function count(sight, cache) {
  const gets = wanted => sum(sight, "cacheaside_gets_total", { cache, ...wanted });
  const loads = wanted => sum(sight, "cacheaside_loads_total", { cache, ...wanted });
  return {
    all: gets({}),
    l1: gets({ tier: "l1" }),
    l2: gets({ tier: "l2" }),
    none: gets({ tier: "none" }),
    hit: gets({ result: "hit" }),
    negative: gets({ result: "negative" }),
    stale: gets({ result: "stale" }),
    miss: gets({ result: "miss" }),
    error: gets({ result: "error" }),
    loads: loads({}),
    failed: loads({ result: failedLoads }),
    saved: sum(sight, "cacheaside_coalesced_total", { cache }),
  };
}

/** What came between two states, and the rates that follow: of nothing there is none. */
export function rates(before, after, span) {
  const part = Object.fromEntries(Object.keys(after).map(name => [name, after[name] - before[name]]));
  const rate = {
    hit: share(part.hit + part.negative + part.stale, part.all),
    l1: share(part.l1, part.all),
    l2: share(part.l2, part.all - part.l1),
  };
  return { part: { ...part, span }, rate };
}
