// What the demo's server and client share.

import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const protoFolder = resolve(dirname(fileURLToPath(import.meta.url)), "../../../proto");

/** The package spanwire.demo.v1, read from the project's own proto folder. */
export function loadDemo() {
  const definition = protoLoader.loadSync("spanwire/demo/v1/zones.proto", {
    includeDirs: [protoFolder],
    keepCase: true,
    defaults: true,
    oneofs: true,
  });
  return grpc.loadPackageDefinition(definition).spanwire.demo.v1;
}
