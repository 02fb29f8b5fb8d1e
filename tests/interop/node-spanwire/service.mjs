// grpc.testing.TestService, and the stream of load reports.

import { setTimeout as sleep } from "node:timers/promises";

import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, RpcError, implement, uncompressed } from "spanwire";

import {
  INITIAL,
  LoadReport,
  LoadReportRequest,
  REPORT_TRAILER,
  STREAM_CORE_METRICS,
  TRAILING,
  TestService,
  loadReport,
  zeros,
} from "./testing.mjs";

const SERVER_ID = `spanwire-node-${process.pid}`;
const MAX_RESPONSE_BYTES = 64 << 20;
/** Load reports never come more often, whatever the client asks for. */
const MIN_INTERVAL_MS = 100;

/** The load, which calls set. */
let load = loadReport({});
/** The end of the call that sets the load, so that two of them do not mix their reports. */
let loadIsFree = Promise.resolve();

/** Takes the load for a call; what it gives lets it go again. */
async function ownLoad() {
  const before = loadIsFree;
  let free;
  loadIsFree = new Promise((resolve) => {
    free = resolve;
  });
  await before;
  return free;
}

function echoMetadata(context) {
  for (const value of context.metadata.getAll(INITIAL.key)) context.headers.append(INITIAL.key, value);
  for (const value of context.metadata.getAll(TRAILING.key)) context.trailers.append(TRAILING.key, value);
}

/** What comes before the first response of a stream. */
function beginStream(context) {
  echoMetadata(context);
  // Which responses are to be compressed shows only later; plain ones may mix with them.
  context.setCompression("gzip");
}

function failIfAsked(status) {
  if (status?.code) throw new RpcError(status.code, status.message);
}

/** Fails a request that says of itself that it came compressed, or not, if that is not so. */
function checkClaim({ expectCompressed }, context) {
  if (expectCompressed !== undefined && expectCompressed.value !== context.compressed) {
    throw new RpcError(Code.INVALID_ARGUMENT, "the request did not come as expect_compressed says");
  }
}

function payload(type, size) {
  if (type !== 0) throw new RpcError(Code.INVALID_ARGUMENT, "response_type is not COMPRESSABLE");
  if (size < 0 || size > MAX_RESPONSE_BYTES) {
    throw new RpcError(Code.INVALID_ARGUMENT, "a response of that size cannot be made");
  }
  return zeros(size);
}

/** One response for each of the parameters, compressed or not as they say. */
async function* responses({ responseType, responseParameters }, { signal }) {
  for (const { size, intervalUs, compressed } of responseParameters) {
    if (intervalUs > 0) await sleep(intervalUs / 1000, undefined, { signal });
    const response = { payload: payload(responseType, size) };
    yield compressed?.value ? response : uncompressed(response);
  }
}

function unaryCall(request, context) {
  checkClaim(request, context);
  echoMetadata(context);
  failIfAsked(request.responseStatus);
  if (request.responseCompressed?.value) context.setCompression("gzip");
  if (request.orcaPerQueryReport !== undefined) {
    context.trailers.append(REPORT_TRAILER, toBinary(LoadReport, loadReport(request.orcaPerQueryReport)));
  }
  return {
    payload: payload(request.responseType, request.responseSize),
    serverId: request.fillServerId ? SERVER_ID : "",
  };
}

/** The features that the official documents list for servers. What is missing is UNIMPLEMENTED. */
const testService = implement(TestService, {
  emptyCall: () => ({}),
  unaryCall,
  cacheableUnaryCall: unaryCall,

  async streamingInputCall(requests, context) {
    let aggregatedPayloadSize = 0;
    for await (const request of requests) {
      checkClaim(request, context);
      aggregatedPayloadSize += request.payload?.body.length ?? 0;
    }
    return { aggregatedPayloadSize };
  },

  async *streamingOutputCall(request, context) {
    beginStream(context);
    failIfAsked(request.responseStatus);
    yield* responses(request, context);
  },

  async *fullDuplexCall(requests, context) {
    beginStream(context);
    let freeLoad;
    try {
      for await (const request of requests) {
        failIfAsked(request.responseStatus);
        if (request.orcaOobReport !== undefined) {
          freeLoad ??= await ownLoad();
          load = loadReport(request.orcaOobReport);
        }
        yield* responses(request, context);
      }
    } finally {
      freeLoad?.();
    }
  },

  async *halfDuplexCall(requests, context) {
    beginStream(context);
    const all = [];
    for await (const request of requests) all.push(request);
    for (const request of all) yield* responses(request, context);
  },
});

/** The load, again and again. */
const loadReports = implement({
  [STREAM_CORE_METRICS]: {
    kind: "server_streaming",
    async *handler(request, { signal }) {
      const { seconds = 0n, nanos = 0 } = fromBinary(LoadReportRequest, request).reportInterval ?? {};
      for (;;) {
        yield toBinary(LoadReport, load);
        await sleep(Math.max(Number(seconds) * 1000 + nanos / 1e6, MIN_INTERVAL_MS), undefined, { signal });
      }
    },
  },
});

export const services = [testService, loadReports];
