// What a client of Redis has to do at the agent's port, whatever its library.

const assert = require('node:assert/strict');
const readline = require('node:readline');

const input = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** `say` sends the words of a command, and answers as the library does. */
async function check(name, { say, pipeline }) {
  assert.equal(await say('SET', 'notes:1', 'one'), 'OK');
  assert.equal(await say('GET', 'notes:1'), 'one');
  assert.equal(await say('SET', 'notes:1', 'two', 'NX'), null);
  assert.equal(await say('SET', 'notes:2', 'two', 'EX', '100'), 'OK');
  const left = await say('TTL', 'notes:2');
  assert.ok(left > 50 && left <= 120, `${left} s`);
  assert.equal(await say('TTL', 'notes:0'), -2);
  assert.deepEqual(await say('MGET', 'notes:1', 'notes:0', 'notes:2'), ['one', null, 'two']);
  assert.equal(await say('EXISTS', 'notes:1', 'notes:0', 'notes:2'), 2);
  const commands = Array.from({ length: 100 }, (_, number) => [
    ['SET', 'notes:3', String(number)],
    ['GET', 'notes:3'],
  ]).flat();
  assert.deepEqual((await pipeline(commands)).slice(-2), ['OK', '99']);
  assert.equal(await say('DEL', 'notes:1', 'notes:2', 'notes:3'), 3);
  assert.equal(await say('GET', 'notes:1'), null);
  await assert.rejects(say('SET', 'users:1', 'one'), /CACHE\.GETL/);
  console.log('commands', name);

  const [state, value, token] = await say('CACHE.GETL', 'users:7');
  assert.deepEqual([state, value], ['MISS', null]);
  assert.equal(await say('CACHE.FILL', 'users:7', token, 'seven', 'EX', '60'), 'STORED');
  assert.deepEqual((await say('CACHE.GETL', 'users:7')).slice(0, 2), ['HIT', 'seven']);
  assert.equal(await say('CACHE.INVALIDATE', 'users', 'KEY', '7'), 'OK');
  assert.equal(await say('GET', 'users:7'), null);
  console.log('leases', name);

  await say('SET', 'notes:1', 'one');
  console.log('restart');
  await input.next();
  // A command that the end of the connection cut off fails; the next one is sent anew.
  let got;
  for (const end = Date.now() + 20_000; got === undefined && Date.now() < end;) {
    got = await say('GET', 'notes:1').catch(() => undefined);
  }
  assert.equal(got, 'one');
  console.log('reconnects', name);
}

/** Asks without a token, which is refused. */
async function refused(say) {
  await assert.rejects(say('GET', 'notes:1'), /NOAUTH/);
  console.log('auth');
}

module.exports = { check, refused };
