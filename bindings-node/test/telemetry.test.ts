import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Channel, type Context, createClient, implement, loadProto, serve, type TelemetryOptions } from "spanwire";
import { Echo } from "./gen/echo_pb.js";
import { pair } from "./support.js";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));
const CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/** What a handler sees of the trace of the caller. */
const SEEN = /^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/;

interface Span {
  name: string;
  traceId: Uint8Array;
  spanId: Uint8Array;
  parentSpanId: Uint8Array;
}
interface Traces {
  resourceSpans: { scopeSpans: { spans: Span[] }[] }[];
}
interface Metrics {
  resourceMetrics: { scopeMetrics: { metrics: { name: string }[] }[] }[];
}

/** A collector that keeps what it gets. */
async function collector(): Promise<{ endpoint: string; spans: Span[]; metrics: Set<string>; close(): Promise<void> }> {
  const spans: Span[] = [];
  const metrics = new Set<string>();
  const service = (signal: string, name: string, take: (request: Traces & Metrics) => void) =>
    implement(
      loadProto(join(ROOT, `proto/opentelemetry/proto/collector/${signal}/v1/${signal}_service.proto`), {
        includePaths: [join(ROOT, "proto")],
      }).service(`opentelemetry.proto.collector.${signal}.v1.${name}Service`),
      {
        export(request: unknown) {
          take(request as Traces & Metrics);
          return {};
        },
      },
    );
  const server = await serve({
    address: "127.0.0.1:0",
    services: [
      service("trace", "Trace", ({ resourceSpans }: Traces) => {
        spans.push(...resourceSpans.flatMap((of) => of.scopeSpans.flatMap((scope) => scope.spans)));
      }),
      service("metrics", "Metrics", ({ resourceMetrics }: Metrics) => {
        for (const { name } of resourceMetrics.flatMap((of) => of.scopeMetrics.flatMap((scope) => scope.metrics))) metrics.add(name);
      }),
    ],
  });
  return { endpoint: `http://${server.target}`, spans, metrics, close: () => server.close({ graceMs: 0 }) };
}

const PROGRAM = `
  import { Channel, serve } from "spanwire";
  const [endpoint, traceparent] = process.argv.slice(-2);
  const telemetry = { endpoint, serviceName: "front" };
  let channel;
  async function* fallback(requests, context) {
    if (context.path === "/test.Front/Inner") yield* requests;
    else yield await channel.unary("/test.Front/Inner", Buffer.from(context.traceparent), { parent: context });
  }
  const server = await serve({ address: "127.0.0.1:0", services: [], fallback, telemetry });
  channel = new Channel(server.target, { telemetry });
  const answer = await channel.unary("/test.Front/Outer", new Uint8Array(), { metadata: { traceparent } });
  console.log(Buffer.from(answer).toString());
  channel.close();
  await server.close();
`;

describe("telemetry", () => {
  it("tells a collector of one trace with its parents, and of metrics", async () => {
    const kept = await collector();
    try {
      const arguments_ = ["--input-type=module", "--eval", PROGRAM, kept.endpoint, CALLER];
      const { stdout } = await promisify(execFile)(process.execPath, arguments_, { timeout: 60_000 });
      const seen = stdout.trim();
      assert.match(seen, SEEN);
      const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
      const [, trace, caller] = CALLER.split("-");
      let parent = caller;
      // What has no method of its own in a server is the same to it.
      for (const name of ["Sent.test.Front.Outer", "Attempt.test.Front.Outer", "Recv.other", "Sent.test.Front.Inner", "Attempt.test.Front.Inner", "Recv.other"]) {
        const span = kept.spans.find((span) => span.name === name && hex(span.parentSpanId) === parent);
        assert.ok(span !== undefined, `${name} in ${parent}: ${kept.spans.map(({ name }) => name).join(", ")}`);
        assert.equal(hex(span.traceId), trace, name);
        parent = hex(span.spanId);
      }
      assert.equal(kept.spans.length, 6);
      assert.ok(kept.spans.some(({ spanId }) => hex(spanId) === seen.split("-")[2]), "what the handler sees");
      for (const name of ["grpc.client.attempt.duration", "grpc.client.call.duration", "grpc.server.call.duration"]) {
        assert.ok(kept.metrics.has(name), name);
      }
    } finally {
      await kept.close();
    }
  });

  it("shows handlers where they are", async (test) => {
    const seen: (string | undefined)[] = [];
    const service = implement(Echo, {
      unary(request, context: Context) {
        seen.push(context.traceparent);
        return request;
      },
    });
    for (const telemetry of [undefined, { endpoint: "" }]) {
      const { channel } = await pair(test, [service], { telemetry });
      await createClient(Echo, channel).unary({}, { metadata: { traceparent: CALLER } });
    }
    assert.equal(seen[0], undefined);
    assert.match(seen[1] ?? "", SEEN);
  });

  it("names options that make no sense", () => {
    const refused = (telemetry: unknown, text: RegExp): void => {
      assert.throws(() => new Channel("127.0.0.1:1", { telemetry: telemetry as TelemetryOptions }), text);
    };
    refused({ endpoint: "http://" }, /telemetry: endpoint/);
    refused({ traceRatio: 1.5 }, /telemetry: trace_ratio/);
    refused({ traceRatio: -1 }, /traceRatio/);
    refused({ propagators: "b3" }, /telemetry: propagators/);
    refused({ accessLog: "some" }, /telemetry: access_log/);
    refused({ nonsense: 1 }, /telemetry has no option/);
    refused("http://collector", /object is due/);
  });

  it("is switched on as the page says", async () => {
    const page = readFileSync(join(ROOT, "docs/observability.md"), "utf8");
    const [, snippet] = /^```ts\n(.*?)^```$/ms.exec(page)!;
    const program = `import { Channel, serve } from "spanwire"; ${snippet}; traced.close(); await server.close();`;
    const { stdout, stderr } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program], { timeout: 60_000 });
    assert.deepEqual({ stdout, stderr }, { stdout: "", stderr: "" });
  });
});
