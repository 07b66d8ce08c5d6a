// The box that explains one key.

import { $, make, write } from "./dom.js";

let offered = "";

/** Offers the caches to choose from; where keys are not shown, says how else to ask. */
export function offer(caches, chosen, keys) {
  for (const id of ["explain-cache", "explain-key", "explain-ask"]) $(id).disabled = !keys.shown;
  if (!keys.shown)
    write(
      $("explain-words"),
      "Not here: this agent asks callers who they are, and a browser has no token. `cache-agent inspect CACHE KEY` has one.",
    );
  const now = JSON.stringify([caches, chosen]);
  if (now === offered) return;
  offered = now;
  const before = $("explain-cache").value;
  $("explain-cache").replaceChildren(...caches.map(cache => make("option", {}, cache)));
  const wanted = chosen ?? before;
  if (caches.includes(wanted)) $("explain-cache").value = wanted;
}

/** Answers the form. */
export function serveExplain() {
  $("explain").addEventListener("submit", async event => {
    event.preventDefault();
    const [cache, key] = [$("explain-cache").value, $("explain-key").value];
    write($("explained"), await ask(cache, key));
  });
}

async function ask(cache, key) {
  try {
    const answer = await fetch("explain.json", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ cache, key }),
      signal: AbortSignal.timeout(10_000),
    });
    const said = await answer.json();
    return said.text ?? said.refused;
  } catch {
    return "The agent gave no answer. Is it still there?";
  }
}
