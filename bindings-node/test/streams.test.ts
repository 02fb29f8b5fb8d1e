import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { type Channel, createClient, type Implementation, implement } from "spanwire";
import { Echo } from "./gen/echo_pb.js";
import { Code, failure, gc, pair, sleep, until } from "./support.js";

const PATH = "/t.Streams/Any";

/** What happened in the handlers of a test. */
interface Seen {
  ended: number;
  sent: number;
  aborted: number;
}

function handlers(seen: Seen): Implementation {
  return implement(Echo, {
    async *down(request, context) {
      context.signal.addEventListener("abort", () => (seen.aborted += 1));
      try {
        for (let i = 0n; i < request.count; i++) {
          yield { count: i, body: new Uint8Array(Number(request.sizeBytes)) };
          seen.sent += 1;
        }
      } finally {
        seen.ended += 1;
      }
    },
    async up(requests) {
      const sum = { count: 0n, sizeBytes: 0n };
      for await (const { body } of requests) {
        sum.count += 1n;
        sum.sizeBytes += BigInt(body.length);
      }
      return sum;
    },
    async *bidi(requests) {
      yield* requests;
    },
  });
}

async function streams(test: TestContext): Promise<{ client: ReturnType<typeof createClient<typeof Echo>>; seen: Seen }> {
  const seen = { ended: 0, sent: 0, aborted: 0 };
  const { channel } = await pair(test, [handlers(seen)]);
  return { client: createClient(Echo, channel), seen };
}

