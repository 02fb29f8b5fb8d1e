// Cases of npm's grpc-web, with bodies of bytes and of text. It needs the XMLHttpRequest of a browser.
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { GrpcWebClientBase, MethodDescriptor, MethodType, StatusCode } from "grpc-web";
import { TestService } from "testing";
import { check, rejection, same } from "./testing.mjs";

/** A message of protobuf-es, as grpc-web wants to make one. */
class Message {}

/** A method, for messages of protobuf-es. */
function methodOf({ parent, name, input, output, methodKind }) {
  const type = methodKind === "unary" ? MethodType.UNARY : MethodType.SERVER_STREAMING;
  const encode = (message) => toBinary(input, create(input, message));
  return new MethodDescriptor(`/${parent.typeName}/${name}`, type, Message, Message, encode, (bytes) => fromBinary(output, bytes));
}

const { method } = TestService;

/** The cases for one form of bodies. */
export function casesOf(format) {
  const clientOf = () => new GrpcWebClientBase({ format });
  const unary = ({ url }, desc, request, metadata = {}) => {
    const descriptor = methodOf(desc);
    return clientOf().unaryCall(url + `/${desc.parent.typeName}/${desc.name}`, request, metadata, descriptor);
  };
  const stream = ({ url }, desc, request, metadata = {}) =>
    clientOf().serverStreaming(url + `/${desc.parent.typeName}/${desc.name}`, request, metadata, methodOf(desc));

  /** Everything that a stream tells. */
  function told(call) {
    return new Promise((resolve) => {
      const seen = { messages: [], status: undefined, metadata: undefined, error: undefined };
      call.on("data", (message) => seen.messages.push(message));
      call.on("metadata", (metadata) => (seen.metadata = metadata));
      call.on("status", (status) => (seen.status = status));
      call.on("error", (error) => {
        seen.error = error;
        resolve(seen);
      });
      call.on("end", () => resolve(seen));
    });
  }

  return {
    async empty_unary(context) {
      await unary(context, method.emptyCall, {});
    },

    async large_unary(context) {
      const request = { responseSize: 314_159, payload: { body: new Uint8Array(271_828) } };
      same((await unary(context, method.unaryCall, request)).payload.body.length, 314_159, "bytes");
    },

    async custom_metadata(context) {
      const given = { "x-grpc-test-echo-initial": "initial", "x-grpc-test-echo-trailing-bin": "q6ur" };
      const request = { responseParameters: [{ size: 1 }] };
      const { status, metadata } = await told(stream(context, method.streamingOutputCall, request, given));
      same(metadata["x-grpc-test-echo-initial"], "initial", "headers");
      same(status.metadata["x-grpc-test-echo-trailing-bin"], "q6ur", "trailers");
    },

    async status_code_and_message(context) {
      const responseStatus = { code: 5, message: "no such thing" };
      const error = await rejection(unary(context, method.unaryCall, { responseStatus }));
      same([error.code, decodeURIComponent(error.message)], [StatusCode.NOT_FOUND, responseStatus.message], "status");
    },

    async unimplemented(context) {
      same((await rejection(unary(context, method.unimplementedCall, {}))).code, StatusCode.UNIMPLEMENTED, "code");
    },

    async server_streaming(context) {
      const sizes = [31415, 9, 2653, 58979];
      const request = { responseParameters: sizes.map((size) => ({ size })) };
      const { messages } = await told(stream(context, method.streamingOutputCall, request));
      same(messages.map(({ payload }) => payload.body.length), sizes, "sizes");
    },

    async deadline(context) {
      const request = { responseParameters: [{ size: 1 }, { size: 1, intervalUs: 2 ** 31 - 1 }] };
      const { error } = await told(stream(context, method.streamingOutputCall, request, { deadline: String(Date.now() + 300) }));
      check(error !== undefined, "no error");
      same(error.code, StatusCode.DEADLINE_EXCEEDED, "code");
    },
  };
}
