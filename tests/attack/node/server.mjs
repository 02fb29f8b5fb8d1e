// The server that is attacked, in Node; see ../src/bin/spanwire-attack-server.rs.

import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

import { implement, serve } from "spanwire";

const TARGET = "/attack.Target";

const { values: flags } = parseArgs({
  options: {
    "certificate-pem": { type: "string" },
    "key-pem": { type: "string" },
    "handshake-timeout-ms": { type: "string" },
    "max-connections": { type: "string" },
    "max-recv-message-bytes": { type: "string" },
    "max-unfinished-request-bytes": { type: "string" },
  },
});
const number = (text) => (text === undefined ? undefined : Number(text));
const encoder = new TextEncoder();
const never = () => new Promise(() => {});
/** What every message of Down is a piece of. */
const zeros = new Uint8Array(1 << 20);

const methods = {
  Echo: { kind: "unary", handler: (request) => request },
  // The address of the connection's other end: the same as long as the connection is.
  WhoAmI: { kind: "unary", handler: (_request, context) => encoder.encode(context.peer) },
  Wait: { kind: "unary", handler: never },
  // As many messages of such a size as the request says: `count size`.
  Down: {
    kind: "server_streaming",
    *handler(request) {
      const [count, size] = new TextDecoder().decode(request).split(" ").map(Number);
      for (let sent = 0; sent < count; sent += 1) yield zeros.subarray(0, size);
    },
  },
  // The number of messages.
  Up: {
    kind: "client_streaming",
    async handler(requests) {
      let count = 0;
      for await (const _ of requests) count += 1;
      return encoder.encode(String(count));
    },
  },
  // Reads nothing, and never answers.
  Stall: { kind: "client_streaming", handler: never },
};

const server = await serve({
  address: "127.0.0.1:0",
  services: [implement(Object.fromEntries(Object.entries(methods).map(([name, method]) => [`${TARGET}/${name}`, method])))],
  tls: flags["certificate-pem"] ? { certificatePem: flags["certificate-pem"], keyPem: flags["key-pem"] } : undefined,
  handshakeTimeoutMs: number(flags["handshake-timeout-ms"]),
  maxConnections: number(flags["max-connections"]),
  maxRecvMessageBytes: number(flags["max-recv-message-bytes"]),
  maxUnfinishedRequestBytes: number(flags["max-unfinished-request-bytes"]),
});
console.log(server.port);

// Whoever started this server holds the other end: it never outlives its attacker. What the engine allocates is not seen
// from here, so it is what is resident once the collector has run.
createInterface({ input: process.stdin })
  .on("line", () => {
    globalThis.gc();
    console.log(process.memoryUsage.rss());
  })
  .on("close", () => process.exit(0));
