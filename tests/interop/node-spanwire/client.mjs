// The official interop client cases, on Spanwire.
//
//   node client.mjs --server_port=PORT --test_case=large_unary
//     [--use_tls=true --custom_ca_file=ca.pem --server_host_override=foo.test.google.fr]
//
// Exit codes: 0 the case passed, 1 it failed (the reason is on standard error), 77 it is not offered.

import { AssertionError } from "node:assert";

import { Channel, RpcError, createClient } from "spanwire";

import { cases } from "./cases.mjs";
import { LARGE_REQUEST, LARGE_RESPONSE, TestService, flags } from "./testing.mjs";

const NOT_OFFERED_EXIT = 77;
const NOT_OFFERED = {
  cacheable_unary: "calls never go as GET, so no HTTP cache can answer them",
  max_concurrent_streams_connection_scaling: "a channel opens one connection per address",
};

const options = flags({
  server_host: "127.0.0.1",
  server_port: 0,
  server_host_override: "",
  test_case: "",
  use_tls: false,
  custom_ca_file: "",
  soak_iterations: 10,
  soak_max_failures: 0,
  soak_per_iteration_max_acceptable_latency_ms: 1000,
  soak_overall_timeout_seconds: 10,
  soak_min_time_ms_between_rpcs: 0,
  soak_request_size: LARGE_REQUEST,
  soak_response_size: LARGE_RESPONSE,
  soak_num_threads: 1,
});

/** A new channel to the server under test; channels share no connection. */
function channel() {
  const name = options.server_host_override || undefined;
  return new Channel(`${options.server_host}:${options.server_port}`, {
    tls: options.use_tls && { caFile: options.custom_ca_file, serverName: name },
    authority: name,
  });
}

/** Runs the case; the exit code is its outcome. */
async function main(name) {
  const run = cases[name];
  if (run === undefined) {
    console.error(`${name}: not offered: ${NOT_OFFERED[name] ?? "unknown case"}`);
    return NOT_OFFERED_EXIT;
  }
  try {
    const own = channel();
    await run(createClient(TestService, own), { options, channel });
    own.close();
  } catch (error) {
    if (!(error instanceof RpcError || error instanceof AssertionError)) throw error;
    console.error(`${name}: FAIL: ${error.message}`);
    return 1;
  }
  console.log(`${name}: pass`);
  return 0;
}

process.exitCode = await main(options.test_case);
