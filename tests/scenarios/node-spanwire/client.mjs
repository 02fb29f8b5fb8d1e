// The client of the scenarios on Spanwire.
//
// Calls at a steady rate until its standard input ends, and prints what came of each call, a line of JSON each. The
// settings are the one argument, in JSON.

import { setTimeout as sleep } from "node:timers/promises";

import { Channel, Code, RpcError, createClient, loadProto } from "spanwire";

const includePaths = [new URL("../../../proto", import.meta.url)];
const TestService = loadProto("grpc/testing/test.proto", { includePaths }).service("grpc.testing.TestService");
const settings = JSON.parse(process.argv[2]);
const say = (line) => console.log(JSON.stringify(line));
const now = () => performance.timeOrigin + performance.now();

/** The channel of the settings; nothing if it cannot be made, which is told. */
function open() {
  try {
    return new Channel(settings.target, {
      serviceConfig: settings.service_config,
      nameTtlMs: settings.name_ttl_ms,
    });
  } catch (error) {
    say({ error: error.message });
    return undefined;
  }
}

/** One call, told when it is over. */
async function call(client) {
  const start = now();
  const options = { timeoutMs: settings.timeout_ms, waitForReady: settings.wait_for_ready };
  const made = client.unaryCall({ fillServerId: true }, options);
  let status = "OK";
  let backend = "";
  try {
    backend = (await made).serverId;
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    status = Code[error.code];
  }
  say({ start, end: now(), status, backend, attempts: made.attempts });
}

const channel = open();
if (channel !== undefined) {
  let stopped = false;
  process.stdin.on("end", () => { stopped = true; }).resume();
  const client = createClient(TestService, channel);
  const calls = [];
  while (!stopped) {
    calls.push(call(client));
    await sleep(1000 / settings.calls_per_second);
  }
  await Promise.all(calls);
  channel.close();
}
