// Calls to the agent over a stream that is opened anew when it has ended.

const { setTimeout: pause } = require('node:timers/promises');
const { credentials } = require('@grpc/grpc-js');
const { OPTIONS, v1 } = require('./contract');
const { Ended, Exchange } = require('./exchange');

const RETRIES_MS = [20, 200]; // between tries: an agent that restarts is back soon

/** What the agent answered instead: a reason, and a message for people. */
class Refused extends Error {
  constructor({ reason, message }) {
    super(`${reason}: ${message}`);
    this.reason = reason;
  }
}

class Line {
  #exchange = null;
  #stub;

  constructor(address) {
    this.#stub = new v1.StreamService(address, credentials.createInsecure(), OPTIONS);
  }

  /** The answer to a call, which is made again if its stream ends before. */
  async call(call) {
    for (let tries = 0; ; tries += 1) {
      try {
        if (this.#exchange?.ended !== false) this.#exchange = new Exchange(this.#stub);
        const answer = await this.#exchange.call(call);
        if (answer.failure) throw new Refused(answer.failure);
        return answer;
      } catch (error) {
        if (!(error instanceof Ended) || tries === RETRIES_MS.length) throw error;
        await pause(RETRIES_MS[tries]);
      }
    }
  }

  close() {
    this.#exchange?.close();
    this.#stub.close();
  }
}

module.exports = { Line, Refused };
