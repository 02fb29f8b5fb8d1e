import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo } from "node:net";
import { after, before, describe, it } from "node:test";
import { type CallOptions, Channel, implement, Metadata, RpcError } from "spanwire";
import { Code, failure, pair } from "./support.js";
import { cases, hex, metadataTests } from "./vectors.js";

// Timeouts, and lists of accepted encodings, do not come up to the package: the engine checks itself against those.

/** No limit of 0 can be set. */
const LEAST_LIMIT = 1;

/** A server that says what it is told, however wrong. */
class RawServer {
  #server: Http2Server = createServer();
  answer: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void = () => {};

  async start(): Promise<string> {
    this.#server.on("stream", (stream: ServerHttp2Stream, headers) => {
      stream.on("error", () => {});
      this.answer(stream, headers);
    });
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return `127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): void {
    this.#server.close();
  }
}

/** What the code of a vector is named like. */
function codeOf(name: string): Code {
  return Code[name as keyof typeof Code];
}

describe("vectors", () => {
  const server = new RawServer();
  let channel: Channel;

  before(async () => {
    channel = new Channel(await server.start());
  });
  after(() => {
    channel.close();
    server.stop();
  });

  function call(options: CallOptions = {}): Promise<Uint8Array> {
    return channel.unary("/v.V/V", new Uint8Array(0), { timeoutMs: 10_000, ...options });
  }

  /** Answers with trailers only. */
  function trailersOnly(trailers: Record<string, string>, status = 200, type = "application/grpc"): void {
    server.answer = (stream) => {
      stream.respond({ ":status": status, "content-type": type, ...trailers }, { endStream: true });
    };
  }

  /** Answers with bytes, then OK. */
  function respond(encoding: string, chunks: Buffer[]): void {
    server.answer = (stream) => {
      const headers = { ":status": 200, "content-type": "application/grpc", "grpc-encoding": encoding };
      stream.respond(headers, { waitForTrailers: true });
      stream.on("wantTrailers", () => {
        stream.sendTrailers({ "grpc-status": "0" });
      });
      for (const chunk of chunks) stream.write(chunk);
      stream.end();
    };
  }

  metadataTests(Metadata);

  for (const { name, wire, values } of cases("metadata.json", "binary_decode")) {
    it(`metadata binary_decode: ${name}`, async () => {
      trailersOnly({ "grpc-status": "5", "x-bin": wire });
      const { trailers } = await failure(call());
      assert.deepEqual(
        trailers.getAll("x-bin").map((bytes) => Buffer.from(bytes).toString("hex")),
        values,
      );
    });
  }

  for (const { name, value, wire } of cases("metadata.json", "binary_encode")) {
    it(`metadata binary_encode: ${name}`, async () => {
      let seen: unknown;
      server.answer = (stream, headers) => {
        seen = headers["x-bin"];
        stream.respond({ ":status": 200, "content-type": "application/grpc", "grpc-status": "5" }, { endStream: true });
      };
      await failure(call({ metadata: { "x-bin": new Uint8Array(hex(value)) } }));
      assert.equal(seen, wire);
    });
  }

  for (const { name, message, wire } of cases("status.json", "message_decode")) {
    it(`status message_decode: ${name}`, async () => {
      trailersOnly({ "grpc-status": "5", "grpc-message": wire });
      assert.equal((await failure(call())).rawMessage, message);
    });
  }

  it("status message_encode: what is sent comes back", async (test) => {
    const messages = cases("status.json", "message_encode").map(({ message }) => message);
    const { channel } = await pair(test, [
      implement({
        "/v.V/V": {
          kind: "unary",
          handler(request) {
            throw new RpcError(Code.NOT_FOUND, messages[request[0] ?? 0]);
          },
        },
      }),
    ]);
    for (const [index, message] of messages.entries()) {
      assert.equal((await failure(channel.unary("/v.V/V", new Uint8Array([index])))).rawMessage, message);
    }
  });

  for (const { name, wire, code } of cases("status.json", "codes")) {
    it(`status codes: ${name}`, async () => {
      trailersOnly({ "grpc-status": wire });
      // Trailers only with OK has no message, where one is due.
      if (codeOf(code) === Code.OK) await failure(call());
      else assert.equal((await failure(call())).code, codeOf(code));
    });
  }

  for (const { name, http, code } of cases("status.json", "http")) {
    it(`status http: ${name}`, async () => {
      trailersOnly({}, http, "text/html");
      assert.equal((await failure(call())).code, codeOf(code));
    });
  }

  for (const { name, reason, code } of cases("status.json", "reset")) {
    it(`status reset: ${name}`, async () => {
      server.answer = (stream) => {
        stream.close(reason);
      };
      assert.equal((await failure(call())).code, codeOf(code));
    });
  }

  for (const { name, encoding, limit, wire, message, error } of cases("encodings.json", "decompress")) {
    it(`encodings decompress: ${name}`, async () => {
      const bytes = hex(wire);
      const prefix = Buffer.alloc(5);
      prefix.writeUInt8(encoding === "identity" ? 0 : 1);
      prefix.writeUInt32BE(bytes.length, 1);
      respond(encoding, [Buffer.concat([prefix, bytes])]);
      const answer = call({ maxRecvMessageBytes: Math.max(limit, LEAST_LIMIT) });
      if (error === undefined) assert.equal(Buffer.from(await answer).toString("hex"), message);
      else assert.equal((await failure(answer)).code === Code.RESOURCE_EXHAUSTED, error === "too_large");
    });
  }

  for (const { name, encoding, limit, chunks, messages, end } of cases("frames.json", "streams")) {
    it(`frames: ${name}`, async () => {
      respond(encoding, chunks.map(hex));
      const call = channel.stream("/v.V/V", "server_streaming", new Uint8Array(0), { maxRecvMessageBytes: Math.max(limit, LEAST_LIMIT) });
      const seen: string[] = [];
      const all = (async () => {
        for await (const message of call) seen.push(Buffer.from(message).toString("hex"));
      })();
      if (end === "ok") await all;
      else assert.equal((await failure(all)).code, codeOf(end));
      assert.deepEqual(seen, messages);
    });
  }
});
