import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Channel, createClient, implement, Metadata, RpcError } from "spanwire";
import { BlockSchema, Echo } from "./gen/echo_pb.js";
import { Code, failure, pair, sleep } from "./support.js";

const body = new Uint8Array([1, 2, 3]);

async function echo(test: TestContext): Promise<ReturnType<typeof createClient<typeof Echo>>> {
  const { channel } = await pair(test, [
    implement(Echo, {
      async unary(request, context) {
        for (const [name, value] of context.metadata) {
          if (name.startsWith("x-")) context.headers.append(name, value);
        }
        context.trailers.set("path", context.method.path);
        if (request.count === 1n) await sleep(10_000, undefined, { signal: context.signal });
        return request;
      },
    }),
  ]);
  return createClient(Echo, channel);
}

describe("a unary call", () => {
  it("answers with a message", async (test) => {
    const client = await echo(test);
    const call = client.unary({ body, count: 7n });
    const response = await call;
    assert.equal(response.$typeName, "bench.v1.Block");
    assert.deepEqual(response.body, body);
    assert.equal(response.count, 7n);
    assert.match(call.peer ?? "", /^ipv4:127\.0\.0\.1:\d+$/);
    assert.equal(call.attempts, 1);
  });

  it("takes messages that were made before", async (test) => {
    const client = await echo(test);
    assert.deepEqual((await client.unary(create(BlockSchema, { body }))).body, body);
  });

  it("is a promise like any other", async (test) => {
    const client = await echo(test);
    const call = client.unary({ body });
    assert.ok(call instanceof Promise);
    const [first, second] = await Promise.all([call, call.then((block) => block.body.length)]);
    assert.equal(first.body.length, second);
  });

  it("carries metadata both ways", async (test) => {
    const client = await echo(test);
    const call = client.unary({}, { metadata: { "x-text": ["a", "b"], "X-bytes-bin": new Uint8Array([0, 255]) } });
    const [headers, trailers] = await Promise.all([call.headers, call.trailers, call]);
    assert.deepEqual(headers.getAll("x-text"), ["a", "b"]);
    assert.deepEqual(headers.get("x-bytes-bin"), new Uint8Array([0, 255]));
    assert.equal(trailers.get("PATH"), "/bench.v1.Echo/Unary");
    assert.equal(trailers.get("other"), undefined);
  });

  it("carries metadata larger than what crosses at once", async (test) => {
    const client = await echo(test);
    const call = client.unary({}, { metadata: { "x-large": "v".repeat(7000) } });
    assert.equal((await call.headers).get("x-large")?.length, 7000);
    await call;
  });

  it("ends with its deadline", async (test) => {
    const client = await echo(test);
    const error = await failure(client.unary({ count: 1n }, { timeoutMs: 50 }));
    assert.equal(error.code, Code.DEADLINE_EXCEEDED);
    const late = await failure(client.unary({}, { timeoutMs: 0 }));
    assert.equal(late.code, Code.DEADLINE_EXCEEDED);
    assert.equal(late.sent, "not_sent");
    await client.unary({}, { timeoutMs: Infinity });
  });

  it("rejects with the reason of its signal", async (test) => {
    const client = await echo(test);
    const abort = new AbortController();
    const call = client.unary({ count: 1n }, { signal: abort.signal });
    abort.abort();
    await assert.rejects(call, { name: "AbortError" });
    await assert.rejects(client.unary({}, { signal: abort.signal }), { name: "AbortError" });
    await assert.rejects(client.unary({ count: 1n }, { signal: AbortSignal.timeout(20) }), { name: "TimeoutError" });
    const reason = new Error("mine");
    await assert.rejects(client.unary({}, { signal: AbortSignal.abort(reason) }), reason);
  });

  it("can be cancelled, at any time and often", async (test) => {
    const client = await echo(test);
    const call = client.unary({ count: 1n });
    call.cancel();
    call.cancel();
    assert.equal((await failure(call)).code, Code.CANCELLED);
    call.cancel();
    const done = client.unary({});
    await done;
    done.cancel();
  });

  it("fails on another service, and says where", async (test) => {
    const { channel } = await pair(test, []);
    const error = await failure(createClient(Echo, channel).unary({}));
    assert.equal(error.code, Code.UNIMPLEMENTED);
    assert.equal(error.sent, "answered");
    assert.match(error.peer ?? "", /^ipv4:127/);
    assert.match(error.message, /^UNIMPLEMENTED: .+/);
  });

  it("fails when nobody listens", async () => {
    const channel = new Channel("127.0.0.1:1");
    const error = await failure(channel.unary("/a.B/C", body));
    assert.equal(error.code, Code.UNAVAILABLE);
    assert.equal(error.sent, "not_sent");
    channel.close();
  });

  it("carries bytes of any size", async (test) => {
    const { channel } = await pair(test, [
      implement({ "/a.B/C": { kind: "unary", handler: (request) => request } }),
    ]);
    for (const size of [0, 1, 2047, 2048, 2049, 8191, 8192, 8193, 70_000, 3_000_000]) {
      const request = new Uint8Array(size).fill(size);
      assert.deepEqual(Buffer.compare(await channel.unary("/a.B/C", request), request), 0, String(size));
    }
  });

  it("fails with RESOURCE_EXHAUSTED for what is too large", async (test) => {
    const { channel } = await pair(test, [
      implement({ "/a.B/C": { kind: "unary", handler: () => new Uint8Array(1000) } }),
    ]);
    const sent = await failure(channel.unary("/a.B/C", new Uint8Array(1000), { maxSendMessageBytes: 999 }));
    assert.equal(sent.code, Code.RESOURCE_EXHAUSTED);
    const received = await failure(channel.unary("/a.B/C", body, { maxRecvMessageBytes: 999 }));
    assert.equal(received.code, Code.RESOURCE_EXHAUSTED);
    assert.equal((await channel.unary("/a.B/C", body, { maxRecvMessageBytes: 1000 })).length, 1000);
  });

  it("keeps a hundred others in flight", async (test) => {
    const client = await echo(test);
    const calls = Array.from({ length: 1000 }, (_, i) => client.unary({ sizeBytes: BigInt(i) }));
    const answers = await Promise.all(calls);
    assert.deepEqual(answers.map((block) => Number(block.sizeBytes)), calls.map((_, i) => i));
  });
});

