import { type Call, unaryCall } from "./call.js";
import type { Engine } from "./engine.js";
import { type Interceptor, intercepted } from "./interceptor.js";
import { type Kind, Method } from "./method.js";
import { nameOf } from "./misuse.js";
import type { CallOptions } from "./options.js";
import { type ChatCall, type Messages, type StreamCall, type UploadCall, streamCall, uploadCall } from "./stream.js";

/** What makes calls to one server, whatever carries them. `Options` is what each of them may be given. */
export abstract class Caller<Options extends CallOptions> {
  /** @internal */
  readonly interceptors: readonly Interceptor[];
  readonly #engine: Engine<unknown, unknown>;

  /** @internal */
  protected constructor(engine: Engine<unknown, unknown>, interceptors: readonly Interceptor[] = []) {
    this.#engine = engine;
    this.interceptors = interceptors;
  }

  /** @internal What begins a call, for the engine. */
  protected abstract start(method: Method, options: Options): unknown;

  /**
   * Makes a unary call with bytes as messages.
   *
   * @param path `/package.Service/Method`.
   */
  unary(path: string, request: Uint8Array, options?: Options): Call<Uint8Array> {
    return this.call(bytesMethod(path, "unary"), request, options) as Call<Uint8Array>;
  }

  /**
   * Begins a call of any kind with bytes as messages.
   *
   * @param path `/package.Service/Method`.
   * @param request what to send: the only message, or what gives many. Without the latter they are sent by hand.
   */
  stream(
    path: string,
    kind: "server_streaming",
    request: Uint8Array,
    options?: Options,
  ): StreamCall<Uint8Array>;
  stream(
    path: string,
    kind: "bidi_streaming",
    requests?: Messages<Uint8Array>,
    options?: Options,
  ): ChatCall<Uint8Array, Uint8Array>;
  stream(
    path: string,
    kind: "client_streaming",
    requests?: Messages<Uint8Array>,
    options?: Options,
  ): UploadCall<Uint8Array, Uint8Array>;
  stream(path: string, kind: Kind, request?: unknown, options?: Options): unknown {
    if (kind === "unary") throw new TypeError("kind: a unary call is made with unary()");
    return this.call(bytesMethod(path, kind), request, options);
  }

  /**
   * @internal Makes a call of a method: of its kind, and through the interceptors of this channel and those given.
   *
   * @param request a message; messages where the method takes many, or undefined to send them by hand.
   */
  call(
    method: Method,
    request: unknown,
    options: Options = {} as Options,
    interceptors: readonly Interceptor[] = this.interceptors,
  ): unknown {
    if (interceptors.length > 0) return intercepted(this, method, request, options, interceptors);
    return this.direct(method, request, options);
  }

  /** @internal Makes a call without interceptors. */
  direct(method: Method, request: unknown, options: Options): unknown {
    const start = this.start(method, options);
    const { signal } = options;
    switch (method.kind) {
      case "unary":
        return unaryCall(this.#engine, method, start, request, signal);
      case "server_streaming":
        return streamCall(this.#engine, method, start, [request], signal);
      case "client_streaming":
        return uploadCall(this.#engine, method, start, messagesOf(request), signal);
      case "bidi_streaming":
        return streamCall(this.#engine, method, start, messagesOf(request), signal);
    }
  }
}

function messagesOf(requests: unknown): Messages<unknown> | undefined {
  if (requests === undefined) return undefined;
  if (typeof requests === "object" && requests !== null && (Symbol.asyncIterator in requests || Symbol.iterator in requests)) {
    return requests as Messages<unknown>;
  }
  throw new TypeError(`requests: an iterable of messages is due, not ${nameOf(requests)}`);
}

/** Methods that are called by their path; a proxy may call any number. */
const known = new Map<string, Method>();
const KNOWN_METHODS = 1024;

function bytesMethod(path: string, kind: Kind): Method {
  const key = `${kind} ${path}`;
  let method = known.get(key);
  if (method === undefined) {
    method = Method.bytes(path, kind);
    if (known.size < KNOWN_METHODS) known.set(key, method);
  }
  return method;
}
