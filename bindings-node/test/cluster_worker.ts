// One of the processes of cluster.test.ts: serves on the port that they share, and says who it is.
import { implement, serve } from "spanwire";

const me = Buffer.from(String(process.pid));

const server = await serve({
  address: `127.0.0.1:${process.env.PORT ?? "0"}`,
  sharePort: true,
  signals: ["SIGTERM"],
  services: [
    implement({
      "/t.Cluster/Who": { kind: "unary", handler: () => me },
      // Begins to answer, and goes on when it is told to.
      "/t.Cluster/Slow": {
        kind: "bidi_streaming",
        async *handler(requests) {
          yield me;
          yield* requests;
        },
      },
    }),
  ],
});

process.send?.({ port: server.port });
await server.closed;
process.disconnect();
