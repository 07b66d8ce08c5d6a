// Tells what becomes invalid, for callers that keep copies of their own.

const { setTimeout: pause } = require('node:timers/promises');
const { credentials } = require('@grpc/grpc-js');
const { OPTIONS, v1 } = require('./contract');

const SILENCE_MS = 20_000; // the agent gives a sign of life every 15 s
const PAUSE_MS = 200; // before one listens again

/**
 * Calls drop(cache, kind, name) for whatever is invalid: a 'key', a 'tag', or without a name the
 * 'wholeCache'. Open it before keeping the first copy, and use copies only while it hears.
 */
class Watch {
  hears = false;
  #stub;
  #call;
  #closed = false;

  constructor(address, caches, drop) {
    if (caches.length === 0) throw new Error('name the caches: a gap may be of all of them');
    this.#stub = new v1.InvalidationService(address, credentials.createInsecure(), OPTIONS);
    this.#run(caches, drop);
  }

  close() {
    this.#closed = true;
    this.#call.cancel();
    this.#stub.close();
  }

  async #run(caches, drop) {
    let cursor = '';
    while (!this.#closed) {
      this.#call = this.#stub.watch({ caches, cursor });
      const silence = setTimeout(() => this.#call.cancel(), SILENCE_MS);
      try {
        for await (const told of this.#call) {
          silence.refresh();
          this.#heard(told, caches, drop);
          cursor = told.cursor;
        }
      } catch {
        // It ends with an error, and one watches again.
      }
      clearTimeout(silence);
      this.hears = false;
      await pause(PAUSE_MS);
    }
  }

  #heard(told, caches, drop) {
    switch (told.event) {
      case 'invalidations':
        for (const one of told.invalidations.all) {
          const name = one.target === 'wholeCache' ? null : one[one.target];
          drop(one.cache, one.target, name);
        }
        break;
      case 'gap': {
        const lost = told.gap.caches.length > 0 ? told.gap.caches : caches;
        lost.forEach((cache) => drop(cache, 'wholeCache', null));
        break;
      }
      default:
        this.hears = told.heartbeat?.hears ?? this.hears;
    }
  }
}

module.exports = { Watch };
