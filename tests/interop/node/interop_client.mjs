// The official interop client cases, on the public API of @grpc/grpc-js.
//
//   node interop_client.mjs --server_host=127.0.0.1 --server_port=PORT \
//     --test_case=large_unary [--use_tls=true --custom_ca_file=ca.pem
//     --server_host_override=foo.test.google.fr]
//
// Exit codes: 0 the case passed, 1 it failed (the reason is on standard error),
// 77 grpc-js cannot express the case ("not offered").

import assert from "node:assert/strict";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

import grpc from "@grpc/grpc-js";

import { flags, initialKey, isTrue, loadTesting, readOrNull, trailingKey } from "./lib.mjs";
import { startWireMeter } from "./wire_meter.mjs";

const notOfferedExit = 77;
const callLimitMs = 20_000;

const largeRequest = 271_828;
const largeResponse = 314_159;
const requestSizes = [27_182, 8, 1_828, 45_904];
const responseSizes = [31_415, 9, 2_653, 58_979];
const initialValue = "test_initial_metadata_value";
const trailingValue = Buffer.from([0xab, 0xab, 0xab]);
const specialMessage = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n";

const notOffered = {
  cacheable_unary: "grpc-js has no cacheable calls (they would go as GET)",
  orca_per_rpc: "grpc-js hands load reports to balancers only",
  orca_oob: "grpc-js hands load reports to balancers only",
  max_concurrent_streams_connection_scaling: "grpc-js opens one connection per address",
};

const options = flags({
  server_host: "127.0.0.1",
  server_port: "0",
  server_host_override: "",
  test_case: "",
  use_tls: "false",
  custom_ca_file: "",
  soak_iterations: "10",
  soak_max_failures: "0",
  soak_per_iteration_max_acceptable_latency_ms: "1000",
  soak_overall_timeout_seconds: "10",
  soak_min_time_ms_between_rpcs: "0",
  soak_request_size: String(largeRequest),
  soak_response_size: String(largeResponse),
  soak_num_threads: "1",
});
const { TestService, UnimplementedService } = loadTesting();

/** What is to be closed at the end, whatever the outcome. */
const opened = [];

/** A client on a channel of its own, to the server or to a relay before it. */
function client({
  Service = TestService,
  host = options.server_host,
  port = options.server_port,
  channelOptions = {},
} = {}) {
  const all = { "grpc.use_local_subchannel_pool": 1, ...channelOptions };
  let credentials = grpc.credentials.createInsecure();
  if (isTrue(options.use_tls)) {
    credentials = grpc.credentials.createSsl(readOrNull(options.custom_ca_file));
    if (options.server_host_override) {
      all["grpc.ssl_target_name_override"] = options.server_host_override;
    }
  }
  if (options.server_host_override) all["grpc.default_authority"] = options.server_host_override;
  const made = new Service(`${host}:${port}`, credentials, all);
  opened.push(made);
  return made;
}

const deadline = (ms = callLimitMs) => ({ deadline: Date.now() + ms });
const payload = (size) => ({ body: Buffer.alloc(size) });
const large = (more = {}) => ({
  response_size: largeResponse,
  payload: payload(largeRequest),
  ...more,
});

function checkLarge(response) {
  assert.equal(response.payload.body.length, largeResponse, "response payload bytes");
  assert.ok(response.payload.body.every((byte) => byte === 0), "payload has non-zero bytes");
}

/** Calls a unary method; resolves with the response or rejects with the status. */
function unary(stub, method, request, more = {}) {
  return promisify(stub[method].bind(stub))(request, new grpc.Metadata(), {
    ...deadline(),
    ...more,
  });
}

/** The rejection of a promise that must not resolve. */
async function failureOf(promise) {
  try {
    await promise;
  } catch (error) {
    return error;
  }
  throw new assert.AssertionError({ message: "the call succeeded, an error was due" });
}

async function collect(stream) {
  const messages = [];
  for await (const message of stream) messages.push(message);
  return messages;
}

const sizes = (messages) => messages.map((message) => message.payload.body.length);

/** WriteFlags.NoCompress; grpc-js declares it but exports no object that has it. */
const noCompress = 2;

