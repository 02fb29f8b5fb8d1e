// Cases of our client, spanwire/web. They run in Node and in a browser.
import { Channel, Code, createClient, RpcError } from "spanwire/web";
import { TestService, UnimplementedService } from "testing";
import { check, rejection, same } from "./testing.mjs";

const MIB = 1 << 20;
const TEN_MILLION = 10_000_000;
/** Longer than any case may take: half an hour. */
const LONG_US = 2 ** 31 - 1;

function clientOf({ url }, options = {}) {
  return createClient(TestService, new Channel(url, options));
}

/** A stream that gives one message, and then nothing. */
function stuck(client, options) {
  const responseParameters = [{ size: 1 }, { size: 1, intervalUs: LONG_US }];
  return client.streamingOutputCall({ responseParameters }, options);
}

export const cases = {
  async empty_unary(context) {
    await clientOf(context).emptyCall({});
  },

  async large_unary(context) {
    const client = clientOf(context, { maxRecvMessageBytes: 16 * MIB });
    const body = new Uint8Array(context.largestRequest ?? TEN_MILLION);
    const { payload } = await client.unaryCall({ responseSize: TEN_MILLION, payload: { body } });
    same(payload.body.length, TEN_MILLION, "bytes");
    // That is more than is accepted without a word.
    const error = await rejection(clientOf(context).unaryCall({ responseSize: TEN_MILLION }));
    same(error.code, Code.RESOURCE_EXHAUSTED, "code");
  },

  async custom_metadata(context) {
    const bytes = new Uint8Array([0xab, 0xab, 0xab]);
    const metadata = { "x-grpc-test-echo-initial": "test_initial_metadata_value", "x-grpc-test-echo-trailing-bin": bytes };
    const client = clientOf(context);
    const unary = client.unaryCall({ responseSize: 1 }, { metadata });
    await unary;
    const stream = client.streamingOutputCall({ responseParameters: [{ size: 1 }] }, { metadata });
    for await (const _ of stream);
    for (const call of [unary, stream]) {
      same((await call.headers).get("x-grpc-test-echo-initial"), metadata["x-grpc-test-echo-initial"], "headers");
      // A unary answer of tonic has no trailers of its own.
      if (call === unary && context.unaryTrailers === false) continue;
      same([...(await call.trailers).get("x-grpc-test-echo-trailing-bin")], [...bytes], "trailers");
    }
  },

  async status_code_and_message(context) {
    const client = clientOf(context);
    const responseStatus = { code: 2, message: "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n" };
    for (const error of [
      await rejection(client.unaryCall({ responseStatus })),
      await rejection(client.streamingOutputCall({ responseStatus }).next()),
    ]) {
      check(error instanceof RpcError, String(error));
      same([error.code, error.rawMessage], [responseStatus.code, responseStatus.message], "status");
      same(error.sent, "answered", "sent");
    }
  },

  async error_details(context) {
    if (!context.details) return;
    const error = await rejection(clientOf(context).unaryCall({ responseStatus: { code: 9, message: "no" } }));
    same(error.details, [{ type: "ErrorInfo", reason: "ASKED_FOR", domain: "spanwire.test", metadata: {} }], "details");
  },

  async unimplemented(context) {
    const unknown = createClient(UnimplementedService, new Channel(context.url));
    same((await rejection(clientOf(context).unimplementedCall({}))).code, Code.UNIMPLEMENTED, "method");
    same((await rejection(unknown.unimplementedCall({}))).code, Code.UNIMPLEMENTED, "service");
  },

  async server_streaming(context) {
    const sizes = [31415, 9, 2653, 58979];
    const call = clientOf(context).streamingOutputCall({ responseParameters: sizes.map((size) => ({ size })) });
    const seen = [];
    for await (const { payload } of call) seen.push(payload.body.length);
    same(seen, sizes, "sizes");
    for await (const _ of clientOf(context).streamingOutputCall({})) check(false, "a message");
  },

  async messages_come_as_they_are_sent(context) {
    const call = stuck(clientOf(context));
    same((await call.next()).done, false, "done");
    call.cancel();
  },

  async large_stream(context) {
    const size = 64 << 10;
    const responseParameters = Array.from({ length: 300 }, () => ({ size }));
    let sum = 0;
    for await (const { payload } of clientOf(context).streamingOutputCall({ responseParameters })) sum += payload.body.length;
    same(sum, 300 * size, "bytes");
  },

  async cancel(context) {
    const client = clientOf(context);
    const abort = new AbortController();
    const aborted = stuck(client, { signal: abort.signal });
    await aborted.next();
    const next = rejection(aborted.next());
    abort.abort();
    same((await next).name, "AbortError", "error");
    const cancelled = stuck(client);
    await cancelled.next();
    cancelled.cancel();
    same((await rejection(cancelled.next())).code, Code.CANCELLED, "code");
    for await (const _ of stuck(client)) break;
  },

  async deadline(context) {
    const error = await rejection(
      (async () => {
        for await (const _ of stuck(clientOf(context), { timeoutMs: 200 }));
      })(),
    );
    same(error.code, Code.DEADLINE_EXCEEDED, "code");
  },

  async many_at_once(context) {
    const client = clientOf(context);
    const sizes = Array.from({ length: 100 }, (_, size) => size);
    const answers = await Promise.all(sizes.map((responseSize) => client.unaryCall({ responseSize })));
    same(answers.map(({ payload }) => payload?.body.length ?? 0), sizes, "sizes");
  },

  async many_requests(context) {
    const requests = [27182, 8, 1828, 45904].map((size) => ({ payload: { body: new Uint8Array(size) } }));
    const error = await rejection(clientOf(context).streamingInputCall(requests));
    same(error.code, Code.UNIMPLEMENTED, "code");
  },

  async lost_connection(context) {
    const client = createClient(TestService, new Channel(context.proxied));
    for (let time = 0; time < 3; time++) {
      const call = stuck(client);
      await call.next();
      await context.cut();
      const error = await rejection(call.next());
      same(error.code, Code.UNAVAILABLE, "code");
      // The next call has a connection of its own.
      await client.emptyCall({});
    }
  },
};

/** Cases of a page that may not call. */
export const refused = {
  async other_origin(context) {
    const error = await rejection(clientOf(context).emptyCall({}));
    same(error.code, Code.UNAVAILABLE, "code");
    check(error.rawMessage.includes("CORS"), error.message);
  },
};
