// The client of gRPC-Web without a network; tests/web has it meet servers and a browser.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import * as node from "spanwire";
import { Channel, Code, createClient, type Interceptor, RpcError } from "spanwire/web";
import { collect, failure, gc, until } from "./support.js";
import { Echo } from "./gen/echo_pb.js";
import { type Answer, channelOf, endless, frame, settle, trailers } from "./web_support.js";

const PATH = "/text.v1.Text/Upper";
const ONE = new Uint8Array([1]);
const GOOD: Answer = { body: [frame(ONE), trailers()] };

/** How a unary call ends that is answered so. */
async function failureOf(answer: Answer, options = {}): Promise<RpcError> {
  return failure(channelOf(answer).channel.unary(PATH, ONE, options));
}

describe("a call of gRPC-Web", () => {
  it("sends one frame, and what goes before it", async () => {
    const { channel, requests } = channelOf(GOOD);
    const metadata = { "X-Tenant": ["north", "south"], "trace-bin": new Uint8Array([0xff, 0xfe]) };
    await channel.unary(PATH, Buffer.from("loud"), { metadata, timeoutMs: 1500 });
    const [request] = requests;
    assert.equal(request!.url, `https://orders.example${PATH}`);
    assert.deepEqual(Object.fromEntries(request!.headers), {
      "content-type": "application/grpc-web+proto",
      "grpc-timeout": "1500m",
      "trace-bin": "//4",
      "x-grpc-web": "1",
      "x-tenant": "north, south",
    });
    assert.deepEqual(request!.body, frame("loud"));
  });

  it("puts paths behind that of the server", async () => {
    const seen: string[] = [];
    const nobody = (url: URL): Promise<Response> => {
      seen.push(url.href);
      return Promise.reject(new TypeError("nobody"));
    };
    const channel = new Channel(new URL("https://example.com/api/"), { fetch: nobody as typeof fetch });
    await failure(channel.unary(PATH, ONE));
    assert.deepEqual(seen, [`https://example.com/api${PATH}`]);
  });

  it("has a message, headers and trailers", async () => {
    const { channel } = channelOf({
      headers: { "x-served-by": "a", "data-bin": "AQI, AwQ=" },
      body: [frame("LOUD"), trailers("Grpc-Status:0\r\nX-Cost: 1\r\nx-cost:2\r\ncost-bin: BQ\r\n")],
    });
    const call = channel.unary(PATH, ONE);
    assert.equal(Buffer.from(await call).toString(), "LOUD");
    assert.deepEqual((await call.headers).getAll("data-bin"), [new Uint8Array([1, 2]), new Uint8Array([3, 4])]);
    assert.deepEqual((await call.headers).toJSON()["x-served-by"], ["a"]);
    assert.deepEqual((await call.trailers).toJSON(), { "x-cost": ["1", "2"], "cost-bin": [new Uint8Array([5])] });
    assert.equal(call.peer, "https://orders.example");
    assert.equal(call.attempts, 1);
    assert.equal(call.compressed, false);
  });

  it("reads frames however they are cut", async () => {
    const whole = Buffer.concat([frame("one"), frame(""), frame("three"), trailers()]);
    for (let size = 1; size <= whole.length; size++) {
      const pieces = Array.from({ length: Math.ceil(whole.length / size) }, (_, i) => whole.subarray(i * size, (i + 1) * size));
      const { channel } = channelOf({ body: pieces });
      const messages = await collect(channel.stream(PATH, "server_streaming", ONE));
      assert.deepEqual(messages.map((message) => Buffer.from(message).toString()), ["one", "", "three"], `pieces of ${size}`);
    }
  });

  it("is typed, as in Node", async () => {
    const { channel, requests } = channelOf({ body: [frame(new Uint8Array([10, 1, 7])), trailers()] });
    const client = createClient(Echo, channel);
    const answer = await client.unary({ body: new Uint8Array([9]) });
    assert.deepEqual([...answer.body], [7]);
    assert.deepEqual(requests[0]!.body, frame(new Uint8Array([10, 1, 9])));
  });

  it("goes through interceptors", async () => {
    const { channel, requests } = channelOf(GOOD);
    const token: Interceptor = (call, next) => {
      call.metadata.set("authorization", "Bearer secret");
      return next(call);
    };
    await createClient(Echo, channel, { interceptors: [token] }).unary({}).catch(() => {});
    assert.equal(requests[0]!.headers.get("authorization"), "Bearer secret");
  });

  it("takes no more than its user does", async () => {
    let given = 0;
    const message = Buffer.alloc(60_000);
    const body = async function* (): AsyncIterable<Uint8Array> {
      for (;;) {
        given += 1;
        yield frame(message);
      }
    };
    const { channel } = channelOf({ body: body() });
    const call = channel.stream(PATH, "server_streaming", ONE);
    await call.next();
    await settle();
    const before = given;
    assert.ok(before <= 8, `${before} messages`);
    for (let taken = 0; taken < 20; taken++) await call.next();
    await settle();
    assert.ok(given >= 20 && given <= 28, `${given} messages`);
    await call.return();
  });
});

