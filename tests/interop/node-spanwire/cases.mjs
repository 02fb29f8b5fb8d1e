// The cases of the client, by their official names. Each gets a client of the service, and the session: the flags, and
// what makes further channels.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";

import { create, toBinary } from "@bufbuild/protobuf";
import { Code, RpcError, createClient, uncompressed } from "spanwire";

import {
  INITIAL,
  LARGE_REQUEST,
  LARGE_RESPONSE,
  LoadReportRequest,
  OOB_REPORTS,
  PER_QUERY_REPORT,
  REPORT_TRAILER,
  REQUEST_SIZES,
  RESPONSE_SIZES,
  STREAM_CORE_METRICS,
  TRAILING,
  TestService,
  UnimplementedService,
  checkEcho,
  checkLarge,
  checkZeros,
  isReport,
  zeros,
} from "./testing.mjs";

const STATUS_MESSAGE = "test status message";
const SPECIAL_MESSAGE = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";
/** Payload bytes, and whether the response is to come compressed. */
const COMPRESSED_RESPONSES = [[31_415, true], [92_653, false]];
/** Load reports are awaited, so they are to come as often as servers send them. */
const REPORT_INTERVAL = { seconds: 0n, nanos: 100_000_000 };

/** No call of a case takes longer, unless the case is about time. */
const LIMIT = { timeoutMs: 20_000 };

/** Requests that claim to have come compressed, or not, say so with this. */
const claim = (value) => ({ expectCompressed: { value } });
const large = (more) => ({ responseSize: LARGE_RESPONSE, payload: zeros(LARGE_REQUEST), ...more });
const input = (size, more) => ({ payload: zeros(size), ...more });
const ping = (requestSize, size) => ({ responseParameters: [{ size }], payload: zeros(requestSize) });
const askedStatus = (message) => ({ responseStatus: { code: Code.UNKNOWN, message } });

/** How the call fails; a call that does not fail the case. */
async function errorOf(call) {
  try {
    await call;
  } catch (error) {
    if (error instanceof RpcError) return error;
    throw error;
  }
  return assert.fail("the call succeeded, and should have failed");
}

async function checkStatus(call, code, message) {
  const error = await errorOf(call);
  assert.equal(Code[error.code], Code[code], `the call has ${error.message}`);
  if (message !== undefined) assert.equal(error.rawMessage, message, "status message");
}

/** One request on a stream, and its response. */
async function exchange(call, requestSize, responseSize) {
  await call.send(ping(requestSize, responseSize));
  const { value, done } = await call.next();
  assert.ok(!done, "the stream ended early");
  checkZeros(value.payload, responseSize);
}

/** Half-closes; no response may follow, and the status must be OK. */
async function expectEnd(call) {
  call.end();
  assert.ok((await call.next()).done, "there is a response that nobody asked for");
}

async function largeUnary(service) {
  checkLarge(await service.unaryCall(large(), LIMIT));
}

/** A compressed request and a plain one, each saying which it is. */
async function compressedUnary(service) {
  checkLarge(await service.unaryCall(large(claim(true)), { ...LIMIT, compression: "gzip" }));
  checkLarge(await service.unaryCall(large(claim(false)), LIMIT));
}

/** A compressed message and a plain one in one stream. */
async function compressedStreaming(service) {
  const call = service.streamingInputCall(undefined, { ...LIMIT, compression: "gzip" });
  await call.send(input(27_182, claim(true)));
  await call.send(uncompressed(input(45_904, claim(false))));
  call.end();
  assert.equal((await call).aggregatedPayloadSize, 73_086, "aggregated_payload_size");
}

/** Fails the case unless the status comes that is asked for. */
const statusOfUnary = (service, message) =>
  checkStatus(service.unaryCall(askedStatus(message), LIMIT), Code.UNKNOWN, message);

/** Fails the case unless both metadata came back. */
async function checkEchoes(call) {
  checkEcho(await call.headers, INITIAL);
  checkEcho(await call.trailers, TRAILING);
}

/** Waits for a report; the deadline of the stream is the limit. */
async function expectReport(reports, wanted) {
  for (;;) {
    const { value, done } = await reports.next();
    assert.ok(!done, "the report that was sent did not come back");
    if (isReport(value, wanted)) return;
  }
}

