// What one worker does until a time, by the name of the mode. Each gives the calls or messages that it made, and how long
// each took if one waits for the other.

import { check } from "./echo.mjs";

const NO_LATENCIES = [];

/** One exchange after the other. */
async function inTurns(exchange, until) {
  const latencies = [];
  let last = performance.now();
  while (last < until) {
    await exchange();
    const before = last;
    last = performance.now();
    latencies.push(last - before);
  }
  return { calls: latencies.length, latencies };
}

function checkEcho(client, reply, block) {
  check(reply !== undefined && client.size(reply) === client.size(block), "what came is no echo of what was sent");
}

export const modes = {
  /** Calls, one after the other. */
  unary(client, size, until) {
    const block = client.make({ body: new Uint8Array(size) });
    return inTurns(async () => checkEcho(client, await client.unary(block), block), until);
  },

  /** One stream; each message waits for its echo. */
  async ping_pong(client, size, until) {
    const block = client.make({ body: new Uint8Array(size) });
    const stream = client.bidi();
    const result = await inTurns(async () => checkEcho(client, await stream.exchange(block), block), until);
    stream.cancel();
    return result;
  },

  /** Takes in what the server sends without end. */
  async down(client, size, until) {
    let calls = 0;
    const block = client.make({ body: new Uint8Array(size) });
    // Never reached, and less than what some libraries have as numbers.
    const wish = client.make({ count: 1e15, sizeBytes: size });
    await client.down(wish, (reply) => {
      checkEcho(client, reply, block);
      calls += 1;
      return performance.now() < until;
    });
    return { calls, latencies: NO_LATENCIES };
  },

  /** Sends without end, and compares the count that comes back. */
  async up(client, size, until) {
    let calls = 0;
    const block = client.make({ body: new Uint8Array(size) });
    function* blocks() {
      for (; performance.now() < until; calls += 1) yield block;
    }
    const counted = await client.up(blocks());
    check(counted === calls, `${calls} were sent, ${counted} came`);
    return { calls, latencies: NO_LATENCIES };
  },
};
