// What the interop client and server share: flags, messages, small checks.

import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const protoFolder = resolve(dirname(fileURLToPath(import.meta.url)), "../../../proto");

/** The package grpc.testing, read from the project's own proto folder. */
export function loadTesting() {
  const definition = protoLoader.loadSync("grpc/testing/test.proto", {
    includeDirs: [protoFolder],
    keepCase: true,
    longs: String,
    defaults: true,
    enums: String,
  });
  return grpc.loadPackageDefinition(definition).grpc.testing;
}

/** Reads official flags, `--name=value` or `--name value`; numbers stay text. */
export function flags(defaults) {
  const options = Object.fromEntries(
    Object.keys(defaults).map((name) => [name, { type: "string" }]),
  );
  return { ...defaults, ...parseArgs({ options, strict: true }).values };
}

export const isTrue = (text) => ["true", "1", "yes"].includes(text.toLowerCase());

export const initialKey = "x-grpc-test-echo-initial";
export const trailingKey = "x-grpc-test-echo-trailing-bin";

export const readOrNull = (path) => (path === "" ? null : readFileSync(path));
