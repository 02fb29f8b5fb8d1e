// Greets at an address, with health, reflection and channelz, until SIGTERM.
import { implement, loadProto, serve } from "spanwire";

const [address] = process.argv.slice(2);
const includePaths = [new URL("../../proto/examples", import.meta.url)];
const greeter = loadProto("greeter/v1/greeter.proto", { includePaths }).service("greeter.v1.Greeter");
const server = await serve({
  address,
  services: [implement(greeter, { greet: ({ name }) => ({ text: `Hello, ${name}!` }) })],
  health: true,
  reflection: true,
  channelz: true,
  drainDelayMs: 2000,
  graceMs: 20_000,
  signals: ["SIGTERM"],
});
server.setHealth("greeter.v1.Greeter", true);
