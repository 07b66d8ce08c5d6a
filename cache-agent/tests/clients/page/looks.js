// What a page has to be for whoever looks at it, by eye, by keyboard or by ear. These run in
// the page itself, and answer with what is wrong.

/** Texts with less contrast than 4.5 on what is behind them. */
function faint() {
  const parts = color => {
    const [r, g, b, a = 1] = color.match(/[\d.]+/g).map(Number);
    return { r, g, b, a };
  };
  const light = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map(c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const ground = parts(getComputedStyle(at).backgroundColor);
      if (ground.a === 1) return ground;
    }
    return { r: 255, g: 255, b: 255 };
  };
  const found = new Set();
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.textContent.trim() || !element.checkVisibility() || element.closest('noscript, .unseen')) continue;
    const style = getComputedStyle(element);
    const ink = parts(element.closest('svg') ? style.fill : style.color);
    const [low, high] = [light(ink), light(behind(element))].sort((a, b) => a - b);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < 4.5) found.add(`${contrast.toFixed(2)}: ${element.tagName}.${element.className} ${element.textContent.slice(0, 30)}`);
  }
  return [...found];
}

/** What has no name, and what a page without eyes would miss. */
function nameless() {
  const wrong = [];
  const seen = list => [...document.querySelectorAll(list)].filter(one => one.checkVisibility());
  const text = one => (one.getAttribute('aria-label') ?? one.textContent).trim();
  for (const one of seen('a, button, summary')) if (!text(one)) wrong.push(`without a name: ${one.outerHTML}`);
  for (const one of seen('input, select')) if (!one.labels.length) wrong.push(`without a label: ${one.id}`);
  for (const chart of seen('svg')) {
    const [name, words] = ['aria-labelledby', 'aria-describedby'].map(by => document.getElementById(chart.getAttribute(by)));
    if (!name?.textContent || !words?.textContent) wrong.push(`a chart without words: ${chart.closest('figure')?.id}`);
  }
  for (const table of seen('table')) if (!table.querySelector('thead th[scope=col]')) wrong.push('a table without headers');
  for (const [what, most] of [['h1', 1], ['main', 1], ['[role=status]', 2], ['[aria-live]', 0]]) {
    if (document.querySelectorAll(what).length > most) wrong.push(`more than ${most} of ${what}`);
  }
  for (const region of seen('[role=region]')) {
    const by = region.getAttribute('aria-labelledby');
    if (!region.getAttribute('aria-label') && !document.getElementById(by)?.textContent) wrong.push('a region without a name');
  }
  if (!seen('main').length || !seen('h1').length || document.documentElement.lang !== 'en') wrong.push('no main, h1 or language');
  return wrong;
}

/** Whatever can be reached by keyboard, in its order, as marks that `reached` finds again. */
function reachable() {
  const all = 'a[href], button, input, select, summary, [tabindex="0"]';
  const list = [...document.querySelectorAll(all)].filter(one => one.checkVisibility() && !one.disabled);
  list.forEach((one, at) => (one.dataset.mark = at));
  return list.length;
}

/** The mark of what has the focus, and whether that can be seen. */
function reached() {
  const one = document.activeElement, style = getComputedStyle(one);
  return { mark: one.dataset.mark, seen: style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2 };
}

module.exports = { faint, nameless, reachable, reached };