/** Many large calls within budgets; `withService` lends a client for each. */
async function soak(options, withService) {
  const end = performance.now() + options.soak_overall_timeout_seconds * 1000;
  const each = Math.floor(options.soak_iterations / options.soak_num_threads);
  const limit = options.soak_per_iteration_max_acceptable_latency_ms;
  const failures = [];
  let done = 0;

  async function callOnce(service) {
    const request = { responseSize: options.soak_response_size, payload: zeros(options.soak_request_size) };
    const began = performance.now();
    const response = await service.unaryCall(request, LIMIT);
    checkZeros(response.payload, options.soak_response_size);
    const took = performance.now() - began;
    assert.ok(took <= limit, `${took.toFixed()} ms, limit ${limit} ms`);
  }

  async function work() {
    for (let number = 0; number < each && performance.now() < end; number += 1) {
      const pause = sleep(options.soak_min_time_ms_between_rpcs);
      try {
        await withService(callOnce);
      } catch (error) {
        failures.push(`iteration ${number}: ${error.message}`);
      }
      done += 1;
      await pause;
    }
  }

  await Promise.all(Array.from({ length: options.soak_num_threads }, work));
  assert.equal(done, each * options.soak_num_threads, "iterations within the overall time");
  assert.ok(failures.length <= options.soak_max_failures, failures.join("; "));
}

/** The server resets the stream before there is a status: the call must fail. */
const reset = (service) => checkStatus(service.unaryCall(large(), LIMIT), Code.INTERNAL);

