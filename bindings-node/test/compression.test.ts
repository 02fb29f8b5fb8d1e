import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type Compression, implement, uncompressed } from "spanwire";
import { pair } from "./support.js";

const body = new Uint8Array(10_000);

const services = [
  implement({
    "/t.C/Unary": {
      kind: "unary",
      handler(request, context) {
        const wanted = context.metadata.get("want");
        if (wanted !== undefined) context.setCompression(wanted as Compression);
        context.headers.set("compressed", String(context.compressed));
        return wanted === undefined ? request : context.metadata.has("plain") ? uncompressed(request) : request;
      },
    },
    "/t.C/Bidi": {
      kind: "bidi_streaming",
      async *handler(requests, context) {
        context.setCompression("gzip");
        for await (const request of requests) yield context.compressed ? request : uncompressed(request);
      },
    },
  }),
];

describe("compression", () => {
  for (const compression of ["gzip", "deflate", "zstd"] as const) {
    it(`by ${compression} goes both ways`, async (test) => {
      const { channel } = await pair(test, services);
      const call = channel.unary("/t.C/Unary", body, { compression, metadata: { want: compression } });
      assert.deepEqual(await call, body);
      assert.equal((await call.headers).get("compressed"), "true");
      assert.equal(call.compressed, true);
    });
  }

  it("is a channel's default, which calls may change", async (test) => {
    const { channel } = await pair(test, services, {}, { compression: "gzip" });
    const compressed = async (...args: Parameters<typeof channel.unary>): Promise<unknown> =>
      (await channel.unary(...args).headers).get("compressed");
    assert.equal(await compressed("/t.C/Unary", body), "true");
    assert.equal(await compressed("/t.C/Unary", body, { compression: "identity" }), "false");
    assert.equal(await compressed("/t.C/Unary", uncompressed(body)), "false");
  });

  it("leaves out messages that are marked", async (test) => {
    const { channel } = await pair(test, services);
    const plain = channel.unary("/t.C/Unary", body, { metadata: { want: "gzip", plain: "1" } });
    await plain;
    assert.equal(plain.compressed, false);
    const call = channel.stream("/t.C/Bidi", "bidi_streaming", [body, uncompressed(body), body], { compression: "gzip" });
    const seen: boolean[] = [];
    for await (const message of call) {
      assert.equal(message.length, body.length);
      seen.push(call.compressed);
    }
    assert.deepEqual(seen, [true, false, true]);
  });
});
