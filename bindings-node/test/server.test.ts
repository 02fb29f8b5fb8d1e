import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Channel, type Context, createClient, implement, RpcError, serve } from "spanwire";
import { Echo } from "./gen/echo_pb.js";
import { Code, collect, failure, pair, run, sleep, until } from "./support.js";

const PATH = "/t.Server/Any";
const body = new Uint8Array([1]);

describe("a server", () => {
  it("answers handlers of all kinds that are no async functions", async (test) => {
    const { channel } = await pair(test, [
      implement(Echo, {
        unary: (request) => ({ count: request.count + 1n }),
        down: (request) => [request, request],
        up: () => ({ count: 9n }),
        bidi: () => [{ count: 1n }, { count: 2n }],
      }),
    ]);
    const client = createClient(Echo, channel);
    assert.equal((await client.unary({ count: 1n })).count, 2n);
    assert.equal((await collect(client.down({}))).length, 2);
    assert.equal((await client.up([])).count, 9n);
    assert.equal((await collect(client.bidi([]))).length, 2);
  });

  it("calls handlers as methods of their object", async (test) => {
    class Service {
      #calls = 0n;
      unary(): { count: bigint } {
        return { count: ++this.#calls };
      }
    }
    const { channel } = await pair(test, [implement(Echo, new Service())]);
    const client = createClient(Echo, channel);
    await client.unary({});
    assert.equal((await client.unary({})).count, 2n);
    assert.equal((await failure(client.down({}).next())).code, Code.UNIMPLEMENTED);
  });

  it("tells its handlers of the call", async (test) => {
    const seen: Context[] = [];
    const { channel } = await pair(test, [
      implement({
        [PATH]: {
          kind: "unary",
          handler(request, context) {
            seen.push(context);
            return request;
          },
        },
      }),
    ]);
    await channel.unary(PATH, body, { metadata: { a: "b" }, timeoutMs: 5000 });
    await channel.unary(PATH, body);
    const [first, second] = seen;
    assert.equal(first?.metadata.get("a"), "b");
    assert.match(first.metadata.get("user-agent") ?? "", /spanwire/);
    assert.match(first.peer, /^ipv4:127/);
    assert.equal(first.path, PATH);
    assert.equal(first.method.kind, "unary");
    assert.equal(first.method.service, "t.Server");
    const left = first.timeRemainingMs ?? 0;
    assert.ok(left > 1000 && left <= 5000, String(left));
    assert.ok(second !== undefined && second.timeRemainingMs === undefined);
    assert.equal(second?.signal.aborted, false);
  });

  it("sends headers before the first message when it is told so", async (test) => {
    let go = (): void => {};
    const { channel } = await pair(test, [
      implement({
        [PATH]: {
          kind: "server_streaming",
          async *handler(request, context) {
            context.headers.set("early", "1");
            context.sendHeaders();
            assert.throws(() => context.sendHeaders(), /already/);
            assert.throws(() => context.headers.set("late", "1"), /already/);
            assert.throws(() => context.setCompression("gzip"), /already/);
            await new Promise<void>((resolve) => (go = resolve));
            yield request;
          },
        },
      }),
    ]);
    const call = channel.stream(PATH, "server_streaming", body);
    assert.equal((await call.headers).get("early"), "1");
    go();
    assert.equal((await collect(call)).length, 1);
  });

  it("answers errors that are no RpcError with UNKNOWN, and keeps their text", async (test) => {
    const errors: unknown[] = [];
    const { channel } = await pair(
      test,
      [
        implement({
          [PATH]: {
            kind: "unary",
            handler() {
              throw new Error("secret");
            },
          },
          "/t.Server/Stream": {
            kind: "server_streaming",
            async *handler(request) {
              yield request;
              throw new Error("later");
            },
          },
          "/t.Server/Wrong": { kind: "unary", handler: () => "text" as never },
          "/t.Server/None": { kind: "server_streaming", handler: () => undefined as never },
        }),
      ],
      { onError: (error) => errors.push(error) },
    );
    const error = await failure(channel.unary(PATH, body));
    assert.equal(error.code, Code.UNKNOWN);
    assert.doesNotMatch(error.message, /secret/);
    const stream = channel.stream("/t.Server/Stream", "server_streaming", body);
    assert.equal((await stream.next()).done, false);
    assert.equal((await failure(stream.next())).code, Code.UNKNOWN);
    assert.equal((await failure(channel.unary("/t.Server/Wrong", body))).code, Code.UNKNOWN);
    assert.equal((await failure(channel.stream("/t.Server/None", "server_streaming", body).next())).code, Code.UNKNOWN);
    assert.deepEqual(errors.map(String), [
      "Error: secret",
      "Error: later",
      "TypeError: a Uint8Array is due, not string",
      "TypeError: /t.Server/None: an iterable of messages is due, not undefined",
    ]);
  });

  it("answers what is no message of the method with INTERNAL", async (test) => {
    const { channel } = await pair(test, [implement(Echo, { unary: (request) => request })]);
    const error = await failure(channel.unary("/bench.v1.Echo/Unary", new Uint8Array([0xff])));
    assert.equal(error.code, Code.INTERNAL);
    assert.match(error.message, /bench.v1.Block/);
  });

  it("tells handlers when nobody waits any more", async (test) => {
    const reasons: unknown[] = [];
    const { channel } = await pair(test, [
      implement({
        [PATH]: {
          kind: "bidi_streaming",
          async *handler(requests, context) {
            try {
              yield body;
              for await (const _ of requests);
            } catch (error) {
              reasons.push(error);
              assert.equal(context.signal.reason, error);
            }
          },
        },
      }),
    ]);
    const gone = channel.stream(PATH, "bidi_streaming");
    await gone.next();
    gone.cancel();
    await until(() => reasons.length === 1, "the handler hears that its client is gone");
    assert.equal((reasons[0] as RpcError).code, Code.CANCELLED);
    const late = channel.stream(PATH, "bidi_streaming", undefined, { timeoutMs: 50 });
    await late.next();
    await until(() => reasons.length === 2, "the handler hears of its deadline");
    assert.equal((reasons[1] as RpcError).code, Code.DEADLINE_EXCEEDED);
  });

  it("hands a call's deadline on to calls that serve it", async (test) => {
    const { channel, server } = await pair(test, [
      implement({
        [PATH]: {
          kind: "unary",
          handler: (request, context) => channel.unary("/t.Server/Inner", request, { parent: context }),
        },
        "/t.Server/Inner": {
          kind: "unary",
          handler: (_, context) => Buffer.from(String(context.timeRemainingMs)),
        },
      }),
    ]);
    assert.ok(server.port);
    const left = Number(Buffer.from(await channel.unary(PATH, body, { timeoutMs: 4000 })).toString());
    assert.ok(left > 100 && left <= 4000, String(left));
    assert.equal(Buffer.from(await channel.unary(PATH, body)).toString(), "undefined");
  });

  it("waits for running calls when it closes, and takes no more", async (test) => {
    let finish = (): void => {};
    const { server, channel } = await pair(test, [
      implement({
        [PATH]: { kind: "unary", handler: (request) => new Promise((resolve) => (finish = () => resolve(request))) },
      }),
    ]);
    const call = channel.unary(PATH, body);
    await sleep(100);
    const closed = server.close();
    await sleep(50);
    const other = new Channel(server.target);
    assert.equal((await failure(other.unary(PATH, body))).code, Code.UNAVAILABLE);
    other.close();
    finish();
    assert.deepEqual(await call, body);
    await closed;
    await server.closed;
  });

  it("ends running calls after the grace", async (test) => {
    let aborted = false;
    const { server, channel } = await pair(test, [
      implement({
        [PATH]: {
          kind: "unary",
          handler: (_, context) =>
            new Promise((_, reject) => {
              context.signal.addEventListener("abort", () => {
                aborted = true;
                reject(context.signal.reason);
              });
            }),
        },
      }),
    ]);
    const call = failure(channel.unary(PATH, body));
    await sleep(100);
    const patient = server.close();
    await server.close({ graceMs: 50 });
    await patient;
    assert.ok([Code.UNAVAILABLE, Code.CANCELLED].includes((await call).code));
    await until(() => aborted, "the handler is told");
  });

  it("proxies methods that it does not know", async (test) => {
    const behind = await pair(test, [implement(Echo, { bidi: (requests) => requests, unary: (request) => request })]);
    const { channel } = await pair(test, [], {
      fallback: (requests, context) =>
        behind.channel.stream(context.path, "bidi_streaming", requests, { parent: context }),
    });
    const client = createClient(Echo, channel);
    assert.equal((await client.unary({ count: 5n })).count, 5n);
    assert.equal((await collect(client.bidi([{}, {}, {}]))).length, 3);
    assert.equal((await failure(client.up([]))).code, Code.UNIMPLEMENTED);
  });

  it("listens on sockets of all forms", async (test) => {
    for (const address of ["unix:/tmp/spanwire-node-test.sock", "inprocess:node-test", "localhost:0"]) {
      const { channel, server } = await pair(
        test,
        [implement({ [PATH]: { kind: "unary", handler: (request) => request } })],
        { address },
      );
      assert.deepEqual(await channel.unary(PATH, body), body);
      assert.equal(server.port === undefined, !address.startsWith("localhost"));
    }
  });

  it("refuses what it cannot use, and says what", async (test) => {
    const { server } = await pair(test, []);
    const services = [implement({ [PATH]: { kind: "unary", handler: (request) => request } })];
    const refused = async (options: object, text: RegExp, type = TypeError): Promise<void> => {
      await assert.rejects(
        serve({ address: "127.0.0.1:0", services, ...options }),
        (error) => error instanceof type && text.test(error.message),
        String(text),
      );
    };
    await refused({ address: 5 }, /address: a string is due/);
    await refused({ address: "nonsense" }, /nonsense/);
    await refused({ services: undefined }, /services: an array is due/);
    await refused({ services: [...services, ...services] }, /registered before/);
    await refused({ maxConnections: 0 }, /maxConnections: 0/);
    await refused({ handshakeTimeoutMs: Infinity }, /handshakeTimeoutMs: Infinity/);
    await refused({ maxConnectons: 5 }, /Server has no option "maxConnectons"/);
    await refused({ tls: {} }, /a server needs a certificate/);
    await refused({ address: `127.0.0.1:${server.port}` }, /in use/, Error);
    assert.throws(() => implement(Echo, { unari: () => ({}) } as never), /no method unari/);
    assert.throws(() => implement(Echo, { unary: 7 } as never), /unary: a function is due/);
    assert.throws(() => implement({ nope: { kind: "unary", handler: (request) => request } }), /not of the form/);
    assert.throws(() => implement({ [PATH]: { kind: "x", handler: () => body } as never }), /none of unary/);
    assert.throws(() => server.close({ graceMs: -1 }), TypeError);
  });

  it("closes on the signals that it is told", async () => {
    const output = await run(`
      import { serve, implement } from "spanwire";
      const server = await serve({ address: "127.0.0.1:0", services: [], signals: ["SIGTERM"] });
      server.closed.then(() => console.log("closed"));
      process.kill(process.pid, "SIGTERM");
    `);
    assert.equal(output, "closed");
  });
});