export const cases = {
  async empty_unary(service) {
    await service.emptyCall({}, LIMIT);
  },

  large_unary: largeUnary,

  async client_compressed_unary(service) {
    // A false claim, so that a server that does not look is found out.
    await checkStatus(service.unaryCall(large(claim(true)), LIMIT), Code.INVALID_ARGUMENT);
    await compressedUnary(service);
  },

  client_compressed_unary_noprobe: compressedUnary,

  async server_compressed_unary(service) {
    for (const value of [true, false]) {
      const call = service.unaryCall(large({ responseCompressed: { value } }), LIMIT);
      checkLarge(await call);
      assert.equal(call.compressed, value, "response compressed");
    }
  },

  async client_streaming(service) {
    const summary = await service.streamingInputCall(REQUEST_SIZES.map((size) => input(size)), LIMIT);
    assert.equal(summary.aggregatedPayloadSize, 74_922, "aggregated_payload_size");
  },

  async client_compressed_streaming(service) {
    await checkStatus(service.streamingInputCall([input(27_182, claim(true))], LIMIT), Code.INVALID_ARGUMENT);
    await compressedStreaming(service);
  },

  client_compressed_streaming_noprobe: compressedStreaming,

  async server_streaming(service) {
    const found = [];
    const responseParameters = RESPONSE_SIZES.map((size) => ({ size }));
    for await (const response of service.streamingOutputCall({ responseParameters }, LIMIT)) found.push(response);
    assert.equal(found.length, RESPONSE_SIZES.length, "responses");
    found.forEach((response, place) => checkZeros(response.payload, RESPONSE_SIZES[place]));
  },

  async server_compressed_streaming(service) {
    const responseParameters = COMPRESSED_RESPONSES.map(([size, value]) => ({ size, compressed: { value } }));
    const call = service.streamingOutputCall({ responseParameters }, LIMIT);
    const found = [];
    for await (const response of call) found.push([response.payload.body.length, call.compressed]);
    assert.deepEqual(found, COMPRESSED_RESPONSES, "sizes, and whether compressed");
  },

  async ping_pong(service) {
    const call = service.fullDuplexCall(undefined, LIMIT);
    for (const [place, size] of REQUEST_SIZES.entries()) await exchange(call, size, RESPONSE_SIZES[place]);
    await expectEnd(call);
  },

  async empty_stream(service) {
    await expectEnd(service.fullDuplexCall(undefined, LIMIT));
  },

  async custom_metadata(service) {
    const options = { ...LIMIT, metadata: { [INITIAL.key]: INITIAL.value, [TRAILING.key]: TRAILING.value } };
    const unary = service.unaryCall(large(), options);
    checkLarge(await unary);
    await checkEchoes(unary);
    const call = service.fullDuplexCall(undefined, options);
    await exchange(call, LARGE_REQUEST, LARGE_RESPONSE);
    await expectEnd(call);
    await checkEchoes(call);
  },

  async status_code_and_message(service) {
    await statusOfUnary(service, STATUS_MESSAGE);
    const call = service.fullDuplexCall([askedStatus(STATUS_MESSAGE)], LIMIT);
    await checkStatus(call.next(), Code.UNKNOWN, STATUS_MESSAGE);
  },

  special_status_message: (service) => statusOfUnary(service, SPECIAL_MESSAGE),

  unimplemented_method: (service) => checkStatus(service.unimplementedCall({}, LIMIT), Code.UNIMPLEMENTED),

  async unimplemented_service(_service, { channel }) {
    const other = channel();
    await checkStatus(createClient(UnimplementedService, other).unimplementedCall({}, LIMIT), Code.UNIMPLEMENTED);
    other.close();
  },

  async cancel_after_begin(service) {
    const call = service.streamingInputCall(undefined, LIMIT);
    call.cancel();
    await checkStatus(call, Code.CANCELLED);
  },

  async cancel_after_first_response(service) {
    const call = service.fullDuplexCall(undefined, LIMIT);
    await exchange(call, REQUEST_SIZES[0], RESPONSE_SIZES[0]);
    call.cancel();
    await checkStatus(call.next(), Code.CANCELLED);
  },

  async timeout_on_sleeping_server(service) {
    const call = service.fullDuplexCall(undefined, { timeoutMs: 1 });
    // A millisecond may be over before anything is sent.
    const sent = call.send(input(REQUEST_SIZES[0]));
    await checkStatus(sent.then(() => call.next()), Code.DEADLINE_EXCEEDED);
  },

  async pick_first_unary(service) {
    const request = { responseSize: 1, payload: zeros(1), fillServerId: true };
    const servers = new Set();
    for (let call = 0; call < 100; call += 1) servers.add((await service.unaryCall(request, LIMIT)).serverId);
    assert.ok(!servers.has(""), "the server gave no server_id");
    assert.equal(servers.size, 1, "servers that answered");
  },

  rpc_soak: (service, { options }) => soak(options, (callOnce) => callOnce(service)),

  channel_soak: (_service, { options, channel }) =>
    soak(options, async (callOnce) => {
      const own = channel();
      await callOnce(createClient(TestService, own));
      own.close();
    }),

  async orca_per_rpc(service) {
    const call = service.unaryCall({ orcaPerQueryReport: PER_QUERY_REPORT }, LIMIT);
    await call;
    const found = (await call.trailers).get(REPORT_TRAILER);
    assert.ok(found !== undefined, "the trailers have no report");
    assert.ok(isReport(found, PER_QUERY_REPORT), "the trailers have another report");
  },

  async orca_oob(service, { channel }) {
    const other = channel();
    const interval = toBinary(LoadReportRequest, create(LoadReportRequest, { reportInterval: REPORT_INTERVAL }));
    const reports = other.stream(STREAM_CORE_METRICS, "server_streaming", interval, LIMIT);
    const call = service.fullDuplexCall(undefined, LIMIT);
    for (const report of OOB_REPORTS) {
      await call.send({ orcaOobReport: report, responseParameters: [{ size: 1 }] });
      assert.ok(!(await call.next()).done, "the stream ended early");
      await expectReport(reports, report);
    }
    await expectEnd(call);
    reports.cancel();
    other.close();
  },

  async goaway(service) {
    // GOAWAY comes in the first call; the second one takes a new connection, which the server counts.
    await largeUnary(service);
    await largeUnary(service);
  },

  rst_after_header: reset,
  rst_during_data: reset,
  rst_after_data: reset,
  ping: largeUnary,

  async max_streams(service) {
    // The first call lets the limit arrive. Further ones wait, and none fails.
    await largeUnary(service);
    await Promise.all(Array.from({ length: 10 }, () => largeUnary(service)));
  },

  data_frame_padding: largeUnary,
  no_df_padding_sanity_test: largeUnary,
};
