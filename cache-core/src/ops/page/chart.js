// One chart of the last five minutes: drawn, said in words for those who do not see it, and as
// a table for those who want the numbers.

import { make, table, write } from "./dom.js";

/** How many seconds a chart shows at most. */
export const SPAN = 300;
/** What it shows while less is known: a page that was just opened is not mostly empty. */
const SPANS = [60, 120, SPAN];
/** The seconds between two lines of the table. */
const STEP = 30;
/** Looks further apart than this have nothing drawn between them. */
const HOLE = 6;
const [LEFT, RIGHT, TOP, BOTTOM] = [56, 10, 8, 22];
const NAMESPACE = "http://www.w3.org/2000/svg";

function draw(name, attributes, text) {
  const element = document.createElementNS(NAMESPACE, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/** The least of 1, 2, 5, 10, … that is not below a number. */
function round(number) {
  const ten = 10 ** Math.floor(Math.log10(number));
  return [1, 2, 5, 10].map(step => step * ten).find(step => step >= number * 0.999);
}

export class Chart {
  /**
   * Into a figure that has a caption. `series` have a name, a paint, and may be `dashed`;
   * `stacked` ones lie upon each other. `unit` writes a value, `axis` one beside a line.
   * `most` is the top where it is always the same, `target` a line across, `least` the lowest
   * top that the scale takes. Of a scale by decades, `decades` is the bottom.
   */
  constructor(figure, { series, unit, axis = unit, ...more }) {
    const usual = { stacked: false, most: null, target: null, least: 1, decades: null };
    Object.assign(this, { figure, series, unit, axis, span: SPANS[0] }, usual, more);
    const words = make("p", { class: "unseen", id: figure.id + "-words" });
    const head = figure.querySelector("h3");
    head.id = figure.id + "-head";
    this.svg = draw("svg", { role: "img", "aria-labelledby": head.id, "aria-describedby": words.id });
    this.words = words;
    this.legend = make("ul", { class: "legend" });
    this.now = series.map(({ name, paint, dashed }) => {
      const value = make("span");
      const mark = make("i", { class: `${paint} ${this.stacked ? "" : "line"} ${dashed ? "dashed" : ""}` });
      this.legend.append(make("li", {}, mark, name + " ", value));
      return value;
    });
    const columns = ["", ...series.map(one => one.name)].map(name =>
      make("th", { scope: "col" }, name || "time"),
    );
    this.body = make("tbody");
    const numbers = make(
      "table",
      {},
      make("caption", { class: "unseen" }, head.textContent),
      make("thead", {}, make("tr", {}, ...columns)),
      this.body,
    );
    this.details = make(
      "details",
      {},
      make("summary", {}, "As a table", make("span", { class: "unseen" }, ": " + head.textContent)),
      make(
        "div",
        { class: "scroll", tabindex: "0", role: "region", "aria-label": head.textContent + " as a table" },
        numbers,
      ),
    );
    this.details.addEventListener("toggle", () => this.count());
    figure.append(this.svg, words, this.legend, this.details);
    this.points = [];
    this.draw([]);
  }

  /** Draws points: how long ago, and a value for each series, or nothing where none is known. */
  draw(points) {
    this.points = points;
    this.span = SPANS.find(span => span >= (points[0]?.ago ?? 0)) ?? SPAN;
    const last = points.at(-1)?.values ?? [];
    this.series.forEach((_, at) => write(this.now[at], this.unit(last[at])));
    write(this.words, this.say());
    const [width, height] = [this.svg.clientWidth || 480, this.svg.clientHeight || 160];
    const tops = points.map(({ values }) =>
      this.stacked ? values.reduce((all, one) => all + (one ?? 0), 0) : Math.max(0, ...values),
    );
    const most = this.most ?? round(Math.max(this.least, ...tops));
    const x = ago => (LEFT + (width - LEFT - RIGHT) * (1 - ago / this.span)).toFixed(1);
    const part = value => (this.decades ? this.decade(value) / this.decade(most) : value / most);
    const y = value => (height - BOTTOM - (height - TOP - BOTTOM) * part(value)).toFixed(1);
    this.svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.svg.replaceChildren(
      ...this.grid(x, y, most, width),
      ...(this.stacked ? this.areas(x, y) : this.lines(x, y)),
      ...this.aim(x, y),
    );
    this.count();
  }

  grid(x, y, most, width) {
    const across = this.steps(most).flatMap(value => [
      draw("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }),
      draw("text", { x: LEFT - 6, y: +y(value) + 4, "text-anchor": "end" }, this.axis(value)),
    ]);
    const parts = width < 420 ? 2 : 4;
    const times = Array.from({ length: parts + 1 }, (_, at) => (this.span * (parts - at)) / parts);
    const anchor = ago => (ago === this.span ? "start" : ago ? "middle" : "end");
    const named = ago => (ago % 60 ? `−${ago} s` : ago ? `−${ago / 60} min` : "now");
    const along = times.map(ago =>
      draw("text", { x: x(ago), y: +y(0) + 16, "text-anchor": anchor(ago) }, named(ago)),
    );
    return [...across, ...along];
  }

  /** How many decades a value is above the bottom. */
  decade(value) {
    return Math.max(0, Math.log10(value / this.decades));
  }

  /** The values that have a line. */
  steps(most) {
    if (!this.decades) return [0, most / 2, most];
    const count = Math.ceil(this.decade(most) - 0.001);
    return Array.from({ length: count + 1 }, (_, at) => this.decades * 10 ** at).filter(
      value => value <= most * 1.001,
    );
  }

  aim(x, y) {
    if (this.target === null) return [];
    return [
      draw("line", { class: "target", x1: x(this.span), x2: x(0), y1: y(this.target), y2: y(this.target) }),
    ];
  }

  /** Runs of points that have a value and no hole between them. */
  runs(has) {
    const runs = [];
    let before = null;
    for (const point of this.points) {
      if (!has(point.values)) {
        before = null;
        continue;
      }
      if (before === null || before - point.ago > HOLE) runs.push([]);
      runs.at(-1).push(point);
      before = point.ago;
    }
    return runs;
  }

  lines(x, y) {
    return this.series.map(({ paint, dashed }, at) => {
      const runs = this.runs(values => values[at] !== null && values[at] !== undefined);
      const d = runs
        .map(run => "M" + run.map(({ ago, values }) => `${x(ago)} ${y(values[at])}`).join("L"))
        .join("");
      return draw("path", { class: `course ${paint} ${dashed ? "dashed" : ""}`, d });
    });
  }

  areas(x, y) {
    const runs = this.runs(() => true).filter(run => run.length > 1);
    const below = (values, at) => values.slice(0, at).reduce((all, one) => all + (one ?? 0), 0);
    return this.series.map(({ paint }, at) => {
      const edge = (run, end) => run.map(({ ago, values }) => `${x(ago)} ${y(below(values, end))}`);
      const d = runs
        .map(run => "M" + [...edge(run, at + 1), ...edge(run, at).reverse()].join("L") + "Z")
        .join("");
      return draw("path", { class: `area ${paint}`, d });
    });
  }

  say() {
    if (!this.points.length) return "Nothing yet.";
    const parts = this.series.map(({ name }, at) => {
      const known = this.points
        .map(({ values }) => values[at])
        .filter(value => value !== null && value !== undefined);
      if (!known.length) return `${name}: nothing`;
      return `${name}: ${this.unit(known.at(-1))}, between ${this.unit(Math.min(...known))} and ${this.unit(Math.max(...known))}`;
    });
    return parts.join("; ") + ".";
  }

  /** Fills the table, while somebody has it open. */
  count() {
    if (!this.details.open) return;
    const lines = [];
    for (let ago = 0; ago <= this.span; ago += STEP) {
      const near = this.points.findLast(point => point.ago >= ago && point.ago < ago + STEP);
      if (near)
        lines.push([
          { text: ago ? `${ago} s ago` : "now", head: true },
          ...this.series.map((_, at) => this.unit(near.values[at])),
        ]);
    }
    table(this.body, lines);
  }
}
