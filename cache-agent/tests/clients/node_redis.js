// node-redis at the agent's port: `node_redis.js PORT TOKEN`.

const { createClient } = require('redis');
const { check, refused } = require('./check');

const [port, password] = process.argv.slice(2);

async function connected(options) {
  const client = createClient({ socket: { port, reconnectStrategy: 50 }, ...options });
  client.on('error', () => {}); // It connects again by itself.
  return client.connect();
}

async function main() {
  const stranger = await connected({ RESP: 2 });
  await refused((...words) => stranger.sendCommand(words));
  stranger.destroy();
  for (const [name, options] of [['default', {}], ['2', { RESP: 2 }], ['3', { RESP: 3 }]]) {
    const client = await connected({ password, ...options });
    const say = (...words) => client.sendCommand(words);
    await check(name, { say, pipeline: (all) => Promise.all(all.map((words) => say(...words))) });
    client.destroy();
  }
  process.exit(0);
}

main();
