// A cache: copy it with the files it needs, and keep one per process.
//   const cache = new Cache('unix:/run/cache-agent/agent.sock');
//   const user = await cache.get('users', '7', load); // load('7') reads the source: Buffer, null

const { setTimeout: pause } = require('node:timers/promises');
const { Line } = require('./line');

const PATIENCE_MS = 2000; // for another caller to load, before one loads without filling
const bytes = (key) => Buffer.from(key);

class Cache {
  #reads;
  #writes; // A fill shall not queue up behind those who wait for it.

  constructor(address) {
    [this.#reads, this.#writes] = [new Line(address), new Line(address)];
  }

  /** The value of a key, loaded once in the fleet; null if the source has none. */
  async get(cache, key, load) {
    const answer = await this.#ask({ cache, key: bytes(key) }, PATIENCE_MS);
    if (answer.hit || answer.negative) return answer.hit?.entry.value ?? null;
    const loadOne = async () => new Map([[key, await load(key)]]);
    return (await this.#load(cache, [[key, answer]], loadOne)).get(key);
  }

  /** What there is of these keys, as a Map; load(keys) reads the missed ones, as one, too. */
  async getMany(cache, keys, load) {
    // Without patience: whoever holds leases does not wait for those of others.
    const ask = (key) => this.#ask({ cache, key: bytes(key), wait: {} }, 0);
    const answers = await Promise.all(keys.map(async (key) => [key, await ask(key)]));
    const found = new Map(answers.map(([key, { hit }]) => [key, hit?.entry.value]));
    const misses = answers.filter(([, { hit, negative }]) => !hit && !negative);
    const loaded = misses.length > 0 ? await this.#load(cache, misses, load) : [];
    return new Map([...found, ...loaded].filter(([, value]) => value != null));
  }

  /** To be called after the source's commit. Fails if the agent does not take it. */
  async invalidate(cache, { keys = [], tags = [] }) {
    await this.#writes.call({ invalidate: { cache, keys: keys.map(bytes), tags } });
  }

  close() {
    [this.#reads, this.#writes].forEach((line) => line.close());
  }

  async #ask(get, patience) {
    const end = performance.now() + patience;
    try {
      for (;;) {
        const answer = (await this.#reads.call({ get })).get;
        const { seconds = 0, nanos = 0 } = answer.miss?.retryAfter ?? {};
        const again = seconds * 1e3 + nanos / 1e6;
        if (again === 0 || performance.now() + again > end) return answer;
        await pause(again);
      }
    } catch {
      return {}; // Any error means: read the source.
    }
  }

  /** Loads what is missed; the leases among the misses are filled with it, or given back. */
  async #load(cache, misses, load) {
    let end = (releaseLease) => ({ releaseLease });
    try {
      const loaded = await load(misses.map(([key]) => key));
      const rest = (value) => (value == null ? { notFound: {} } : { value });
      end = (lease, key) => ({ fill: { ...lease, ...rest(loaded.get(key)) } });
      return loaded;
    } finally {
      const leases = misses.filter(([, { miss }]) => miss?.lease);
      const ends = leases.map(([key, { miss: { lease } }]) =>
        end({ cache, key: bytes(key), leaseToken: lease.token }, key));
      // The value is good whatever becomes of these: SUPERSEDED is returned, but not cached.
      await Promise.allSettled(ends.map((call) => this.#writes.call(call)));
    }
  }
}

module.exports = { Cache };
