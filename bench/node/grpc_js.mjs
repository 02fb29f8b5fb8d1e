// The bench service and its clients on @grpc/grpc-js: with messages of proto-loader, or, raw, with bytes.

import { once } from "node:events";
import { setImmediate as turn } from "node:timers/promises";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

import { MAX_BODY_BYTES, PROTO, SERVICE } from "./echo.mjs";

const definition = protoLoader.loadSync(PROTO.file, { includeDirs: [PROTO.folder], longs: Number });

/** The service, whose messages stay bytes if it is raw. */
function service(raw) {
  const methods = definition[SERVICE];
  if (!raw) return methods;
  const same = (bytes) => bytes;
  const coders = { requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same };
  return Object.fromEntries(Object.entries(methods).map(([name, method]) => [name, { ...method, ...coders }]));
}

function messages(raw) {
  const { requestSerialize, requestDeserialize } = definition[SERVICE].Unary;
  const same = (message) => message;
  if (!raw) return { make: same, read: same, size: ({ body }) => body?.length ?? 0 };
  return { make: requestSerialize, read: requestDeserialize, size: (bytes) => bytes.length };
}

const TURNS = 8;

/**
 * Writes all that a stream has room for, then waits for more, and for some turns of the event loop.
 *
 * A client's stream says that it has room long before anything is on the wire. Who believes that has every message written
 * by itself, is held at the window of the connection, and now and then loses the call to ENHANCE_YOUR_CALM. With so
 * many turns in between grpc-js does best here.
 */
async function writeAll(stream, blocks) {
  for (const block of blocks) {
    if (stream.destroyed || stream.cancelled) return;
    if (stream.write(block)) continue;
    await once(stream, "drain");
    for (let passed = 0; passed < TURNS; passed += 1) await turn();
  }
  stream.end();
}

export function connect(port, raw) {
  const Client = grpc.makeClientConstructor(service(raw), SERVICE);
  const client = new Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure());
  const { make, read, size } = messages(raw);
  return {
    make,
    size,

    unary: (request) =>
      new Promise((resolve, reject) => {
        client.Unary(request, (error, reply) => (error ? reject(error) : resolve(reply)));
      }),

    bidi() {
      const call = client.Bidi();
      let settle;
      call.on("data", (reply) => settle.resolve(reply));
      call.on("error", (error) => error.code === grpc.status.CANCELLED || settle.reject(error));
      return {
        exchange: (message) =>
          new Promise((resolve, reject) => {
            settle = { resolve, reject };
            call.write(message);
          }),
        cancel: () => call.cancel(),
      };
    },

    down: (wish, take) =>
      new Promise((resolve, reject) => {
        const call = client.Down(wish);
        call.on("data", (reply) => {
          try {
            if (take(reply)) return;
          } catch (error) {
            reject(error);
          }
          call.removeAllListeners("data");
          call.cancel();
        });
        call.on("error", (error) => (error.code === grpc.status.CANCELLED ? resolve() : reject(error)));
      }),

    up: (blocks) =>
      new Promise((resolve, reject) => {
        const call = client.Up((error, reply) => (error ? reject(error) : resolve(read(reply).count ?? 0)));
        writeAll(call, blocks).catch(reject);
      }),

    close: () => client.close(),
  };
}

export async function serve(port, raw) {
  const { make, read, size } = messages(raw);

  function* blocks(request) {
    const { count = 0, sizeBytes = 0 } = read(request);
    const block = make({ body: new Uint8Array(Math.min(sizeBytes, MAX_BODY_BYTES)) });
    for (let sent = 0; sent < count; sent += 1) yield block;
  }

  const server = new grpc.Server();
  server.addService(service(raw), {
    Unary: ({ request }, answer) => answer(null, request),

    Down: (call) => void writeAll(call, blocks(call.request)),

    Up(call, answer) {
      let count = 0;
      let sizeBytes = 0;
      call.on("data", (request) => {
        count += 1;
        sizeBytes += size(request);
      });
      call.on("end", () => answer(null, make({ count, sizeBytes })));
    },

    Bidi(call) {
      call.on("data", (request) => call.write(request));
      call.on("end", () => call.end());
    },
  });
  await new Promise((resolve, reject) => {
    const credentials = grpc.ServerCredentials.createInsecure();
    server.bindAsync(`127.0.0.1:${port}`, credentials, (error) => (error ? reject(error) : resolve()));
  });
}