describe("an error", () => {
  it("carries code, text, details and trailers", async (test) => {
    const { channel } = await pair(test, [
      implement(Echo, {
        unary() {
          throw new RpcError(Code.FAILED_PRECONDITION, "not now: ü", {
            trailers: { why: "because" },
            details: [
              { type: "RetryInfo", retryDelayMs: 1500.5 },
              { type: "ErrorInfo", reason: "GONE", domain: "example.com", metadata: { zone: "7" } },
              { type: "BadRequest", fieldViolations: [{ field: "body", description: "is empty" }] },
              { type: "DebugInfo", stackEntries: ["a", "b"] },
              { desc: BlockSchema, value: { count: 3n } },
            ],
          });
        },
      }),
    ]);
    const error = await failure(createClient(Echo, channel).unary({}));
    assert.equal(error.code, Code.FAILED_PRECONDITION);
    assert.equal(error.message, "FAILED_PRECONDITION: not now: ü");
    assert.equal(error.rawMessage, "not now: ü");
    assert.equal(error.trailers.get("why"), "because");
    assert.deepEqual(error.details.slice(0, 4), [
      { type: "RetryInfo", retryDelayMs: 1500.5 },
      { type: "ErrorInfo", reason: "GONE", domain: "example.com", metadata: { zone: "7" } },
      { type: "BadRequest", fieldViolations: [{ field: "body", description: "is empty" }] },
      { type: "DebugInfo", stackEntries: ["a", "b"], detail: "" },
    ]);
    assert.equal(error.details[4]?.type, "unknown");
    assert.equal(error.detail(BlockSchema)?.count, 3n);
  });

  it("that is malformed has no details", async (test) => {
    const { channel } = await pair(test, [
      implement({
        "/a.B/C": {
          kind: "unary",
          handler: () => {
            throw new RpcError(Code.ABORTED, "", { details: [{ type: "unknown", typeUrl: "x/google.rpc.Help", value: new Uint8Array([1]) }] });
          },
        },
      }),
    ]);
    const error = await failure(channel.unary("/a.B/C", body));
    assert.equal(error.message, "ABORTED");
    assert.equal(error.details[0]?.type, "unknown");
  });

  it("refuses what is no status", () => {
    assert.throws(() => new RpcError(Code.OK, ""), TypeError);
    assert.throws(() => new RpcError(99 as never, ""), /99 is no code/);
    assert.throws(() => new RpcError(Code.ABORTED, "", { details: [{ type: "Nope" } as never] }), /"Nope" is none of/);
    assert.throws(() => new RpcError(Code.ABORTED, "", { details: [{ type: "Help", links: "x" } as never] }), /links cannot be string/);
  });
});

