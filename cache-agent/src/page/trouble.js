// The one sentence at the top: how the agent is, what that means, what to do.

import { rows, sum, values } from "./figures.js";

/** The worst that is to be said of it. */
export function trouble(sight) {
  const { not_ready: why } = sight.about;
  if (why) {
    return {
      how: "bad",
      head: "Not ready: " + why,
      means:
        "Until Redis and NATS were reached once, callers are answered with misses and load by themselves. " +
        "`cache-agent doctor` says what is wrong.",
    };
  }
  if (sum(sight, "cacheaside_l1_trusted") !== 1) {
    return {
      how: "bad",
      head: "L1 is not trusted",
      means:
        "No invalidator, or no bus, was heard in time, so answers come from L2 or the source: slower, but none " +
        "is old. Look whether NATS is up, and whether an invalidator runs and is not paused.",
    };
  }
  const open = rows(sight, "cacheaside_breaker_open").filter(one => one.value);
  if (open.length) {
    return {
      how: "warn",
      head: "A source is left alone: " + open.map(one => one.labels.cache).join(", "),
      means:
        "Many loads in a row failed, so none is tried for a while; what is cached is still answered. " +
        "Look at the database behind it.",
    };
  }
  if (!values(sight, "cacheaside_gets_total", "cache").length) {
    return { how: "warn", head: "No cache is open yet", means: "The agent has not joined its domain." };
  }
  if (!sum(sight, "cacheaside_gets_total")) {
    const means = "The figures begin to move with the first read.";
    return { how: "good", head: "Ready, and nobody has asked yet", means };
  }
  return { how: "good", head: "Ready", means: "L1 is trusted, the sources answer." };
}
