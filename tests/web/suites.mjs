// What runs in Node and in a browser, by name. It is bundled for either.
import * as connectWeb from "./connect_web.mjs";
import { casesOf } from "./grpc_web.mjs";
import * as ours from "./ours.mjs";
import { runAll } from "./testing.mjs";

const SUITES = {
  "spanwire/web": ours.cases,
  "a page that may not call": ours.refused,
  "connect-web": connectWeb.cases,
  "grpc-web, binary": casesOf("binary"),
  "grpc-web, text": casesOf("text"),
};

/** Runs one of them. */
export function runSuite(name, context) {
  return runAll(SUITES[name], context);
}

globalThis.runSuite = runSuite;
