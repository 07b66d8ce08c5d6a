// Try the cache by hand: you ask, and you are the database, too.
//
//   get KEY…           asks for one key, or for many together
//   row KEY [VALUE]    answers `load KEY`; without a value there is no such row
//   invalidate KEY     tells the fleet that a row has changed
//   watch              says what becomes invalid

const readline = require('node:readline');
const { setTimeout: pause } = require('node:timers/promises');
const { Cache } = require('./client');
const { Watch } = require('./watch');

const address = process.argv[2];
const cache = new Cache(address);
const rows = new Map();
let watching = null;

function load(key) {
  console.log('load', key);
  return new Promise((resolve) => {
    rows.set(key, [...(rows.get(key) ?? []), resolve]);
  });
}

const say = (...words) => console.log(words.filter((word) => word != null).join(' '));

const commands = {
  async get(...keys) {
    const loadMany = async (missed) =>
      new Map(await Promise.all(missed.map(async (key) => [key, await load(key)])));
    const found = keys.length === 1
      ? new Map([[keys[0], await cache.get('users', keys[0], load)]])
      : await cache.getMany('users', keys, loadMany);
    keys.forEach((key) => say('got', key, found.get(key)));
  },
  row(key, value = null) {
    rows.get(key)?.forEach((resolve) => resolve(value && Buffer.from(value)));
    rows.delete(key);
  },
  async invalidate(...keys) {
    await cache.invalidate('users', { keys });
    console.log('invalid', ...keys);
  },
  async watch() {
    watching = new Watch(address, ['users'], (...what) => say('drop', ...what));
    while (!watching.hears) await pause(10);
    console.log('hears');
  },
};

const input = readline.createInterface({ input: process.stdin });
input.on('line', async (line) => {
  const [word, ...rest] = line.split(' ');
  try {
    await commands[word](...rest);
  } catch (error) {
    console.log('failed', line, error.message);
  }
});
input.on('close', () => {
  cache.close();
  watching?.close();
});
