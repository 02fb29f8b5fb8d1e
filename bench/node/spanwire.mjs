// The bench service and its clients on Spanwire: with messages of protobuf-es, or, raw, with bytes.

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Channel, createClient, implement, loadProto, serve as listen } from "spanwire";

import { MAX_BODY_BYTES, PROTO, SERVICE } from "./echo.mjs";

const proto = loadProto(PROTO.file, { includePaths: [PROTO.folder] });
const Echo = proto.service(SERVICE);
const Block = proto.registry.getMessage("bench.v1.Block");

/** How a program sees messages: as objects, or as the bytes on the wire. `size` is what is compared of one and its echo. */
function messages(raw) {
  const block = ({ body = new Uint8Array(0), count = 0, sizeBytes = 0 }) =>
    create(Block, { body, count: BigInt(count), sizeBytes: BigInt(sizeBytes) });
  if (!raw) return { make: block, read: (message) => message, size: ({ body }) => body.length };
  return {
    make: (fields) => toBinary(Block, block(fields)),
    read: (bytes) => fromBinary(Block, bytes),
    size: (bytes) => bytes.length,
  };
}

/** The four methods with bytes as messages. */
function rawClient(channel) {
  return {
    unary: (request) => channel.unary(`/${SERVICE}/Unary`, request),
    down: (request) => channel.stream(`/${SERVICE}/Down`, "server_streaming", request),
    up: (requests) => channel.stream(`/${SERVICE}/Up`, "client_streaming", requests),
    bidi: () => channel.stream(`/${SERVICE}/Bidi`, "bidi_streaming"),
  };
}

export function connect(port, raw) {
  const channel = new Channel(`127.0.0.1:${port}`);
  const client = raw ? rawClient(channel) : createClient(Echo, channel);
  const { make, read, size } = messages(raw);
  return {
    make,
    size,
    unary: client.unary,

    bidi() {
      const call = client.bidi();
      return {
        async exchange(message) {
          await call.send(message);
          return (await call.next()).value;
        },
        cancel: () => call.cancel(),
      };
    },

    async down(wish, take) {
      for await (const reply of client.down(wish)) if (!take(reply)) break;
    },

    async up(blocks) {
      return Number(read(await client.up(blocks)).count);
    },

    close: () => channel.close(),
  };
}

export async function serve(port, raw) {
  const { make, read, size } = messages(raw);
  const handlers = {
    unary: (request) => request,

    *down(request) {
      const { count, sizeBytes } = read(request);
      const block = make({ body: new Uint8Array(Math.min(Number(sizeBytes), MAX_BODY_BYTES)) });
      for (let sent = 0n; sent < count; sent += 1n) yield block;
    },

    async up(requests) {
      let count = 0;
      let sizeBytes = 0;
      for await (const request of requests) {
        count += 1;
        sizeBytes += size(request);
      }
      return make({ count, sizeBytes });
    },

    async *bidi(requests) {
      for await (const request of requests) yield request;
    },
  };
  const methods = {
    [`/${SERVICE}/Unary`]: { kind: "unary", handler: handlers.unary },
    [`/${SERVICE}/Down`]: { kind: "server_streaming", handler: handlers.down },
    [`/${SERVICE}/Up`]: { kind: "client_streaming", handler: handlers.up },
    [`/${SERVICE}/Bidi`]: { kind: "bidi_streaming", handler: handlers.bidi },
  };
  const service = raw ? implement(methods) : implement(Echo, handlers);
  await listen({ address: `127.0.0.1:${port}`, services: [service] });
}