async function bytes(
  test: TestContext,
  handler: (requests: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>,
): Promise<Channel> {
  const { channel } = await pair(test, [implement({ [PATH]: { kind: "bidi_streaming", handler } })]);
  return channel;
}

describe("a stream", () => {
  it("of responses comes in order and to its end", async (test) => {
    const { client } = await streams(test);
    let next = 0n;
    const call = client.down({ count: 5000n, sizeBytes: 10n });
    for await (const { count, body } of call) {
      assert.equal(count, next);
      assert.equal(body.length, 10);
      next += 1n;
    }
    assert.equal(next, 5000n);
    assert.match(call.peer ?? "", /^ipv4/);
    assert.equal((await call.trailers).size, 0);
    assert.deepEqual(await call.next(), { value: undefined, done: true });
  });

  it("of requests is taken from anything that can be gone through", async (test) => {
    const { client } = await streams(test);
    const blocks = Array.from({ length: 100 }, (_, i) => ({ body: new Uint8Array(i) }));
    async function* later(): AsyncGenerator<{ body: Uint8Array }> {
      for (const block of blocks) {
        await sleep(0);
        yield block;
      }
    }
    for (const requests of [blocks, new Set(blocks), later()]) {
      const { count, sizeBytes } = await client.up(requests);
      assert.deepEqual([count, sizeBytes], [100n, 4950n]);
    }
    assert.equal((await client.up([])).count, 0n);
  });

  it("of requests is sent by hand", async (test) => {
    const { client } = await streams(test);
    const call = client.up();
    for (let i = 0; i < 1000; i++) await call.send({ body: new Uint8Array(1000) });
    call.end();
    call.end();
    await assert.rejects(call.send({}), /end/);
    assert.equal((await call).sizeBytes, 1_000_000n);
  });

  it("of both is a conversation", async (test) => {
    const { client } = await streams(test);
    const call = client.bidi();
    for (let i = 0n; i < 100n; i++) {
      await call.send({ count: i });
      assert.equal((await call.next()).value?.count, i);
    }
    call.end();
    assert.equal((await call.next()).done, true);
  });

  it("of both goes through a pipeline", async (test) => {
    const { client } = await streams(test);
    const first = client.bidi(Array.from({ length: 500 }, (_, i) => ({ count: BigInt(i) })));
    const second = client.bidi(first);
    let sum = 0n;
    for await (const { count } of second) sum += count;
    assert.equal(sum, 124_750n);
  });

  it("carries large messages", async (test) => {
    const { client } = await streams(test);
    let total = 0;
    for await (const { body } of client.bidi(Array.from({ length: 20 }, () => ({ body: new Uint8Array(1 << 20) })))) {
      total += body.length;
    }
    assert.equal(total, 20 << 20);
  });

  it("that is left ends on the server", async (test) => {
    const { client, seen } = await streams(test);
    for await (const { count } of client.down({ count: 1_000_000n })) {
      if (count === 3n) break;
    }
    await until(() => seen.ended === 1, "the handler's generator is told to end");
    assert.equal(seen.aborted, 1);
  });

  it("that is disposed of ends on the server", async (test) => {
    const { client, seen } = await streams(test);
    const call = client.down({ count: 1_000_000n });
    await call.next();
    await call[Symbol.asyncDispose]();
    await until(() => seen.ended === 1, "the handler ends");
    assert.equal((await call.next()).done, true);
  });

  it("that nobody has any more ends on the server", async (test) => {
    const { client, seen } = await streams(test);
    await (async () => {
      await client.down({ count: 1_000_000n }).next();
    })();
    await until(() => {
      gc();
      return seen.ended === 1;
    }, "the handler ends");
  });

  it("of which someone still waits is not let go", async (test) => {
    const channel = await bytes(test, async function* () {
      await sleep(300);
      yield new Uint8Array(7);
    });
    const waits = channel.stream(PATH, "bidi_streaming", []).next();
    for (let i = 0; i < 10; i++) {
      gc();
      await sleep(20);
    }
    assert.equal((await waits).value?.length, 7);
  });

  it("ends with its signal, its deadline and cancel()", async (test) => {
    const { client } = await streams(test);
    const abort = new AbortController();
    const aborted = client.bidi(undefined, { signal: abort.signal });
    setTimeout(() => {
      abort.abort();
    }, 20);
    await assert.rejects(aborted.next(), { name: "AbortError" });
    assert.equal((await aborted.next()).done, true);
    await assert.rejects(aborted.send({}), { name: "AbortError" });
    assert.equal((await failure(client.bidi(undefined, { timeoutMs: 20 }).next())).code, Code.DEADLINE_EXCEEDED);
    const cancelled = client.up();
    cancelled.cancel();
    assert.equal((await failure(cancelled)).code, Code.CANCELLED);
    await assert.rejects(client.down({}, { signal: AbortSignal.abort() }).next(), { name: "AbortError" });
  });

  it("fails with what its requests throw", async (test) => {
    const { client } = await streams(test);
    const reason = new Error("no more");
     
    const throws = async function* (): AsyncGenerator<never> {
      throw reason;
    };
    await assert.rejects(client.up(throws()), reason);
    await assert.rejects(client.bidi(throws()).next(), reason);
    await assert.rejects(client.up([7 as never]), /bench.v1.Block is due/);
  });

  it("tells what gives its requests that it is over", async (test) => {
    const { channel } = await pair(test, []);
    let ended = false;
    const endless = async function* (): AsyncGenerator<Uint8Array> {
      try {
        for (;;) {
          yield new Uint8Array(1);
          await sleep(1);
        }
      } finally {
        ended = true;
      }
    };
    const call = channel.stream(PATH, "client_streaming", endless());
    assert.equal((await failure(call)).code, Code.UNIMPLEMENTED);
    await until(() => ended, "the generator ends");
  });

  it("holds a client back whose server does not read", async (test) => {
    const channel = await bytes(test, async function* (requests) {
      await sleep(300);
      let count = 0;
      for await (const _ of requests) count += 1;
      yield Buffer.from(String(count));
    });
    let sent = 0;
    const many = function* (): Generator<Uint8Array> {
      for (; sent < 20_000; sent++) yield new Uint8Array(1000);
    };
    const call = channel.stream(PATH, "bidi_streaming", many());
    await sleep(200);
    const early = sent;
    assert.ok(early < 5000, `${early} messages were taken`);
    assert.equal(String(Buffer.from((await call.next()).value ?? [])), "20000");
  });

  it("holds a server back whose client does not read", async (test) => {
    const { client, seen } = await streams(test);
    const call = client.down({ count: 20_000n, sizeBytes: 1000n });
    await call.next();
    await sleep(200);
    assert.ok(seen.sent < 5000, `${seen.sent} messages were taken`);
    // Meanwhile others are served.
    assert.equal((await client.up([{}])).count, 1n);
    let count = 1;
    for await (const _ of call) count += 1;
    assert.equal(count, 20_000);
  });

  it("holds a sender by hand back", async (test) => {
    const channel = await bytes(test, async function* (requests) {
      await sleep(200);
      for await (const _ of requests);
    });
    const call = channel.stream(PATH, "bidi_streaming");
    const start = performance.now();
    for (let i = 0; i < 10; i++) await call.send(new Uint8Array(1 << 20));
    assert.ok(performance.now() - start > 100, "sending waits for room");
    call.end();
    assert.equal((await call.next()).done, true);
  });

  it("fails where a message is too large", async (test) => {
    const { channel } = await pair(test, [
      implement({
        [PATH]: {
          kind: "bidi_streaming",
          async *handler(requests) {
            for await (const request of requests) yield request.length === 1 ? new Uint8Array(2000) : request;
          },
        },
      }),
    ], { maxSendMessageBytes: 1500 });
    const call = channel.stream(PATH, "bidi_streaming", [new Uint8Array(1)]);
    assert.equal((await failure(call.next())).code, Code.RESOURCE_EXHAUSTED);
    const ours = channel.stream(PATH, "bidi_streaming", [new Uint8Array(10), new Uint8Array(1001)], { maxSendMessageBytes: 1000 });
    const error = await failure((async () => {
      for await (const _ of ours);
    })());
    assert.equal(error.code, Code.RESOURCE_EXHAUSTED);
    assert.match(error.message, /maxSendMessageBytes/);
  });
});