describe("metadata", () => {
  it("are taken in every form", () => {
    const pairs: [string, string][] = [["a", "1"], ["a", "2"]];
    assert.deepEqual([...new Metadata(pairs)], pairs);
    assert.deepEqual([...new Metadata({ A: ["1", "2"], b: undefined })], pairs);
    assert.deepEqual([...new Metadata(new Metadata(pairs))], pairs);
    assert.deepEqual([...new Metadata(new Headers([["a", "1"]]))], [["a", "1"]]);
  });

  it("change, and leave those that they were made of", () => {
    const first = new Metadata({ a: "1" });
    const second = new Metadata(first).append("a", "2").set("b", "3");
    assert.deepEqual([...second], [["a", "1"], ["a", "2"], ["b", "3"]]);
    assert.deepEqual([...second.delete("A")], [["b", "3"]]);
    assert.equal(first.size, 1);
    assert.equal(JSON.stringify(first), '{"a":["1"]}');
  });

  it("refuse what cannot be sent, and say what", () => {
    for (const [init, text] of [
      [{ "grpc-x": "1" }, /grpc-x.*reserved/],
      [{ "a b": "1" }, /names are made of/],
      [{ a: "ü" }, /printable ASCII/],
      [{ "a-bin": "1" }, /takes bytes/],
      [{ a: new Uint8Array(1) }, /-bin/],
      [{ a: 1 }, /must be a string or a Uint8Array, not number/],
      [[[1, "a"]], /a name must be a string/],
      ["text", /an object or an iterable/],
      [null, /an object or an iterable/],
    ] as [never, RegExp][]) {
      assert.throws(() => new Metadata(init), (error) => error instanceof TypeError && text.test(error.message));
    }
    assert.throws(() => new Metadata().set("a", "\n"), TypeError);
  });
});

describe("what is misused", () => {
  it("is told by the name of the setting", () => {
    for (const [options, text] of [
      [{ connectTimeoutMs: 0 }, /connectTimeoutMs: 0 cannot be used/],
      [{ connectTimeoutMs: Infinity }, /connectTimeoutMs: Infinity cannot be used/],
      [{ connectTimeoutMs: "1" }, /connectTimeoutMs: a number is due, not string/],
      [{ maxRecvMessageBytes: -1 }, /maxRecvMessageBytes: -1/],
      [{ connectTimeout: 1 }, /Channel has no option "connectTimeout"/],
      [{ compression: "lzma" }, /compression: "lzma" is none of/],
      [{ keepaliveWithoutCalls: 1 }, /keepaliveWithoutCalls: a boolean is due/],
      [{ tls: { caFile: "/no/such/file" } }, /no\/such\/file/],
      [{ tls: { caPem: "x", keyFile: "y" } }, /certificate and key belong together/],
      [{ tls: { cert: "x" } }, /tls has no option "cert"/],
      [{ tls: 1 }, /tls: an object or a boolean is due/],
      [{ authority: 1 }, /authority: a string is due/],
    ] as [never, RegExp][]) {
      assert.throws(
        () => new Channel("127.0.0.1:1", options),
        (error) => error instanceof TypeError && text.test(error.message),
        String(text),
      );
    }
    assert.throws(() => new Channel("what:is:this:"), TypeError);
    assert.throws(() => new Channel(7 as never), /target: a string is due, not number/);
    assert.throws(() => new Channel("a:1", null as never), /options: an object is due/);
  });

  it("is told at the call", async (test) => {
    const { channel } = await pair(test, []);
    const client = createClient(Echo, channel);
    assert.throws(() => client.unary(7 as never), /bench.v1.Block is due, not number/);
    assert.throws(() => client.unary({}, { timeoutMs: "1" as never }), /timeoutMs: a number is due/);
    assert.throws(() => client.unary({}, { compression: "x" as never }), /compression/);
    assert.throws(() => client.unary({}, { maxRecvMessageBytes: 0 }), /maxRecvMessageBytes: 0/);
    assert.throws(() => client.unary({}, { metadata: { a: 1 } as never }), /metadata "a"/);
    assert.throws(() => client.up(7 as never), /an iterable of messages is due/);
    assert.throws(() => channel.unary("/a.B/C", "text" as never), /a Uint8Array is due, not string/);
    assert.throws(() => channel.unary("nope", body), /not of the form/);
    assert.throws(() => channel.stream("/a.B/C", "unary" as never), /unary\(\)/);
    assert.throws(() => channel.stream("/a.B/C", "x" as never), /none of unary/);
    assert.throws(() => createClient({} as never, channel), /descriptor of a service/);
    channel.close();
    assert.throws(() => channel.unary("/a.B/C", body), /closed/);
    assert.throws(() => channel.connectivity, /closed/);
    channel.close();
  });
});
