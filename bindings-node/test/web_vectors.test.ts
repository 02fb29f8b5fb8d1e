// The client of gRPC-Web against tests/vectors, in a process that has no engine to ask.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { describe, it } from "node:test";
import { Code, Metadata, RpcError } from "spanwire/web";
import { cases, hex, metadataTests } from "./vectors.js";
import { type Answer, channelOf, frame, trailers } from "./web_support.js";

const NO_BYTES = new Uint8Array(0);
/** Browsers refuse it, and Node looks no further than the end. */
const LENIENT = "deflate with garbage behind";

/** What the code of a vector is named like. */
function codeOf(name: string): Code {
  return Code[name as keyof typeof Code];
}

async function failureOf(answer: Answer, options = {}): Promise<RpcError> {
  const error: unknown = await channelOf(answer).channel.unary("/v.V/V", NO_BYTES, options).then(() => undefined, (error: unknown) => error);
  assert.ok(error instanceof RpcError, String(error));
  return error;
}

describe("vectors of gRPC-Web", () => {
  metadataTests(Metadata);

  it("metadata values: bytes and text where they belong", () => {
    assert.throws(() => new Metadata({ name: NO_BYTES }), TypeError);
    assert.throws(() => new Metadata({ "name-bin": "" }), TypeError);
  });

  for (const { name, wire, values } of cases("metadata.json", "binary_decode")) {
    it(`metadata binary_decode: ${name}`, async () => {
      const inTrailers = await failureOf({ body: [trailers(`grpc-status: 5\r\nx-bin: ${wire}\r\n`)] });
      const inHeaders = await failureOf({ headers: { "grpc-status": "5", "x-bin": wire } });
      for (const { trailers } of [inTrailers, inHeaders]) {
        assert.deepEqual(
          trailers.getAll("x-bin").map((bytes) => Buffer.from(bytes).toString("hex")),
          values,
        );
      }
    });
  }

  for (const { name, value, wire } of cases("metadata.json", "binary_encode")) {
    it(`metadata binary_encode: ${name}`, async () => {
      const { channel, requests } = channelOf({ body: [frame(""), trailers()] });
      await channel.unary("/v.V/V", NO_BYTES, { metadata: { "x-bin": new Uint8Array(hex(value)) } });
      assert.equal(requests[0]!.headers.get("x-bin"), wire);
    });
  }

  for (const { name, message, wire } of cases("status.json", "message_decode")) {
    it(`status message_decode: ${name}`, async () => {
      const block = Buffer.from(`grpc-status: 5\r\ngrpc-message: ${wire}\r\n`);
      assert.equal((await failureOf({ body: [frame(block, 0x80)] })).rawMessage, message);
    });
  }

  for (const { name, wire, code } of cases("status.json", "codes")) {
    it(`status codes: ${name}`, async () => {
      const error = await failureOf({ body: [trailers(`grpc-status: ${wire}\r\n`)] });
      // One that is OK has no message, where one is due.
      assert.equal(error.code, codeOf(code) === Code.OK ? Code.UNIMPLEMENTED : codeOf(code));
    });
  }

  for (const { name, http, code } of cases("status.json", "http")) {
    it(`status http: ${name}`, async () => {
      assert.equal((await failureOf({ status: http, headers: { "content-type": "text/html" } })).code, codeOf(code));
    });
  }

  for (const { name, encoding, limit, wire, message, error } of cases("encodings.json", "decompress")) {
    // No limit of 0 can be set, and zstd is not what browsers undo.
    if (limit === 0 || encoding === "zstd" || name === LENIENT) continue;
    it(`encodings decompress: ${name}`, async () => {
      const answer = { headers: { "grpc-encoding": encoding }, body: [frame(hex(wire), encoding === "identity" ? 0 : 1), trailers()] };
      const options = { maxRecvMessageBytes: limit };
      if (error !== undefined) {
        assert.equal((await failureOf(answer, options)).code === Code.RESOURCE_EXHAUSTED, error === "too_large");
      } else {
        const bytes = await channelOf(answer).channel.unary("/v.V/V", NO_BYTES, options);
        assert.equal(Buffer.from(bytes).toString("hex"), message);
      }
    });
  }

  for (const { name, encoding, limit, chunks, messages, end } of cases("frames.json", "streams")) {
    // Here the flag means something: trailers.
    if (encoding === "zstd" || name === "flag 128") continue;
    it(`frames: ${name}`, async () => {
      const body = [...chunks.map(hex), ...(end === "ok" ? [trailers()] : [])];
      const { channel } = channelOf({ headers: { "grpc-encoding": encoding }, body });
      const call = channel.stream("/v.V/V", "server_streaming", NO_BYTES, { maxRecvMessageBytes: limit });
      const seen: string[] = [];
      let code = "ok";
      try {
        for await (const message of call) seen.push(Buffer.from(message).toString("hex"));
      } catch (error) {
        assert.ok(error instanceof RpcError);
        code = Code[error.code];
      }
      assert.deepEqual({ seen, code }, { seen: messages, code: end });
    });
  }

  it("had no addon", () => {
    assert.deepEqual(Object.keys(createRequire(import.meta.url).cache).filter((file) => file.endsWith(".node")), []);
  });
});
