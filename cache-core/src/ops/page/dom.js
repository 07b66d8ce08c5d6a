// Writes into the page without taking the focus or a selection from anybody: what is there is
// changed in place, and only where it differs.

export const $ = id => document.getElementById(id);

/** An element with attributes and children. */
export function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children);
  return element;
}

/** Writes a text, if it is another one. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function mood(element, name, moods = ["good", "warn", "bad"]) {
  for (const one of moods) element.classList.toggle(one, one === name);
}

/** Makes tiles in a list: pairs of an id and a title. */
export function tiles(list, titles) {
  for (const [id, title, target] of titles) {
    const tile = make("div", { class: "tile", id }, make("dt", {}, title));
    tile.append(make("dd", { class: "value" }, "–"), make("dd", { class: "note" }));
    if (target !== undefined) {
      const mark = make("b");
      mark.style.left = 100 * target + "%";
      tile.append(make("dd", { class: "meter", "aria-hidden": "true" }, make("i"), mark));
    }
    list.append(tile);
  }
}

/** Fills a tile; `part` is what its meter shows of a whole. */
export function tile(id, value, note = "", how = "", part = null) {
  const [shown, said, meter] = [".value", ".note", ".meter i"].map(one => $(id).querySelector(one));
  write(shown, value);
  write(said, note);
  mood(shown, how);
  if (meter) meter.style.width = 100 * Math.min(1, part ?? 0) + "%";
}

/** Says how things are: a word that counts, and what it means. */
export function state(box, how, head, means) {
  mood(box, how);
  write(box.querySelector("strong"), head);
  write(box.querySelector("span"), means);
}

/** Links in a row, of which one is of what is shown: pairs of a text and an address. */
export function links(list, all, current) {
  while (list.children.length > all.length) list.lastChild.remove();
  all.forEach(([text, href], at) => {
    const link = list.children[at]?.firstChild ?? list.appendChild(make("li", {}, make("a"))).firstChild;
    write(link, text);
    if (link.getAttribute("href") !== href) link.setAttribute("href", href);
    if (text === current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  });
}

/**
 * Fills the body of a table. A cell is a text, or has a `text`, and a `href`, a `kind` or a
 * `head` that makes it the header of its row.
 */
export function table(body, lines) {
  while (body.rows.length > lines.length) body.deleteRow(-1);
  lines.forEach((cells, at) => {
    const row = body.rows[at] ?? body.insertRow();
    cells.forEach((cell, place) => fill(row, place, typeof cell === "object" ? cell : { text: cell }));
    while (row.cells.length > cells.length) row.deleteCell(-1);
  });
}

/** A line of a table: what, how much, and what that means. */
export const line = (name, text, means, kind = "") => [
  { text: name, head: true },
  { text, kind },
  { text: means, kind: "words" },
];

function fill(row, place, { text, href, kind = "", head = false }) {
  let cell = row.cells[place];
  const name = head ? "TH" : "TD";
  if (cell?.tagName !== name) {
    const fresh = make(name, head ? { scope: "row" } : {});
    if (cell) cell.replaceWith(fresh);
    else row.append(fresh);
    cell = fresh;
  }
  if (cell.className !== kind) cell.className = kind;
  if (!href) return write(cell, text);
  let link = cell.querySelector("a");
  if (!link) cell.replaceChildren((link = make("a")));
  if (link.getAttribute("href") !== href) link.setAttribute("href", href);
  write(link, text);
}
