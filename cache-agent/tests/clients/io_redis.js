// ioredis at the agent's port: `io_redis.js PORT TOKEN`.

const Redis = require('ioredis');
const { check, refused } = require('./check');

const [port, password] = process.argv.slice(2);

function connected(options) {
  const client = new Redis(Number(port), { retryStrategy: () => 50, ...options });
  client.on('error', () => {}); // It connects again by itself.
  return client;
}

async function main() {
  const stranger = connected({ enableReadyCheck: false });
  await refused((...words) => stranger.call(...words));
  stranger.disconnect();
  for (const [name, options] of [['default', {}], ['2', { protocol: 2 }], ['3', { protocol: 3 }]]) {
    const client = connected({ password, ...options });
    const pipeline = async (all) =>
      (await client.pipeline(all.map((words) => ['call', ...words])).exec()).map(([, answer]) => answer);
    await check(name, { say: (...words) => client.call(...words), pipeline });
    client.disconnect();
  }
  process.exit(0);
}

main();