/** An interceptor that sends the messages of `plain` (by number) uncompressed. */
function compressAllBut(plain) {
  return (callOptions, nextCall) => {
    let number = 0;
    class Marking extends grpc.InterceptingCall {
      sendMessageWithContext(context, message) {
        const flag = plain.includes(number++) ? noCompress : 0;
        super.sendMessageWithContext({ ...context, flags: flag }, message);
      }
    }
    return new Marking(nextCall(callOptions));
  };
}

const gzip = {
  "grpc.default_compression_algorithm": grpc.compressionAlgorithms.gzip,
};

async function clientCompressedUnary() {
  const claimed = large({ expect_compressed: { value: true } });
  const plain = { interceptors: [compressAllBut([0])] };
  const probe = unary(client({ channelOptions: gzip }), "UnaryCall", claimed, plain);
  assert.equal((await failureOf(probe)).code, grpc.status.INVALID_ARGUMENT, "status of the probe");
  await clientCompressedUnaryNoProbe();
}

async function clientCompressedUnaryNoProbe() {
  const stub = client({ channelOptions: gzip });
  const request = (value) => large({ expect_compressed: { value } });
  checkLarge(await unary(stub, "UnaryCall", request(true)));
  const plain = { interceptors: [compressAllBut([0])] };
  checkLarge(await unary(stub, "UnaryCall", request(false), plain));
}

/** Sends `requests` by StreamingInputCall and resolves with the answer. */
function upload(stub, requests, more = {}) {
  return new Promise((resolve, reject) => {
    const call = stub.StreamingInputCall({ ...deadline(), ...more }, (error, response) =>
      error ? reject(error) : resolve(response),
    );
    for (const request of requests) call.write(request);
    call.end();
  });
}

const claimedUpload = { expect_compressed: { value: true }, payload: payload(27_182) };
const plainUpload = { expect_compressed: { value: false }, payload: payload(45_904) };

async function clientCompressedStreaming() {
  const plain = { interceptors: [compressAllBut([0])] };
  const probe = upload(client({ channelOptions: gzip }), [claimedUpload], plain);
  assert.equal((await failureOf(probe)).code, grpc.status.INVALID_ARGUMENT, "status of the probe");
  await clientCompressedStreamingNoProbe();
}

async function clientCompressedStreamingNoProbe() {
  const stub = client({ channelOptions: gzip });
  const secondPlain = { interceptors: [compressAllBut([1])] };
  const response = await upload(stub, [claimedUpload, plainUpload], secondPlain);
  assert.equal(response.aggregated_payload_size, 73_086);
}

async function meterBeforeServer() {
  const meter = await startWireMeter(options.server_host, Number(options.server_port));
  opened.push(meter);
  return meter;
}

async function serverCompressedUnary() {
  const meter = await meterBeforeServer();
  const stub = client({ host: "127.0.0.1", port: meter.port });
  for (const value of [true, false]) {
    const before = meter.received;
    checkLarge(await unary(stub, "UnaryCall", large({ response_compressed: { value } })));
    const arrived = meter.received - before;
    assert.equal(arrived < largeResponse, value, `compressed (${arrived} bytes on the wire)`);
  }
}

async function serverCompressedStreaming() {
  const meter = await meterBeforeServer();
  const stub = client({ host: "127.0.0.1", port: meter.port });
  const wanted = [31_415, 92_653];
  const request = {
    response_parameters: [
      { size: wanted[0], compressed: { value: true } },
      { size: wanted[1], compressed: { value: false } },
    ],
  };
  const found = sizes(await collect(stub.StreamingOutputCall(request, deadline())));
  assert.deepEqual(found, wanted);
  // One plain message of the two: more than the larger, less than both.
  assert.ok(
    meter.received > wanted[1] && meter.received < wanted[0] + wanted[1],
    `${meter.received} bytes on the wire for one plain message of two`,
  );
}

async function serverStreaming() {
  const request = { response_parameters: responseSizes.map((size) => ({ size })) };
  const found = sizes(await collect(client().StreamingOutputCall(request, deadline())));
  assert.deepEqual(found, responseSizes);
}

const ping = (request, response) => ({
  response_parameters: [{ size: response }],
  payload: payload(request),
});

