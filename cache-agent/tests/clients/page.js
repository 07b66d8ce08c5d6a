// Looks at a built-in page in a real browser, under load, as those do for whom it is.
//
//   node page.js URL agent|invalidator [SCRIPT TO BREAK]
//
// Says each thing that is right on a line of its own. "kill" and "begin" ask whoever runs this
// to end the service and to start it again; an empty line is the answer. Ends with 1 and the
// reason at the first thing that is wrong. With a script to break, that script throws in the
// page: the same look has to find it out.

const assert = require('node:assert/strict');
const readline = require('node:readline');
const { open, wrongs } = require('./page/browser.js');
const looks = require('./page/looks.js');

const [url, service, broken] = process.argv.slice(2);
const input = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const right = name => console.log(name);

async function asks(word) {
  console.log(word);
  await input.next();
}

/** Each figure that moves under load: it becomes another one, and another one again. */
async function moves(page, ids, wrong) {
  const read = () => page.$$eval(ids.join(','), all => all.map(one => one.textContent));
  const seen = ids.map(() => new Set());
  for (const end = Date.now() + 60_000; seen.some(values => values.size < 3);) {
    assert.deepEqual(wrong, []);
    assert.ok(Date.now() < end, `does not move: ${ids.filter((_, at) => seen[at].size < 3)}`);
    (await read()).forEach((value, at) => seen[at].add(value));
    await page.waitForTimeout(250);
  }
  const drawn = await page.$$eval('figure:not([hidden]) svg', all => all.map(svg => svg.querySelectorAll('path[d^=M]').length));
  assert.ok(drawn.length >= 3 && drawn.every(paths => paths > 0), `charts are drawn: ${drawn}`);
  const shifted = await page.evaluate(() => window.shifted);
  assert.ok(shifted < 0.1, `the layout jumps: ${shifted}`);
}

async function inBothSchemes(page) {
  const grounds = [];
  for (const colorScheme of ['dark', 'light']) {
    await page.emulateMedia({ colorScheme });
    assert.deepEqual(await page.evaluate(looks.faint), [], `contrast, ${colorScheme}`);
    grounds.push(await page.evaluate(() => getComputedStyle(document.body).backgroundColor));
  }
  assert.notEqual(grounds[0], grounds[1], 'dark is not light');
}

async function onAPhone(page) {
  await page.setViewportSize({ width: 375, height: 800 });
  await page.waitForTimeout(1500);
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 375, 'it is as wide as the phone');
  await page.setViewportSize({ width: 1280, height: 900 });
}

async function byKeyboard(page) {
  const count = await page.evaluate(looks.reachable);
  const marks = [];
  await page.evaluate(() => { document.activeElement.blur(); getSelection().setPosition(document.body, 0); });
  for (let at = 0; at < count; at += 1) {
    await page.keyboard.press('Tab');
    const { mark, seen } = await page.evaluate(looks.reached);
    assert.ok(seen, `the focus on ${mark} can be seen`);
    marks.push(Number(mark));
  }
  assert.deepEqual(marks, Array.from({ length: count }, (_, at) => at), 'all is reached, in its order');
}

async function asATable(page) {
  const summary = page.locator('figure summary').first();
  await summary.focus();
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelector('figure details tbody').rows.length > 0);
  await page.keyboard.press('Enter');
}

async function explains(page) {
  await page.focus('#explain-key');
  await page.keyboard.type('user:7');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.getElementById('explained').textContent.startsWith('users/user:7: '));
  await page.fill('#explain-key', 'a key that nobody has <b>');
  await page.click('#explain-ask');
  await page.waitForFunction(() => document.getElementById('explained').textContent.includes('nobody has <b>: nothing'));
}

async function drillsDown(page) {
  const shows = text => page.waitForFunction(text => document.getElementById('scope').textContent === text, text);
  await page.click('#caches a');
  await shows(', of users');
  assert.equal(new URL(page.url()).hash, '#cache=users');
  assert.equal(await page.title(), 'users · cache-agent');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'tiles-head');
  await page.goBack();
  await shows('');
  assert.equal(await page.title(), 'cache-agent');
  await page.goForward();
  await shows(', of users');
  await page.goto(url + '#cache=nobody');
  await shows(', of nobody, which this agent does not have');
  await page.goto(url + '#');
  await shows('');
}