describe("the end of a call of gRPC-Web", () => {
  it("has code, text, details and trailers of the server", async () => {
    const details = Buffer.from(new RpcError(Code.NOT_FOUND, "", { details: [{ type: "ErrorInfo", reason: "GONE" }] }).encodedDetails);
    const block = `grpc-status: 5\r\ngrpc-message: no %E2%82%AC\r\ngrpc-status-details-bin: ${details.toString("base64")}\r\nx-cost: 1\r\n`;
    const error = await failureOf({ body: [frame(ONE), trailers(block)] });
    assert.equal(error.message, "NOT_FOUND: no €");
    assert.equal(error.sent, "answered");
    assert.equal(error.peer, "https://orders.example");
    assert.deepEqual(error.details, [{ type: "ErrorInfo", reason: "GONE", domain: "", metadata: {} }]);
    assert.deepEqual(error.trailers.toJSON(), { "x-cost": ["1"] });
    assert.ok(error instanceof node.RpcError);
  });

  it("may be in the headers, if there is no body", async () => {
    const headers = { "grpc-status": "7", "grpc-message": "no", "x-cost": "1" };
    const call = channelOf({ headers }).channel.unary(PATH, ONE);
    const error = await failure(call);
    assert.equal(error.message, "PERMISSION_DENIED: no");
    assert.equal(error.trailers.get("x-cost"), "1");
    assert.equal((await call.headers).size, 0);
    // It is void if there is one.
    const { channel } = channelOf({ headers, body: [frame(ONE), trailers()] });
    assert.deepEqual(new Uint8Array(await channel.unary(PATH, ONE)), ONE);
  });

  it("is UNKNOWN without a status, INTERNAL within a frame, and UNAVAILABLE if the connection is lost", async () => {
    const silent = await failureOf({ body: [frame(ONE)] });
    assert.equal(silent.message, "UNKNOWN: server ended the call without grpc-status");
    assert.equal((await failureOf({})).code, Code.UNKNOWN);
    assert.equal((await failureOf({ body: [frame(ONE), trailers("x-cost: 1\r\n")] })).code, Code.UNKNOWN);
    const cut = await failureOf({ body: [frame("whole").subarray(0, 7)] });
    assert.equal(cut.message, "INTERNAL: stream ended inside a message: 2 of 5 bytes");
    const prefix = await failureOf({ body: [frame("whole").subarray(0, 3)] });
    assert.equal(prefix.message, "INTERNAL: stream ended inside a message: 3 of 5 bytes of its prefix");
    const lost = await failureOf({ body: [frame(ONE), new Error("reset")] });
    assert.equal(lost.message, "UNAVAILABLE: connection lost: reset");
    assert.equal(lost.sent, "answered");
    const unreachable = await failure(
      channelOf(() => {
        throw new TypeError("fetch failed", { cause: new Error("refused") });
      }).channel.unary(PATH, ONE),
    );
    assert.equal(unreachable.message, "UNAVAILABLE: cannot reach the server: fetch failed: refused");
    assert.equal(unreachable.sent, "maybe_sent");
    assert.equal(unreachable.peer, undefined);
  });

  it("leaves the messages that came before it", async () => {
    const call = channelOf({ body: [frame("one"), frame("two"), new Error("reset")] }).channel.stream(PATH, "server_streaming", ONE);
    const seen: string[] = [];
    const error = await failure(
      (async () => {
        for await (const message of call) seen.push(Buffer.from(message).toString());
      })(),
    );
    assert.equal(error.code, Code.UNAVAILABLE);
    assert.deepEqual(seen, ["one", "two"]);
  });

  it("needs one message where one is due", async () => {
    const two = await failureOf({ body: [frame(ONE), frame(ONE), trailers()] });
    assert.equal(two.message, "UNIMPLEMENTED: response has two messages where one is due");
    const none = await failureOf({ body: [trailers("grpc-status: 0\r\nx-cost: 1\r\n")] });
    assert.equal(none.message, "UNIMPLEMENTED: response has no message where one is due");
    assert.equal(none.trailers.get("x-cost"), "1");
  });

  it("is INTERNAL for bytes behind the trailers, and for flags that mean nothing", async () => {
    assert.equal((await failureOf({ body: [frame(ONE), Buffer.concat([trailers(), ONE])] })).code, Code.INTERNAL);
    for (const flags of [2, 0x40, 0x82]) {
      assert.equal((await failureOf({ body: [frame(ONE, flags)] })).code, Code.INTERNAL, String(flags));
    }
  });

  it("does not wait for the end of the body", async () => {
    const { channel, requests } = channelOf({ body: endless(frame(ONE), trailers()) });
    await channel.unary(PATH, ONE);
    assert.equal(requests[0]!.signal.aborted, false);
  });

  it("is told of what is not gRPC-Web", async () => {
    const page = await failureOf({ headers: { "content-type": "text/html" }, body: [Buffer.from("<html>")] });
    assert.equal(page.message, "UNKNOWN: server answered HTTP 200, not gRPC-Web (content-type text/html)");
    for (const type of ["application/grpc", "application/grpc-web-text", "application/grpc-webfoo"]) {
      assert.equal((await failureOf({ ...GOOD, headers: { "content-type": type } })).code, Code.UNKNOWN, type);
    }
    for (const type of ["application/grpc-web", "Application/gRPC-Web+proto", "application/grpc-web; charset=utf-8"]) {
      await channelOf({ ...GOOD, headers: { "content-type": type } }).channel.unary(PATH, ONE);
    }
    const status = await failureOf({ status: 503, headers: { "content-type": "text/html", "grpc-status": "8" } });
    assert.equal(status.code, Code.RESOURCE_EXHAUSTED);
    const redirect = await failureOf({ status: 302, headers: { "content-type": "text/html", location: "/login" } });
    assert.equal(redirect.code, Code.UNKNOWN);
  });
});

