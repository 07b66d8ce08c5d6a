// One stream of calls: they go out together, answers come back in any order.

const CALLS_MAX = 1000; // of one message
const BYTES_MAX = 1 << 20; // of its values but the last
const TIMEOUT = { seconds: 1 }; // of one call, which the agent keeps
const LATE_MS = 1500; // after so long, the agent hangs

/** The stream ended before the answer came. */
class Ended extends Error {}

class Exchange {
  ended = false;
  #ids = 0;
  #unsent = [];
  #waiting = new Map();
  #stream;

  constructor(stub) {
    this.#stream = stub.exchange()
      .on('data', ({ answers }) => answers.forEach((each) => this.#answered(each)))
      .on('drain', () => this.#flush())
      .on('error', (error) => this.#end(error.details))
      .on('end', () => this.#end('the agent ended the stream'));
  }

  /** The answer to a call: `{ get: request }`. */
  call(call) {
    this.#ids += 1;
    const id = this.#ids;
    let timer;
    const answered = new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      timer = setTimeout(() => reject(new Error('the agent does not answer')), LATE_MS);
    });
    this.#unsent.push({ id, timeout: TIMEOUT, ...call });
    if (this.#unsent.length === 1) setImmediate(() => this.#flush());
    return answered.finally(() => {
      clearTimeout(timer);
      this.#waiting.delete(id);
    });
  }

  close() {
    this.#stream.cancel();
  }

  #flush() {
    while (!this.ended && this.#unsent.length > 0 && !this.#stream.writableNeedDrain) {
      this.#stream.write({ calls: this.#take() });
    }
  }

  #take() {
    let [count, bytes] = [0, 0];
    while (count < Math.min(this.#unsent.length, CALLS_MAX) && bytes < BYTES_MAX) {
      bytes += this.#unsent[count].fill?.value?.length ?? 0;
      count += 1;
    }
    return this.#unsent.splice(0, count);
  }

  #answered(answer) {
    this.#waiting.get(answer.id)?.resolve(answer);
  }

  #end(why) {
    this.ended = true;
    this.#waiting.forEach(({ reject }) => reject(new Ended(why)));
  }
}

module.exports = { Ended, Exchange };
