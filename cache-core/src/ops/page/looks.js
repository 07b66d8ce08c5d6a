// What the inspector's second looks came to, in a table.

import { $, table, write } from "./dom.js";
import { count, nines, sum, tenth } from "./figures.js";

const LOOKS = "cacheaside_inspections_total";
const LOOKED = "An announced invalidation is looked at again: is anything older still there?";

/** Fills the table `inspector`, and its caption; `none` says why there is no look yet. */
export function drawInspector(sight, none) {
  write($("inspector-words"), sum(sight, LOOKS) ? LOOKED : none);
  const lines = ["l1", "l2"].map(tier => {
    const of = outcome => sum(sight, LOOKS, { tier, outcome });
    const [held, violated, unknown] = ["held", "violated", "unknown"].map(of);
    return [
      { text: tier.toUpperCase(), head: true },
      count(held),
      { text: count(violated), kind: violated ? "bad" : "" },
      count(unknown),
      tenth(nines(violated, held + violated)),
    ];
  });
  table($("inspector"), lines);
}
