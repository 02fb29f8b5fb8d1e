import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { describe, it } from "node:test";
import { createClient, implement, type Interceptor, only, RpcError, type ServerInterceptor } from "spanwire";
import { Echo } from "./gen/echo_pb.js";
import { Code, collect, failure, pair, sleep } from "./support.js";

const who = new AsyncLocalStorage<string>();

const services = [
  implement(Echo, {
    async unary(request, context) {
      await sleep(1);
      context.headers.set("who", who.getStore() ?? "nobody");
      context.headers.set("token", context.metadata.get("token") ?? "none");
      return request;
    },
    async *down(request) {
      for (let i = 0n; i < request.count; i++) {
        await sleep(0);
        yield { count: i, sizeBytes: BigInt(who.getStore()?.length ?? 0) };
      }
    },
    async up(requests) {
      let count = 0n;
      for await (const request of requests) count += request.count;
      return { count };
    },
    async *bidi(requests) {
      yield* requests;
    },
  }),
];

async function* mapped<T>(messages: AsyncIterable<T>, change: (message: T) => T): AsyncGenerator<T> {
  for await (const message of messages) yield change(message);
}

interface Counted {
  count: bigint;
}

const plusOne = (message: Counted): Counted => ({ ...message, count: message.count + 1n });

describe("interceptors of a client", () => {
  it("stand around each other, the first outermost", async (test) => {
    const order: string[] = [];
    const named =
      (name: string): Interceptor =>
      async (call, next) => {
        order.push(`${name} before`);
        call.metadata.set("token", name);
        const response = await next(call);
        order.push(`${name} after`);
        return response;
      };
    const { channel } = await pair(test, services, {}, { interceptors: [named("channel")] });
    const client = createClient(Echo, channel, { interceptors: [named("client")] });
    const call = client.unary({ count: 1n });
    assert.equal((await call).count, 1n);
    assert.equal((await call.headers).get("token"), "client");
    assert.match(call.peer ?? "", /^ipv4/);
    assert.deepEqual(order, ["channel before", "client before", "client after", "channel after"]);
  });

  it("see and change requests and responses of all kinds", async (test) => {
    const change: Interceptor = async (call, next) => {
      const many = call.kind === "client_streaming" || call.kind === "bidi_streaming";
      call.request = many ? mapped(call.request as AsyncIterable<Counted>, plusOne) : plusOne(call.request as Counted);
      const response = await next(call);
      return call.kind === "server_streaming" || call.kind === "bidi_streaming"
        ? mapped(response as AsyncIterable<Counted>, plusOne)
        : plusOne(response as Counted);
    };
    const { channel } = await pair(test, services);
    const client = createClient(Echo, channel, { interceptors: [change] });
    assert.equal((await client.unary({ count: 1n })).count, 3n);
    assert.deepEqual((await collect(client.down({ count: 2n }))).map((block) => block.count), [1n, 2n, 3n]);
    assert.equal((await client.up([{ count: 1n }, { count: 2n }])).count, 6n);
    const chat = client.bidi();
    await chat.send({ count: 5n });
    assert.equal((await chat.next()).value?.count, 7n);
    chat.end();
    assert.equal((await chat.next()).done, true);
    const upload = client.up();
    await upload.send({ count: 10n });
    upload.end();
    assert.equal((await upload).count, 12n);
  });

  it("answer by themselves, and try again", async (test) => {
    let tries = 0;
    const again: Interceptor = async (call, next) => {
      for (;;) {
        try {
          return await next(call);
        } catch (error) {
          if (!(error instanceof RpcError) || (tries += 1) > 2) throw error;
        }
      }
    };
    const { channel } = await pair(test, []);
    const failing = createClient(Echo, channel, { interceptors: [again] });
    assert.equal((await failure(failing.unary({}))).code, Code.UNIMPLEMENTED);
    assert.equal(tries, 3);
    const cached = createClient(Echo, channel, { interceptors: [async () => ({ count: 42n })] });
    const call = cached.unary({});
    assert.equal((await call).count, 42n);
    assert.equal((await call.headers).size, 0);
  });

  it("leave cancelling and signals as they are", async (test) => {
    const { channel } = await pair(test, [
      implement(Echo, { unary: (_, { signal }) => sleep(10_000, {}, { signal }) }),
    ], {}, { interceptors: [async (call, next) => next(call)] });
    const client = createClient(Echo, channel);
    const call = client.unary({});
    setTimeout(() => {
      call.cancel();
    }, 20);
    assert.equal((await failure(call)).code, Code.CANCELLED);
    await assert.rejects(client.unary({}, { signal: AbortSignal.timeout(20) }), { name: "TimeoutError" });
    assert.equal((await failure(client.unary({}, { timeoutMs: 20 }))).code, Code.DEADLINE_EXCEEDED);
  });
});