/** The page under a document that was changed on its way. */
async function says(page, change, head, more = async () => {}) {
  await page.route('**/page.json*', async route => {
    const answer = await route.fetch();
    const json = await answer.json();
    change(json);
    await route.fulfill({ response: answer, json });
  });
  await page.waitForFunction(head => document.querySelector('#state strong').textContent === head, head);
  await more();
  await page.unrouteAll({ behavior: 'wait' });
}

const none = json => { for (const family of Object.values(json.series)) for (const one of family.all) one.value = 0; };

async function statesOfAnAgent(page) {
  const gauge = (json, name, value) => json.series[name].all.forEach(one => (one.value = value));
  await says(page, json => gauge(json, 'cacheaside_l1_trusted', 0), 'L1 is not trusted');
  await says(page, json => gauge(json, 'cacheaside_breaker_open', 1), 'A source is left alone: users');
  await says(page, json => (json.about.not_ready = 'no Redis'), 'Not ready: no Redis');
  await says(page, json => { none(json); gauge(json, 'cacheaside_l1_trusted', 1); }, 'Ready, and nobody has asked yet');
  const unopened = json => { json.series = { cacheaside_l1_trusted: json.series.cacheaside_l1_trusted }; };
  await says(page, unopened, 'No cache is open yet', () => page.waitForSelector('#no-caches:not([hidden])'));
  const hidden = async () => {
    await page.waitForFunction(() => document.getElementById('explain-ask').disabled);
    assert.match(await page.textContent('#hot-words'), /^Not shown/);
  };
  await says(page, json => (json.keys = { shown: false, over_ms: 0, hot: [] }), 'Ready', hidden);
}

async function statesOfAnInvalidator(page) {
  const gauge = (json, name, value) => json.series['cacheaside_invalidator_' + name].all.forEach(one => (one.value = value));
  await says(page, json => gauge(json, 'paused', 1), 'Paused: no event is taken');
  await says(page, json => gauge(json, 'late', 3), 'Events are late');
  await says(page, json => (json.about.not_ready = 'NATS is away'), 'Not ready: NATS is away');
  await says(page, none, 'Ready, and no event came yet');
}

async function whenItIsGone(page, name) {
  const head = page.locator('#state strong');
  await asks('kill');
  await head.filter({ hasText: `No answer from the ${name}` }).waitFor();
  assert.match(await page.textContent('#state span'), /asked again each second.*said last/s);
  right('gone');
  await asks('begin');
  await head.filter({ hasText: /^Ready/ }).waitFor({ timeout: 60_000 });
  right('back');
}

const OF = {
  agent: {
    moving: ['#t-reads .value', '#t-hit .value', '#t-loads .value'],
    steps: { explains, 'drills down': drillsDown, states: statesOfAnAgent },
  },
  invalidator: {
    moving: ['#t-events .note', '#t-events .value', '#t-keys .value'],
    steps: { states: statesOfAnInvalidator },
  },
};

async function main() {
  const { browser, page } = await open();
  const wrong = wrongs(page, url);
  await page.addInitScript(() => {
    window.shifted = 0;
    const watch = new PerformanceObserver(list => list.getEntries().forEach(one => (window.shifted += one.hadRecentInput ? 0 : one.value)));
    watch.observe({ type: 'layout-shift', buffered: true });
  });
  if (broken) {
    const spoil = async route => {
      const answer = await route.fetch();
      await route.fulfill({ response: answer, body: (await answer.text()).replace('draw(', 'draw_(') });
    };
    await page.route('**/page/' + broken, spoil);
  }
  const { moving, steps } = OF[service];
  const all = {
    moves: page => moves(page, moving, wrong), contrast: inBothSchemes, phone: onAPhone, keyboard: byKeyboard,
    names: async page => assert.deepEqual(await page.evaluate(looks.nameless), []), 'as a table': asATable, ...steps,
  };
  try {
    await page.goto(url);
    for (const [name, step] of Object.entries(all)) {
      await step(page);
      right(name);
    }
    assert.deepEqual(wrong, [], 'no errors, no requests but its own');
    right('quiet');
    await whenItIsGone(page, service);
  } catch (error) {
    console.log('wrong', [...new Set(wrong)].join('; '));
    throw error;
  } finally {
    await browser.close();
  }
}

main().then(() => process.exit(0), error => {
  console.error(error);
  process.exit(1);
});
