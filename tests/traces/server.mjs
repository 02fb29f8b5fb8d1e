// Hands calls on to the next server of the chain: server.mjs ENDPOINT PROPAGATORS NEXT. Prints its target.
import { Channel, serve } from "spanwire";

const [endpoint, propagators, next] = process.argv.slice(2);
const telemetry = { endpoint, serviceName: "node", propagators };
const channel = new Channel(next, { telemetry });
const server = await serve({
  address: "127.0.0.1:0",
  services: [],
  async *fallback(requests, context) {
    for await (const request of requests) yield await channel.unary(context.path, request, { parent: context });
  },
  telemetry,
  signals: ["SIGTERM"],
});
console.log(server.target);
