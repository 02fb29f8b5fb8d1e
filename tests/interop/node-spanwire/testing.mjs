// What the interop client and server share: messages, names, sizes, checks and flags.

import assert from "node:assert/strict";
import { parseArgs } from "node:util";

import { create, equals, fromBinary } from "@bufbuild/protobuf";
import { loadProto } from "spanwire";

const here = (path) => new URL(path, import.meta.url);
const testing = loadProto("grpc/testing/test.proto", { includePaths: [here("../../../proto")] });
const reports = loadProto(here("../load_report.proto"));

export const TestService = testing.service("grpc.testing.TestService");
export const UnimplementedService = testing.service("grpc.testing.UnimplementedService");
export const LoadReport = reports.registry.getMessage("interop.LoadReport");
export const LoadReportRequest = reports.registry.getMessage("interop.LoadReportRequest");
export const STREAM_CORE_METRICS = "/xds.service.orca.v3.OpenRcaService/StreamCoreMetrics";
/** The trailer that carries the load report of one call. */
export const REPORT_TRAILER = "endpoint-load-metrics-bin";

export const LARGE_REQUEST = 271_828;
export const LARGE_RESPONSE = 314_159;
export const REQUEST_SIZES = [27_182, 8, 1_828, 45_904];
export const RESPONSE_SIZES = [31_415, 9, 2_653, 58_979];

export const INITIAL = { key: "x-grpc-test-echo-initial", value: "test_initial_metadata_value" };
export const TRAILING = { key: "x-grpc-test-echo-trailing-bin", value: new Uint8Array([0xab, 0xab, 0xab]) };

/** Reads official flags, `--name=value` or `--name value`, with the types of their defaults. */
export function flags(defaults) {
  const options = Object.fromEntries(Object.keys(defaults).map((name) => [name, { type: "string" }]));
  const given = Object.entries(parseArgs({ options }).values).map(([name, text]) => {
    const as = { boolean: isTrue, number: Number, string: String }[typeof defaults[name]];
    return [name, as(text)];
  });
  return { ...defaults, ...Object.fromEntries(given) };
}

const isTrue = (text) => ["true", "1", "yes"].includes(text.toLowerCase());

/** A payload of zero bytes. */
export const zeros = (size) => ({ body: new Uint8Array(size) });

/** Fails the case unless the payload has that many bytes, all of them zero. */
export function checkZeros(payload, size) {
  assert.equal(payload?.body.length, size, "payload bytes");
  assert.ok(Buffer.alloc(size).equals(payload.body), "a payload has bytes other than zero");
}

/** Fails the case unless it answers a large request. */
export const checkLarge = (response) => checkZeros(response.payload, LARGE_RESPONSE);

/** Fails the case unless the key is there once, with this value. */
export function checkEcho(metadata, { key, value }) {
  // Bytes may have come as a view of something larger.
  const plain = (found) => (typeof found === "string" ? found : Uint8Array.from(found));
  assert.deepEqual(metadata.getAll(key).map(plain), [value], key);
}

const orcaReport = (cpuUtilization, memoryUtilization, util) => ({ cpuUtilization, memoryUtilization, utilization: { util } });

export const OOB_REPORTS = [orcaReport(0.821, 0.5847, 0.30499), orcaReport(0.29309, 0.2, 0.2039)];
export const PER_QUERY_REPORT = { ...orcaReport(0.821, 0.5847, 0.30499), requestCost: { cost: 3456.32 } };

/** A load report of the test messages in the shape in which it travels. */
export function loadReport({ cpuUtilization, memoryUtilization, requestCost = {}, utilization = {} }) {
  const numbers = (named) => Object.entries(named).map(([key, value]) => ({ key, value }));
  return create(LoadReport, {
    cpuUtilization,
    memUtilization: memoryUtilization,
    requestCost: numbers(requestCost),
    utilization: numbers(utilization),
  });
}

/** Whether these bytes are that load report. */
export const isReport = (bytes, report) => equals(LoadReport, fromBinary(LoadReport, bytes), loadReport(report));