async function pingPong() {
  const call = client().FullDuplexCall(deadline());
  const responses = call[Symbol.asyncIterator]();
  for (const [index, size] of responseSizes.entries()) {
    call.write(ping(requestSizes[index], size));
    const { value } = await responses.next();
    assert.equal(value?.payload.body.length, size, "response payload bytes");
  }
  call.end();
  assert.equal((await responses.next()).done, true, "responses after the half-close");
}

async function emptyStream() {
  const call = client().FullDuplexCall(deadline());
  const status = once(call, "status");
  call.end();
  assert.deepEqual(await collect(call), []);
  assert.equal((await status)[0].code, grpc.status.OK);
}

/** Collects header and trailers of a call; check them once it has ended. */
function observeEcho(call) {
  const seen = Promise.all([once(call, "metadata"), once(call, "status")]);
  return async () => {
    const [[headers], [status]] = await seen;
    assert.deepEqual(headers.get(initialKey), [initialValue]);
    assert.deepEqual(status.metadata.get(trailingKey), [trailingValue]);
  };
}

async function customMetadata() {
  const stub = client();
  const metadata = new grpc.Metadata();
  metadata.set(initialKey, initialValue);
  metadata.set(trailingKey, trailingValue);

  let checkEcho;
  const response = await new Promise((resolve, reject) => {
    const call = stub.UnaryCall(large(), metadata, deadline(), (error, message) =>
      error ? reject(error) : resolve(message),
    );
    checkEcho = observeEcho(call);
  });
  checkLarge(response);
  await checkEcho();

  const call = stub.FullDuplexCall(metadata, deadline());
  checkEcho = observeEcho(call);
  call.write(ping(largeRequest, largeResponse));
  call.end();
  assert.deepEqual(sizes(await collect(call)), [largeResponse]);
  await checkEcho();
}

function checkStatus(error, message) {
  assert.equal(error.code, grpc.status.UNKNOWN, "status code");
  assert.equal(error.details, message, "status message");
}

async function statusCodeAndMessage() {
  const stub = client();
  const response_status = { code: 2, message: "test status message" };
  checkStatus(
    await failureOf(unary(stub, "UnaryCall", { response_status })),
    response_status.message,
  );
  const call = stub.FullDuplexCall(deadline());
  call.write({ response_status });
  call.end();
  checkStatus(await failureOf(collect(call)), response_status.message);
}

async function specialStatusMessage() {
  const response_status = { code: 2, message: specialMessage };
  const error = await failureOf(unary(client(), "UnaryCall", { response_status }));
  checkStatus(error, specialMessage);
}

async function unimplemented(Service) {
  const error = await failureOf(unary(client({ Service }), "UnimplementedCall", {}));
  assert.equal(error.code, grpc.status.UNIMPLEMENTED, "status code");
}

async function cancelAfterBegin() {
  const error = await new Promise((resolve) => {
    const call = client().StreamingInputCall(deadline(), resolve);
    call.cancel();
  });
  assert.equal(error?.code, grpc.status.CANCELLED, "status code");
}

async function cancelAfterFirstResponse() {
  const call = client().FullDuplexCall(deadline());
  const responses = call[Symbol.asyncIterator]();
  call.write(ping(requestSizes[0], responseSizes[0]));
  const { value } = await responses.next();
  assert.equal(value.payload.body.length, responseSizes[0]);
  call.cancel();
  const error = await failureOf(responses.next());
  assert.equal(error.code, grpc.status.CANCELLED, "status code");
}

async function timeoutOnSleepingServer() {
  const call = client().FullDuplexCall(deadline(1));
  call.write({ payload: payload(requestSizes[0]) });
  const error = await failureOf(collect(call));
  assert.equal(error.code, grpc.status.DEADLINE_EXCEEDED, "status code");
}

async function pickFirstUnary() {
  const stub = client();
  const request = { response_size: 1, payload: payload(1), fill_server_id: true };
  const servers = new Set();
  for (let call = 0; call < 100; call++) {
    servers.add((await unary(stub, "UnaryCall", request)).server_id);
  }
  assert.equal(servers.size, 1, "servers that answered");
  assert.ok(!servers.has(""), "the server gave no server_id");
}

