// Cases of @connectrpc/connect-web's transport of gRPC-Web. They run in Node and in a browser.
import { Code, createClient } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { TestService } from "testing";
import { check, rejection, same } from "./testing.mjs";

function clientOf({ url }) {
  return createClient(TestService, createGrpcWebTransport({ baseUrl: url }));
}

export const cases = {
  async empty_unary(context) {
    await clientOf(context).emptyCall({});
  },

  async large_unary(context) {
    const { payload } = await clientOf(context).unaryCall({ responseSize: 314_159, payload: { body: new Uint8Array(271_828) } });
    same(payload.body.length, 314_159, "bytes");
  },

  async custom_metadata(context) {
    let headers;
    let trailers;
    const given = { "x-grpc-test-echo-initial": "initial", "x-grpc-test-echo-trailing-bin": "q6ur" };
    const options = { headers: given, onHeader: (seen) => (headers = seen), onTrailer: (seen) => (trailers = seen) };
    await clientOf(context).unaryCall({ responseSize: 1 }, options);
    same(headers.get("x-grpc-test-echo-initial"), "initial", "headers");
    if (context.unaryTrailers !== false) same(trailers.get("x-grpc-test-echo-trailing-bin"), "q6ur", "trailers");
  },

  async status_code_and_message(context) {
    const responseStatus = { code: 5, message: "no ☺" };
    const error = await rejection(clientOf(context).unaryCall({ responseStatus }));
    same([error.code, error.rawMessage], [Code.NotFound, responseStatus.message], "status");
  },

  async unimplemented(context) {
    same((await rejection(clientOf(context).unimplementedCall({}))).code, Code.Unimplemented, "code");
  },

  async server_streaming(context) {
    const sizes = [31415, 9, 2653, 58979];
    const seen = [];
    for await (const { payload } of clientOf(context).streamingOutputCall({ responseParameters: sizes.map((size) => ({ size })) })) {
      seen.push(payload.body.length);
    }
    same(seen, sizes, "sizes");
  },

  async deadline(context) {
    const responseParameters = [{ size: 1 }, { size: 1, intervalUs: 2 ** 31 - 1 }];
    const error = await rejection(
      (async () => {
        for await (const _ of clientOf(context).streamingOutputCall({ responseParameters }, { timeoutMs: 200 }));
      })(),
    );
    same(error.code, Code.DeadlineExceeded, "code");
  },

  async cancel(context) {
    const abort = new AbortController();
    const responseParameters = [{ size: 1 }, { size: 1, intervalUs: 2 ** 31 - 1 }];
    let seen = 0;
    const error = await rejection(
      (async () => {
        for await (const _ of clientOf(context).streamingOutputCall({ responseParameters }, { signal: abort.signal })) {
          seen += 1;
          abort.abort();
        }
      })(),
    );
    check(seen === 1 && error.code === Code.Canceled, `${seen} messages, then ${error}`);
  },
};
