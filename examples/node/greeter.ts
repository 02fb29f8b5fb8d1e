// One request, one response.
//
//   npm install && npm run build
//   node dist/greeter.js server 127.0.0.1:50051
//   node dist/greeter.js client 127.0.0.1:50051 Ada
import { Channel, Code, createClient, implement, RpcError } from "spanwire";
import { run, serveUntilStopped, usage } from "./common.js";
import { Greeter } from "./gen/greeter/v1/greeter_pb.js";

/** Greets whoever has a name. */
const polite = implement(Greeter, {
  greet({ name }, { peer }) {
    if (name === "") throw new RpcError(Code.INVALID_ARGUMENT, "name is empty: whom shall I greet?");
    console.log(`greeting ${name} at ${peer}`);
    return { text: `Hello, ${name}!` };
  },
});

/** Asks for one greeting and prints it. */
async function greet(target: string, name: string): Promise<void> {
  const greeter = createClient(Greeter, new Channel(target));
  // The server may still be starting: wait for it, but not for ever.
  const { text } = await greeter.greet({ name }, { waitForReady: true, timeoutMs: 10_000 });
  console.log(text);
}

const [command, address, name] = process.argv.slice(2);
if (command === "server" && address !== undefined) await run(serveUntilStopped(address, polite));
else if (command === "client" && address !== undefined && name !== undefined) await run(greet(address, name));
else usage("greeter.js server ADDRESS | client TARGET NAME");
