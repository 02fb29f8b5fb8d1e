// The official interop server, on the public API of @grpc/grpc-js.
//
//   node interop_server.mjs --port=PORT [--use_tls=true --tls_cert_file=F --tls_key_file=F]
//
// It listens on 127.0.0.1 only. A grpc-js server compresses nothing and does not
// tell a handler whether a request came compressed, so none of the four
// compression cases is offered.

import { setTimeout as sleep } from "node:timers/promises";

import grpc from "@grpc/grpc-js";

import { flags, initialKey, isTrue, loadTesting, readOrNull, trailingKey } from "./lib.mjs";

const serverId = `grpc-js-${process.pid}`;
const { TestService } = loadTesting();

class Refused extends Error {
  constructor(code, message) {
    super(message);
    Object.assign(this, { code, details: message });
  }
}

function failIfAsked(status) {
  if (status && status.code !== 0) throw new Refused(status.code, status.message);
}

function payload(type, size) {
  if (type !== "COMPRESSABLE") {
    throw new Refused(grpc.status.INVALID_ARGUMENT, "response_type is not COMPRESSABLE");
  }
  return { type, body: Buffer.alloc(size) };
}

/** Sends the echoed header and returns the trailers to end the call with. */
function echoMetadata(call) {
  const initial = call.metadata.get(initialKey);
  if (initial.length > 0) {
    const headers = new grpc.Metadata();
    headers.set(initialKey, initial[0]);
    call.sendMetadata(headers);
  }
  const trailers = new grpc.Metadata();
  for (const value of call.metadata.get(trailingKey)) trailers.set(trailingKey, value);
  return trailers;
}

async function sendResponses(call, request) {
  for (const each of request.response_parameters) {
    if (each.interval_us > 0) await sleep(each.interval_us / 1000);
    const message = { payload: payload(request.response_type, each.size) };
    if (!call.write(message)) await new Promise((ready) => call.once("drain", ready));
  }
}

/** The requests of a duplex call; plain iteration would end the answers with them. */
const requestsOf = (call) => call.iterator({ destroyOnReturn: false });

/** Makes a streaming handler of an async function; what it throws is the status. */
function streaming(body) {
  return async (call) => {
    const trailers = echoMetadata(call);
    try {
      await body(call);
      call.end(trailers);
    } catch (error) {
      if (!call.cancelled) call.emit("error", { ...error, metadata: trailers });
    }
  };
}

const handlers = {
  EmptyCall: (_call, answer) => answer(null, {}),

  UnaryCall(call, answer) {
    const { request } = call;
    const trailers = echoMetadata(call);
    try {
      failIfAsked(request.response_status);
      answer(
        null,
        {
          payload: payload(request.response_type, request.response_size),
          server_id: request.fill_server_id ? serverId : "",
        },
        trailers,
      );
    } catch (error) {
      answer({ ...error, metadata: trailers });
    }
  },

  async StreamingInputCall(call, answer) {
    let total = 0;
    try {
      for await (const request of call) total += request.payload?.body?.length ?? 0;
    } catch {
      return; // The caller went away: nobody is left to be answered.
    }
    answer(null, { aggregated_payload_size: total });
  },

  StreamingOutputCall: streaming(async (call) => {
    failIfAsked(call.request.response_status);
    await sendResponses(call, call.request);
  }),

  FullDuplexCall: streaming(async (call) => {
    for await (const request of requestsOf(call)) {
      failIfAsked(request.response_status);
      await sendResponses(call, request);
    }
  }),

  HalfDuplexCall: streaming(async (call) => {
    const requests = [];
    for await (const request of requestsOf(call)) requests.push(request);
    for (const request of requests) await sendResponses(call, request);
  }),
};

const options = flags({ port: "0", use_tls: "false", tls_cert_file: "", tls_key_file: "" });
const credentials = isTrue(options.use_tls)
  ? grpc.ServerCredentials.createSsl(null, [
      {
        private_key: readOrNull(options.tls_key_file),
        cert_chain: readOrNull(options.tls_cert_file),
      },
    ])
  : grpc.ServerCredentials.createInsecure();

const server = new grpc.Server();
server.addService(TestService.service, handlers);
server.bindAsync(`127.0.0.1:${options.port}`, credentials, (error) => {
  if (error) {
    console.error(error.message);
    process.exit(1);
  }
});
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, () => {
    server.forceShutdown();
    process.exit(0);
  });
}
