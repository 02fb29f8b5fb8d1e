import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { describe, it } from "node:test";
import { implement } from "spanwire";
import { pair, until } from "./support.js";

const BLOCK = new Uint8Array(60_000);

/** An HTTP/2 frame. */
function frame(type: number, flags: number, stream: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** A header field without compression. */
function field(name: string, value: string): Buffer {
  return Buffer.concat([Buffer.from([0, name.length]), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)]);
}

/** What begins a call of `path` with an empty request, and has room for an answer of any size. */
function call(path: string): Buffer {
  const window = Buffer.from([0, 4, 0x7f, 0xff, 0xff, 0xff]);
  const more = Buffer.from([0x7f, 0, 0, 0]);
  const fields = [
    field(":method", "POST"),
    field(":scheme", "http"),
    field(":path", path),
    field(":authority", "localhost"),
    field("content-type", "application/grpc"),
    field("te", "trailers"),
  ];
  return Buffer.concat([
    Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    frame(4, 0, 0, window),
    frame(8, 0, 0, more),
    frame(1, 4, 1, Buffer.concat(fields)),
    frame(0, 1, 1, Buffer.alloc(5)),
  ]);
}

describe("a client that never reads", () => {
  it("stops its own call alone, and not for ever", async (test) => {
    let sent = 0;
    let ended = false;
    const { server, channel } = await pair(
      test,
      [
        implement({
          "/t.Slow/Endless": {
            kind: "server_streaming",
            async *handler() {
              try {
                for (;;) {
                  yield BLOCK;
                  sent += 1;
                }
              } finally {
                ended = true;
              }
            },
          },
          "/t.Slow/Unary": { kind: "unary", handler: (request) => request },
        }),
      ],
      { stallTimeoutMs: 1000 },
    );
    const socket = connect(server.port!, "127.0.0.1").pause();
    test.after(() => socket.destroy());
    await once(socket, "connect");
    socket.write(call("/t.Slow/Endless"));

    // What the sockets of the system hold, and what a stream may have queued; from then on nothing.
    await until(() => sent > 0, "the call has begun");
    let before = -1;
    while (sent > before) {
      before = sent;
      for (let i = 0; i < 100; i++) await channel.unary("/t.Slow/Unary", new Uint8Array(10));
    }
    assert.ok(sent * BLOCK.length < 32 << 20, `${sent} messages were sent`);
    assert.equal(ended, false);
    await until(() => ended, "the call is given up");
    await channel.unary("/t.Slow/Unary", new Uint8Array(10));
  });
});