describe("who calls by gRPC-Web", () => {
  it("may give up by a signal, a time, or a word", async () => {
    const { channel, requests } = channelOf({ body: endless() });
    const abort = new AbortController();
    const aborted = channel.unary(PATH, ONE, { signal: abort.signal });
    await until(() => requests.length === 1, "no request");
    abort.abort();
    await assert.rejects(aborted, { name: "AbortError" });
    assert.equal(requests[0]!.signal.aborted, true);

    const cancelled = channel.unary(PATH, ONE);
    await until(() => requests.length === 2, "no request");
    cancelled.cancel();
    await assert.rejects(cancelled, { message: "CANCELLED: the call was cancelled by its caller" });
    assert.equal(requests[1]!.signal.aborted, true);

    const late = await failure(channel.unary(PATH, ONE, { timeoutMs: 1 }));
    assert.equal(late.message, "DEADLINE_EXCEEDED: the call's deadline passed before the server answered in full");
    assert.equal(requests[2]!.signal.aborted, true);
  });

  it("sends nothing once it has given up", async () => {
    const { channel, requests } = channelOf(GOOD);
    await assert.rejects(channel.unary(PATH, ONE, { signal: AbortSignal.abort() }), { name: "AbortError" });
    const late = await failure(channel.unary(PATH, ONE, { timeoutMs: 0 }));
    assert.equal(late.message, "DEADLINE_EXCEEDED: the call's deadline passed before it was sent");
    assert.equal(late.sent, "not_sent");
    assert.equal(requests.length, 0);
  });

  it("has no limit without one, and timers that hold for long", async () => {
    const { channel, requests } = channelOf(GOOD);
    for (const timeoutMs of [undefined, Infinity, 99_999_999, 100_000_001, 3_000_000_000]) await channel.unary(PATH, ONE, { timeoutMs });
    const sent = requests.map(({ headers }) => headers.get("grpc-timeout"));
    assert.deepEqual(sent, [null, null, "99999999m", "100001S", "3000000S"]);
  });

  it("ends a stream by leaving it", async () => {
    const { channel, requests } = channelOf({ body: endless(frame(ONE)) });
    for await (const _ of channel.stream(PATH, "server_streaming", ONE)) break;
    assert.equal(requests[0]!.signal.aborted, true);
  });

  it("ends a stream by forgetting it", async () => {
    const { channel, requests } = channelOf({ body: endless(frame(ONE)) });
    await (async () => {
      await channel.stream(PATH, "server_streaming", ONE).next();
    })();
    await until(() => {
      gc();
      return requests[0]!.signal.aborted;
    }, "the request goes on");
  });

  it("is told what gRPC-Web cannot do", async () => {
    const { channel, requests } = channelOf(GOOD);
    for (const call of [channel.stream(PATH, "client_streaming", [ONE]), channel.stream(PATH, "bidi_streaming", [ONE]).next()]) {
      assert.equal((await failure(call)).code, Code.UNIMPLEMENTED);
    }
    assert.equal(requests.length, 0);
  });

  it("is told of targets and options that cannot be used", () => {
    for (const target of ["orders:443", "/", "ftp://a", "https://user@a", "https://a?b", "https://a#b"]) {
      assert.throws(() => new Channel(target), TypeError, target);
    }
    assert.throws(() => new Channel("https://a", { maxRecvMessageBytes: 0 }), TypeError);
    const { channel } = channelOf(GOOD);
    assert.throws(() => channel.unary("no path", ONE), TypeError);
    assert.throws(() => channel.unary(PATH, ONE, { metadata: { "grpc-timeout": "1S" } }), TypeError);
  });
});

