// What the programs for Node share: the service's names, the clock of a thread, the report.

import { readFileSync } from "node:fs";

export const SERVICE = "bench.v1.Echo";
/** The service with its messages, for what reads `.proto` files at run time. All programs are run from the repository's root. */
export const PROTO = { file: "bench/v1/echo.proto", folder: "proto" };
/** No body that a server makes is larger, whatever the request says. */
export const MAX_BODY_BYTES = 4 << 20;

/** The module of a library. */
export function library(name) {
  return import({ spanwire: "./spanwire.mjs", "grpc-js": "./grpc_js.mjs" }[name]);
}

/** CPU time of the thread that runs JavaScript, in seconds. */
export function threadCpuSeconds() {
  const nanoseconds = readFileSync(`/proc/self/task/${process.pid}/schedstat`, "latin1").split(" ")[0];
  return Number(nanoseconds) / 1e9;
}

/** The line that the runner reads; `latencies` in milliseconds, none for streams one way. */
export function report({ calls, milliseconds, cpuSeconds, threadCpuSeconds, latencies }) {
  const ordered = Float64Array.from(latencies).sort();
  const percentile = (share) => (ordered.length > 0 ? ordered[Math.trunc((ordered.length - 1) * share)] * 1000 : 0);
  const line = {
    calls,
    seconds: milliseconds / 1000,
    p50_us: percentile(0.5),
    p99_us: percentile(0.99),
    cpu_seconds: cpuSeconds,
    host_cpu_seconds: threadCpuSeconds,
  };
  console.log(JSON.stringify(line));
}

/** Ends the run unless an answer is right. A run with a wrong one has no result. */
export function check(right, text) {
  if (!right) throw new Error(text);
}
