import { type Call, stateCall, unaryCall } from "./call.js";
import { type Start, env } from "./crossing.js";
import { type Interceptor, intercepted } from "./interceptor.js";
import { Metadata } from "./metadata.js";
import { type Kind, Method } from "./method.js";
import { nameOf, typeErrors } from "./misuse.js";
import { type CallOptions, type ChannelOptions, compressionOf, sizeOf, timeoutOf } from "./options.js";
import { forgetSource, keepSource } from "./token.js";
import { type ChatCall, type Messages, type StreamCall, type UploadCall, streamCall, uploadCall } from "./stream.js";

/** The state of a channel's connection. */
export type Connectivity = (typeof STATES)[number];

/** By their numbers. */
const STATES = ["Idle", "Connecting", "Ready", "TransientFailure"] as const;

/**
 * A connection to a server, made when it is first needed and made anew when it breaks. Cheap to make, to be shared by all
 * that call the same server. It does not keep the process alive; calls do.
 */
export class Channel {
  /** What the channel was made for. */
  readonly target: string;
  /** @internal */
  readonly interceptors: readonly Interceptor[];
  #number: number;
  /** Of the function that gives it tokens. */
  #source: number | undefined;

  /**
   * @param target such as `orders:443`, `dns:///orders:443`, `ipv4:192.0.2.1:443`, `unix:/run/orders`.
   * @param options see {@link ChannelOptions}.
   * @throws TypeError for a target, an option or a certificate that cannot be used; it says which and why.
   */
  constructor(target: string, options: ChannelOptions = {}) {
    if (typeof target !== "string") throw new TypeError(`target: a string is due, not ${nameOf(target)}`);
    if (typeof options !== "object" || options === null) throw new TypeError(`options: an object is due, not ${nameOf(options)}`);
    const { interceptors = [], ...own } = options;
    if (typeof own.serviceConfig === "object") own.serviceConfig = JSON.stringify(own.serviceConfig);
    this.target = target;
    this.interceptors = interceptors;
    const { bearerToken: source } = own;
    if (typeof source === "function") {
      delete own.bearerToken;
      this.#source = keepSource(source);
    }
    try {
      this.#number = typeErrors(() => env().channel(target, own, this.#source));
    } catch (error) {
      if (this.#source !== undefined) forgetSource(this.#source);
      throw error;
    }
    dropped.register(this, { number: this.#number, source: this.#source }, this);
  }

  /**
   * Makes a unary call with bytes as messages.
   *
   * @param path `/package.Service/Method`.
   */
  unary(path: string, request: Uint8Array, options?: CallOptions): Call<Uint8Array> {
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
    options?: CallOptions,
  ): StreamCall<Uint8Array>;
  stream(
    path: string,
    kind: "bidi_streaming",
    requests?: Messages<Uint8Array>,
    options?: CallOptions,
  ): ChatCall<Uint8Array, Uint8Array>;
  stream(
    path: string,
    kind: "client_streaming",
    requests?: Messages<Uint8Array>,
    options?: CallOptions,
  ): UploadCall<Uint8Array, Uint8Array>;
  stream(path: string, kind: Kind, request?: unknown, options?: CallOptions): unknown {
    if (kind === "unary") throw new TypeError("kind: a unary call is made with unary()");
    return this.call(bytesMethod(path, kind), request, options);
  }

  /** The state of the connection. */
  get connectivity(): Connectivity {
    return typeErrors(() => env().connectivity(this.#number)) as Connectivity;
  }

  /**
   * Waits until the state of the connection is another than `known`, and gives it. States that last only a moment may be
   * missed. It keeps the process alive, as calls do, and rejects with CANCELLED when the channel is closed.
   *
   * @param options `timeoutMs`, after which it rejects with DEADLINE_EXCEEDED, and a `signal` that ends it with its reason.
   */
  async connectivityChanged(
    known: Connectivity,
    options: Pick<CallOptions, "timeoutMs" | "signal"> = {},
  ): Promise<Connectivity> {
    if (this.#number < 0) throw new TypeError("the channel is closed");
    const number = STATES.indexOf(known);
    if (number < 0) throw new TypeError(`known: one of ${STATES.join(", ")} is due, not ${known}`);
    return STATES[await stateCall(this.#number, number, timeoutOf(options.timeoutMs), options.signal)]!;
  }

  /** Connects now, instead of with the first call. */
  connect(): void {
    typeErrors(() => env().connect(this.#number));
  }

  /** Makes no more calls. Those that are under way go on, and the connection ends with the last. */
  close(): void {
    if (this.#number < 0) return;
    dropped.unregister(this);
    letGo({ number: this.#number, source: this.#source });
    this.#number = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /**
   * @internal Makes a call of a method: of its kind, and through the interceptors of this channel and those given.
   *
   * @param request a message; messages where the method takes many, or undefined to send them by hand.
   */
  call(
    method: Method,
    request: unknown,
    options: CallOptions = {},
    interceptors: readonly Interceptor[] = this.interceptors,
  ): unknown {
    if (interceptors.length > 0) return intercepted(this, method, request, options, interceptors);
    return this.direct(method, request, options);
  }

  /** @internal Makes a call without interceptors. */
  direct(method: Method, request: unknown, options: CallOptions): unknown {
    const start = this.#start(method, options);
    const { signal } = options;
    switch (method.kind) {
      case "unary":
        return unaryCall(method, start, request, signal);
      case "server_streaming":
        return streamCall(method, start, [request], signal);
      case "client_streaming":
        return uploadCall(method, start, messagesOf(request), signal);
      case "bidi_streaming":
        return streamCall(method, start, messagesOf(request), signal);
    }
  }

  #start(method: Method, options: CallOptions): Start {
    if (this.#number < 0) throw new TypeError("the channel is closed");
    if (method.number < 0) method.number = env().method(method.path, method.kindNumber);
    const { metadata, parent } = options;
    return {
      channel: this.#number,
      method: method.number,
      timeout: timeoutOf(options.timeoutMs),
      compression: compressionOf(options.compression),
      maxRecv: sizeOf("maxRecvMessageBytes", options.maxRecvMessageBytes),
      maxSend: sizeOf("maxSendMessageBytes", options.maxSendMessageBytes),
      waitForReady: options.waitForReady === true,
      parent: parent === undefined ? 0 : parent.numberFromOne,
      metadata: metadata === undefined ? undefined : Metadata.pack(metadata),
    };
  }
}

/** Lets go of channels that nobody has any more. */
const dropped = new FinalizationRegistry<Held>(letGo);

/** What the engine keeps for a channel. */
interface Held {
  number: number;
  source: number | undefined;
}

function letGo({ number, source }: Held): void {
  env().closeChannel(number);
  if (source !== undefined) forgetSource(source);
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
