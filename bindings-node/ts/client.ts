import type {
  DescMethodBiDiStreaming,
  DescMethodClientStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { Call } from "./call.js";
import type { Caller } from "./caller.js";
import type { Interceptor } from "./interceptor.js";
import { Method } from "./method.js";
import { nameOf } from "./misuse.js";
import type { CallOptions } from "./options.js";
import type { ChatCall, Messages, StreamCall, UploadCall } from "./stream.js";

/** A method of a client, by the descriptor of the method. */
type ClientMethod<Desc, Options> =
  Desc extends DescMethodUnary<infer I, infer O>
    ? (request: MessageInitShape<I>, options?: Options) => Call<MessageShape<O>>
    : Desc extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageInitShape<I>, options?: Options) => StreamCall<MessageShape<O>>
      : Desc extends DescMethodClientStreaming<infer I, infer O>
        ? (requests?: Messages<MessageInitShape<I>>, options?: Options) => UploadCall<MessageInitShape<I>, MessageShape<O>>
        : Desc extends DescMethodBiDiStreaming<infer I, infer O>
          ? (requests?: Messages<MessageInitShape<I>>, options?: Options) => ChatCall<MessageInitShape<I>, MessageShape<O>>
          : never;

/**
 * A method of a client whose service was loaded at run time: the compiler knows nothing of its messages, nor of its kind, by
 * which the call is one with one response or with many.
 */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- So that fields can be used without a cast each.
export type LoadedMethod<Options = CallOptions> = (request?: any, options?: Options) => Call<any> & ChatCall<any, any>;

/** The methods of a service, as functions. */
export type Client<Service extends DescService, Options = CallOptions> = string extends keyof Service["method"]
  ? Readonly<Record<string, LoadedMethod<Options>>>
  : { readonly [Name in keyof Service["method"]]: ClientMethod<Service["method"][Name], Options> };

/** Of a client. */
export interface ClientOptions {
  /** Around each call of the client, the first outermost; within those of the channel. */
  interceptors?: readonly Interceptor[];
}

/**
 * Makes a client of a service.
 *
 * @param service the descriptor: from generated code, or from `loadProto`.
 * @throws TypeError if it is none.
 */
export function createClient<Service extends DescService, Options extends CallOptions = CallOptions>(
  service: Service,
  channel: Caller<Options>,
  options: ClientOptions = {},
): Client<Service, Options> {
  if ((service as DescService | undefined)?.kind !== "service") {
    throw new TypeError(`service: the descriptor of a service is due, not ${nameOf(service)}`);
  }
  const interceptors = [...channel.interceptors, ...(options.interceptors ?? [])];
  const client: Record<string, unknown> = {};
  for (const desc of service.methods) {
    const method = Method.of(desc);
    client[desc.localName] = (request: unknown, options?: Options) =>
      channel.call(method, request, options, interceptors);
  }
  return client as Client<Service, Options>;
}

