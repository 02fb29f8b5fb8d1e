import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { after, before, describe, it } from "node:test";
import { ROOT_CONTEXT, TraceFlags, context as api, createTraceState, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { type Context, createClient, implement } from "spanwire";
import { Echo } from "./gen/echo_pb.js";
import { collect, pair, run } from "./support.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const TRACE = "0af7651916cd43dd8448eb211c80319c";
const SPAN = "b7ad6b7169203331";
const NOWHERE = { endpoint: "" };

/** Runs in a span of somebody else. */
function inside<T>(run: () => T, spanId = SPAN): T {
  const place = { traceId: TRACE, spanId, traceFlags: TraceFlags.SAMPLED, traceState: createTraceState("a=1") };
  return api.with(trace.setSpanContext(ROOT_CONTEXT, place), run);
}

/** Where the engine, and the API, say that a handler is. */
interface Seen {
  traceparent: string | undefined;
  api: string | undefined;
  state: string | undefined;
  sent: string | undefined;
}

function seen(context: Context): Seen {
  const place = trace.getSpanContext(api.active());
  return {
    traceparent: context.traceparent,
    api: place && `${place.traceId}-${place.spanId}`,
    state: place?.traceState?.serialize(),
    sent: context.metadata.get("traceparent"),
  };
}

/** A service that keeps what its handlers see. */
function keeping(all: Seen[]) {
  return implement(Echo, {
    async unary(request, context) {
      all.push(seen(context));
      await Promise.resolve();
      all.push(seen(context));
      return request;
    },
    async *down(request, context) {
      all.push(seen(context));
      yield request;
      await Promise.resolve();
      all.push(seen(context));
    },
  });
}

function check({ traceparent, api, state }: Seen, expected = { trace: TRACE, state: "a=1" as string | undefined }): void {
  const [, traceId, spanId] = (traceparent ?? "").split("-");
  assert.equal(traceId, expected.trace);
  assert.equal(api, `${traceId}-${spanId}`, "the engine's span is the API's current one");
  assert.notEqual(spanId, SPAN, "the span of the call is another one than the caller's");
  assert.equal(state, expected.state);
}

describe("OpenTelemetry's API", () => {
  const manager = new AsyncLocalStorageContextManager();
  before(() => api.setGlobalContextManager(manager.enable()));
  after(() => api.disable());

  for (const propagators of ["tracecontext", "grpc-trace-bin"]) {
    it(`has the parent of calls, and the span of handlers, with ${propagators}`, async (test) => {
      const state = propagators === "tracecontext" ? "a=1" : undefined;
      const telemetry = { endpoint: "", propagators };
      const all: Seen[] = [];
      const { channel } = await pair(test, [keeping(all)], { telemetry }, { telemetry });
      const client = createClient(Echo, channel);
      await inside(() => client.unary({}));
      await inside(async () => {
        await collect(client.down({}));
      });
      assert.equal(all.length, 4);
      for (const one of all) check(one, { trace: TRACE, state });
      all.length = 0;
      const own = { traceparent: `00-${"1".repeat(32)}-${"2".repeat(16)}-01` };
      await inside(() => client.unary({}, { metadata: own }));
      check(all[0]!, { trace: "1".repeat(32), state: undefined });
      all.length = 0;
      await client.unary({});
      assert.ok(!all[0]!.traceparent!.includes(TRACE), "outside of it nothing is left");
    });
  }

  it("has calls of a handler behind the span that is open in it", async (test) => {
    const all: Seen[] = [];
    const { channel } = await pair(test, [keeping(all)], {}, { telemetry: { endpoint: "", traceRatio: 0 } });
    const front = implement(Echo, {
      unary: (request) => inside(() => createClient(Echo, channel).unary(request), "1".repeat(16)),
    });
    const outer = await pair(test, [front], { telemetry: NOWHERE });
    await createClient(Echo, outer.channel).unary({});
    assert.equal(all[0]!.sent!.split("-")[1], TRACE);
  });

  it("is not asked by channels without traces", async (test) => {
    const all: Seen[] = [];
    for (const telemetry of [undefined, { endpoint: "", traces: false }]) {
      const { channel } = await pair(test, [keeping(all)], {}, { telemetry });
      await inside(() => createClient(Echo, channel).unary({}));
      assert.equal(all.pop()!.sent, undefined);
    }
  });

  it("is not loaded for anybody", async () => {
    const program = `
      import { createRequire } from "node:module";
      import { Channel, serve } from "spanwire";
      const telemetry = { endpoint: "" };
      const server = await serve({ address: "127.0.0.1:0", services: [], fallback: (requests) => requests, telemetry });
      const channel = new Channel(server.target, { telemetry });
      await channel.unary("/test.Echo/Echo", new Uint8Array());
      channel.close();
      await server.close();
      console.log(Object.keys(createRequire(import.meta.url).cache).filter((name) => name.includes("@opentelemetry")).length);
    `;
    assert.equal(await run(program), "0");
  });

  it("is used as the page says", async () => {
    const page = readFileSync(join(ROOT, "docs/observability.md"), "utf8");
    const [, snippet] = page.matchAll(/^```ts\n(.*?)^```$/gms);
    const program = `
      import { context } from "@opentelemetry/api";
      import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
      import { Channel, createClient, implement, loadProto, serve } from "spanwire";
      context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
      const Orders = loadProto(${JSON.stringify(join(ROOT, "proto/examples/shop/v1/orders.proto"))}).service("shop.v1.Orders");
      const stock = {
        async reserve() {
          console.log(trace.getSpanContext(context.active()).traceId);
          return {};
        },
      };
      ${snippet![1]}
      const telemetry = { endpoint: "" };
      const server = await serve({ address: "127.0.0.1:0", services: [orders], telemetry });
      const channel = new Channel(server.target);
      await createClient(Orders, channel).get({}, { metadata: { traceparent: "00-${TRACE}-${SPAN}-01" } });
      channel.close();
      await server.close();
    `;
    assert.equal(await run(program), TRACE);
  });
});
