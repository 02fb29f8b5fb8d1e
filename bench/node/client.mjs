// Loads a server of bench.v1.Echo and prints what it did as one line of JSON:
//
//   client.mjs spanwire|grpc-js PORT SECONDS IN_FLIGHT SIZE unary|ping_pong|down|up [--raw]

import { library, report, threadCpuSeconds } from "./echo.mjs";
import { modes } from "./load.mjs";

/** For how long it runs before it counts, as a share of the time: V8 compiles what is hot. */
const WARM_UP = 0.25;

const [name, port, seconds, inFlight, size, mode, flag] = process.argv.slice(2);
const { connect } = await library(name);
const client = connect(port, flag === "--raw");

/** All workers at the same time; the latencies of each message. */
function load(milliseconds) {
  const until = performance.now() + milliseconds;
  return Promise.all(Array.from({ length: Number(inFlight) }, () => modes[mode](client, Number(size), until)));
}

await load(seconds * 1000 * WARM_UP);
const processBefore = process.cpuUsage();
const threadBefore = threadCpuSeconds();
const began = performance.now();
const counts = await load(seconds * 1000);
const milliseconds = performance.now() - began;
const { user, system } = process.cpuUsage(processBefore);
report({
  calls: counts.reduce((sum, { calls }) => sum + calls, 0),
  milliseconds,
  cpuSeconds: (user + system) / 1e6,
  threadCpuSeconds: threadCpuSeconds() - threadBefore,
  latencies: counts.flatMap(({ latencies }) => latencies),
});
client.close();