async function soak(newChannelEachTime) {
  const began = Date.now();
  const each = Math.floor(Number(options.soak_iterations) / Number(options.soak_num_threads));
  const failures = [];
  let done = 0;

  async function worker() {
    const shared = newChannelEachTime ? null : client();
    for (let iteration = 0; iteration < each; iteration++) {
      const started = Date.now();
      if (started - began > Number(options.soak_overall_timeout_seconds) * 1000) return;
      const stub = shared ?? client();
      try {
        const response = await unary(stub, "UnaryCall", {
          response_size: Number(options.soak_response_size),
          payload: payload(Number(options.soak_request_size)),
        });
        assert.equal(response.payload.body.length, Number(options.soak_response_size));
        const took = Date.now() - started;
        assert.ok(
          took <= Number(options.soak_per_iteration_max_acceptable_latency_ms),
          `${took} ms is too slow`,
        );
      } catch (error) {
        failures.push(`iteration ${iteration}: ${error.message}`);
      }
      done++;
      if (shared === null) stub.close();
      const rest = Number(options.soak_min_time_ms_between_rpcs) - (Date.now() - started);
      if (rest > 0) await sleep(rest);
    }
  }

  await Promise.all(Array.from({ length: Number(options.soak_num_threads) }, worker));
  assert.equal(done, each * Number(options.soak_num_threads), "iterations in the overall time");
  assert.ok(failures.length <= Number(options.soak_max_failures), failures.join("; "));
}

async function largeUnary() {
  checkLarge(await unary(client(), "UnaryCall", large()));
}

async function goaway() {
  const stub = client();
  checkLarge(await unary(stub, "UnaryCall", large()));
  // The official procedure waits here, so that GOAWAY is there before the second call.
  await sleep(1000);
  checkLarge(await unary(stub, "UnaryCall", large()));
}

async function callMustFail() {
  await failureOf(unary(client(), "UnaryCall", large()));
}

async function maxStreams() {
  const stub = client();
  checkLarge(await unary(stub, "UnaryCall", large()));
  const calls = Array.from({ length: 10 }, () => unary(stub, "UnaryCall", large()));
  for (const response of await Promise.all(calls)) checkLarge(response);
}

const cases = {
  empty_unary: async () => assert.deepEqual(await unary(client(), "EmptyCall", {}), {}),
  large_unary: largeUnary,
  client_compressed_unary: clientCompressedUnary,
  client_compressed_unary_noprobe: clientCompressedUnaryNoProbe,
  server_compressed_unary: serverCompressedUnary,
  client_streaming: async () => {
    const requests = requestSizes.map((size) => ({ payload: payload(size) }));
    assert.equal((await upload(client(), requests)).aggregated_payload_size, 74_922);
  },
  client_compressed_streaming: clientCompressedStreaming,
  client_compressed_streaming_noprobe: clientCompressedStreamingNoProbe,
  server_streaming: serverStreaming,
  server_compressed_streaming: serverCompressedStreaming,
  ping_pong: pingPong,
  empty_stream: emptyStream,
  custom_metadata: customMetadata,
  status_code_and_message: statusCodeAndMessage,
  special_status_message: specialStatusMessage,
  unimplemented_method: () => unimplemented(TestService),
  unimplemented_service: () => unimplemented(UnimplementedService),
  cancel_after_begin: cancelAfterBegin,
  cancel_after_first_response: cancelAfterFirstResponse,
  timeout_on_sleeping_server: timeoutOnSleepingServer,
  pick_first_unary: pickFirstUnary,
  rpc_soak: () => soak(false),
  channel_soak: () => soak(true),
  goaway,
  rst_after_header: callMustFail,
  rst_during_data: callMustFail,
  rst_after_data: callMustFail,
  ping: largeUnary,
  max_streams: maxStreams,
  data_frame_padding: largeUnary,
  no_df_padding_sanity_test: largeUnary,
};

const name = options.test_case;
if (!Object.hasOwn(cases, name)) {
  console.error(`${name}: not offered: ${notOffered[name] ?? "unknown case"}`);
  process.exit(notOfferedExit);
}
try {
  await cases[name]();
  console.log(`${name}: pass`);
} catch (error) {
  console.error(`${name}: FAIL: ${error.message}`);
  process.exitCode = 1;
} finally {
  for (const each of opened) each.close();
}
