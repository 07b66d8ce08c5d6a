// Asks each second, remembers five minutes, and says when nobody answers.

import { SPAN } from "./chart.js";

/** The milliseconds between two questions, and how long an answer may take. */
const EVERY = 1000;
const PATIENCE = 5000;

export class Live {
  /**
   * `path` says where to ask, `draw` is called after each answer, and `gone` when there is
   * none, with the time since when.
   */
  constructor({ path, draw, gone }) {
    Object.assign(this, { path, draw, gone });
    this.looks = [];
    this.since = null;
    this.turn = 0;
  }

  /** The last answer. */
  get sight() {
    return this.looks.at(-1)?.sight ?? null;
  }

  /** Asks for ever, but not while the page is out of sight. */
  start() {
    document.addEventListener("visibilitychange", () => document.hidden || this.ask());
    this.ask();
  }

  /** Asks now, and from here on each second. */
  async ask() {
    const turn = ++this.turn;
    const sight = await this.answer();
    if (turn !== this.turn) return;
    setTimeout(() => turn === this.turn && !document.hidden && this.ask(), EVERY);
    if (!sight) {
      this.since ??= new Date();
      this.gone(this.since);
      return;
    }
    this.since = null;
    this.remember(sight);
    this.draw();
  }

  async answer() {
    try {
      const answer = await fetch(this.path(), { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
      return answer.ok ? await answer.json() : null;
    } catch {
      return null;
    }
  }

  remember(sight) {
    const at = sight.about.uptime_ms / 1000;
    // Started again: its counters begin at nought.
    if (this.looks.length && at < this.looks.at(-1).at) this.looks.length = 0;
    this.looks.push({ at, sight });
    while (this.looks[0].at < at - SPAN - 60) this.looks.shift();
  }

  /** What came between a look, by default the last one, and the one so many seconds before. */
  part(span, of, at = this.looks.length - 1) {
    const after = this.looks[at];
    let from = at;
    while (from > 0 && after.at - this.looks[from].at < span) from -= 1;
    const before = this.looks[from];
    return of(before.sight, after.sight, Math.max(after.at - before.at, 0.001));
  }

  /** The same for each look, as points of a chart; the first look has nothing before it. */
  points(span, of) {
    const now = this.looks.at(-1).at;
    const points = this.looks.map(({ at }, place) => ({
      ago: now - at,
      values: place ? this.part(span, of, place) : null,
    }));
    return points.filter(({ ago, values }) => values && ago <= SPAN);
  }
}