describe("a compressed message of gRPC-Web", () => {
  const loud = Buffer.from("LOUD".repeat(100));
  const zipped = frame(gzipSync(loud), 1);

  it("is decompressed, and so are trailers", async () => {
    const body = [zipped, frame(gzipSync("grpc-status: 0\r\n"), 0x81)];
    const call = channelOf({ headers: { "grpc-encoding": "gzip" }, body }).channel.unary(PATH, ONE);
    assert.deepEqual(Buffer.from(await call), loud);
    assert.equal(call.compressed, true);
  });

  it("is refused in an encoding that is not known here, or was not named", async () => {
    const other = await failureOf({ headers: { "grpc-encoding": "zstd" }, body: [zipped, trailers()] });
    assert.equal(other.message, 'INTERNAL: server sent grpc-encoding "zstd", which the call did not accept');
    const unnamed = await failureOf({ body: [zipped, trailers()] });
    assert.equal(unnamed.message, "INTERNAL: message is compressed, but no grpc-encoding was agreed");
  });

  it("has a limit, before and behind", async () => {
    const answer = { headers: { "grpc-encoding": "gzip" }, body: [zipped, trailers()] };
    await channelOf(answer).channel.unary(PATH, ONE, { maxRecvMessageBytes: loud.length });
    const large = await failureOf(answer, { maxRecvMessageBytes: loud.length - 1 });
    assert.equal(large.code, Code.RESOURCE_EXHAUSTED);
    assert.match(large.message, /decompresses to more than max_recv_message_bytes \(399 bytes\)/);
  });
});