describe("interceptors of a server", () => {
  it("hand what they store on to handlers", async (test) => {
    const store: ServerInterceptor = async (call, next) => who.run(call.metadata.get("name") ?? "?", () => next(call));
    const { channel } = await pair(test, services, { interceptors: [store] });
    const client = createClient(Echo, channel);
    const names = Array.from({ length: 20 }, (_, i) => `name${i}`);
    const seen = await Promise.all(names.map(async (name) => (await client.unary({}, { metadata: { name } }).headers).get("who")));
    assert.deepEqual(seen, names);
  });

  it("see and change requests and responses", async (test) => {
    const change: ServerInterceptor = async (call, next) => {
      call.context.trailers.set("kind", call.kind);
      if (call.method.name === "Down") return mapped((await next(call)) as AsyncIterable<Counted>, plusOne);
      if (call.method.name === "Up") call.request = mapped(call.request as AsyncIterable<Counted>, plusOne);
      return next(call);
    };
    const { channel } = await pair(test, services, { interceptors: [change] });
    const client = createClient(Echo, channel);
    assert.deepEqual((await collect(client.down({ count: 3n }))).map((block) => block.count), [1n, 2n, 3n]);
    const up = client.up([{ count: 1n }]);
    assert.equal((await up).count, 2n);
    assert.equal((await up.trailers).get("kind"), "client_streaming");
  });

  it("refuse calls", async (test) => {
    const refuse: ServerInterceptor = async (call, next) => {
      if (call.metadata.get("token") !== "right") throw new RpcError(Code.UNAUTHENTICATED, "no token");
      return next(call);
    };
    const { channel } = await pair(test, services, { interceptors: [refuse] });
    const client = createClient(Echo, channel);
    assert.equal((await failure(client.unary({}))).code, Code.UNAUTHENTICATED);
    assert.equal((await failure(client.down({ count: 1n }).next())).code, Code.UNAUTHENTICATED);
    await client.unary({}, { metadata: { token: "right" } });
  });
});

describe("interceptors of methods", () => {
  it("stand around those alone, in the order of the list", async (test) => {
    const order: string[] = [];
    const named =
      (name: string) =>
      async <Call>(call: Call, next: (call: Call) => Promise<unknown>): Promise<unknown> => {
        order.push(name);
        return next(call);
      };
    const service = Echo.typeName;
    const { channel } = await pair(test, services, {
      interceptors: [only([`/${service}/Unary`], named("1")), named("2"), only([`/${service}/*`], named("3"))],
    });
    const interceptors = [
      only([`/${service}/Up`, "/other.Service/*"], named("a")),
      only([`/${service}/*`], named("b")),
      named("c"),
    ];
    const client = createClient(Echo, channel, { interceptors });
    await client.unary({});
    const unary = order.splice(0).join("");
    await client.up([{ count: 1n }]);
    assert.deepEqual([unary, order.join("")], ["bc123", "abc23"]);
  });

  it("are of methods", () => {
    const pass: Interceptor = (call, next) => next(call);
    assert.throws(() => only(["/a.A/*", "a.A"], pass), (error: unknown) => {
      assert.ok(error instanceof TypeError);
      assert.match(error.message, /methods: "a.A" must be a method/);
      return true;
    });
  });
});
