// The one sentence at the top: how the invalidator is, what that means, what to do.

import { sum } from "./figures.js";

/** What the names of its series begin with. */
export const NAME = "cacheaside_invalidator_";

/** The worst that is to be said of it. */
export function trouble(sight) {
  const of = name => sum(sight, NAME + name);
  const { not_ready: why } = sight.about;
  if (why) {
    return {
      how: "bad",
      head: "Not ready: " + why,
      means: "Events wait in the stream until it is; none is lost. Look whether NATS and Redis are up.",
    };
  }
  if (of("paused") === 1) {
    return {
      how: "bad",
      head: "Paused: no event is taken",
      means:
        "Somebody said `invalidator pause`. Changes reach no cache: L1 answers nowhere, and L2 gets older. " +
        "`invalidator resume` ends it.",
    };
  }
  if (of("late")) {
    return {
      how: "warn",
      head: "Events are late",
      means:
        "A part of L2, or the bus, does not take them; they are sent again until it does, and others overtake " +
        "them meanwhile. Look at Redis and NATS.",
    };
  }
  if (!of("last_event_timestamp_seconds")) {
    return {
      how: "good",
      head: "Ready, and no event came yet",
      means: "If rows change meanwhile, look at what brings them into the stream.",
    };
  }
  return { how: "good", head: "Ready", means: "Events are being read and announced." };
}