describe("limits of gRPC-Web", () => {
  it("hold to the byte for messages", async () => {
    const { channel, requests } = channelOf({ body: [frame("LOUD"), trailers()] });
    await channel.unary(PATH, Buffer.from("loud"), { maxRecvMessageBytes: 4, maxSendMessageBytes: 4 });
    const large = await failure(channel.unary(PATH, ONE, { maxRecvMessageBytes: 3 }));
    assert.equal(large.message, "RESOURCE_EXHAUSTED: message of 4 bytes is larger than max_recv_message_bytes (3 bytes)");
    const sent = await failure(channel.unary(PATH, Buffer.from("loud"), { maxSendMessageBytes: 3 }));
    assert.equal(sent.message, "RESOURCE_EXHAUSTED: message of 4 bytes is larger than max_send_message_bytes (3)");
    assert.equal(sent.sent, "not_sent");
    assert.equal(requests.length, 2);
  });

  it("hold on the prefix of a frame", async () => {
    const huge = Buffer.from([0, 0xff, 0xff, 0xff, 0xff]);
    assert.equal((await failureOf({ body: endless(huge) })).code, Code.RESOURCE_EXHAUSTED);
    huge[0] = 0x80;
    const block = await failureOf({ body: endless(frame(ONE), huge) });
    assert.equal(block.message, "RESOURCE_EXHAUSTED: trailers are larger than max_metadata_bytes (16384 bytes)");
  });

  it("hold to the byte and to the field for metadata", async () => {
    const answer = { body: [frame(ONE), trailers("grpc-status: 0\r\nx-a: 1\r\n")] };
    // Names, values and 32 for each of both; the headers have less.
    const bytes = "grpc-status".length + 1 + 32 + "x-a".length + 1 + 32;
    await channelOf(answer, { maxMetadataBytes: bytes, maxMetadataFields: 2 }).channel.unary(PATH, ONE);
    for (const options of [{ maxMetadataBytes: bytes - 1 }, { maxMetadataFields: 1 }]) {
      const error = await failure(channelOf(answer, options).channel.unary(PATH, ONE));
      assert.equal(error.code, Code.RESOURCE_EXHAUSTED, JSON.stringify(options));
    }
    const headers = await failureOf({ ...GOOD, headers: { "x-large": "a".repeat(16_384) } });
    assert.match(headers.message, /^RESOURCE_EXHAUSTED: metadata of \d+ bytes is larger than max_metadata_bytes \(16384 bytes\)$/);
  });

  it("have the defaults of all others", async () => {
    const { DEFAULTS } = (await import(new URL("web/channel.js", import.meta.resolve("spanwire")).href)) as typeof import("../esm/web/channel.js");
    const page = readFileSync(new URL("../../../docs/limits.md", import.meta.url), "utf8");
    const units: Record<string, number> = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 };
    for (const [name, value] of Object.entries(DEFAULTS)) {
      const row = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
      const found = new RegExp(`^\\| \`${row}\` \\|[^|]*channel[^|]*\\| (\\d+) ?(\\w*) \\|`, "m").exec(page);
      assert.ok(found !== null, row);
      assert.equal(value, Math.min(Number(found[1]) * (units[found[2]!] ?? 1), 0xffff_ffff), row);
    }
  });
});
