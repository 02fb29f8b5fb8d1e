import { Code } from "./code.js";
import { type Call, callOf } from "./call.js";
import type { Caller } from "./caller.js";
import type { Context } from "./context.js";
import { RpcError } from "./error.js";
import type { AnyHandler } from "./implement.js";
import { Metadata } from "./metadata.js";
import type { Kind, Method } from "./method.js";
import type { CallOptions } from "./options.js";
import { type Promised, promised } from "./outcome.js";
import { Queue } from "./queue.js";
import type { Messages, Sender, StreamCall } from "./stream.js";

/**
 * Stands around the calls of a channel or client. It may change `call`, answer by itself, call `next` again, and look at or
 * wrap what comes back: a message, or an AsyncIterable of messages where the method has many responses. Errors are thrown.
 */
export type Interceptor = (call: InterceptedCall, next: (call: InterceptedCall) => Promise<unknown>) => Promise<unknown>;

/** The same around the handlers of a server. */
export type ServerInterceptor = (call: ReceivedCall, next: (call: ReceivedCall) => Promise<unknown>) => Promise<unknown>;

/** A call on its way through the interceptors of a client. */
export class InterceptedCall {
  /** The method that is called. */
  readonly method: Method;
  /** The metadata that will be sent. */
  metadata: Metadata;
  /** Longest that the call may take. */
  timeoutMs: number | undefined;
  /** Ends the call when it aborts. */
  signal: AbortSignal | undefined;
  /** The message; an AsyncIterable of messages where the method takes many. */
  request: unknown;
  /** @internal Resolves when a call was made, or none will be. */
  readonly made: Promised<void> = promised();
  /** @internal The call that `next` made at last; undefined if an interceptor has answered by itself. */
  latest: Made | undefined;
  /** @internal */
  cancelled = false;

  /** @internal */
  constructor(method: Method, request: unknown, options: CallOptions) {
    this.method = method;
    this.request = request;
    this.metadata = new Metadata(options.metadata);
    this.timeoutMs = options.timeoutMs;
    this.signal = options.signal;
  }

  /** The kind of the method. */
  get kind(): Kind {
    return this.method.kind;
  }

  /** The leading metadata of the response, when they are here. */
  get headers(): Promise<Metadata> {
    return this.made.promise.then(() => this.latest?.headers ?? new Metadata());
  }

  /** What the server sent behind the response, when the call is over. */
  get trailers(): Promise<Metadata> {
    return this.made.promise.then(() => this.latest?.trailers ?? new Metadata());
  }
}

/** A call that was really made. */
type Made = Pick<Call<unknown>, "headers" | "trailers" | "peer" | "attempts" | "compressed" | "cancel">;

/** A call on its way through the interceptors of a server. */
export interface ReceivedCall {
  /** The method that is called. */
  readonly method: Method;
  /** The kind of the method. */
  readonly kind: Kind;
  /** The request's metadata. */
  readonly metadata: Metadata;
  /** What handlers get: headers and trailers of the response are set there. */
  readonly context: Context;
  /** The message; an AsyncIterable of messages where the method takes many. */
  request: unknown;
}

/** One function of many interceptors and what they stand around, the first outermost. */
function chain<Call>(
  interceptors: readonly ((call: Call, next: (call: Call) => Promise<unknown>) => Promise<unknown>)[],
  inmost: (call: Call) => Promise<unknown>,
): (call: Call) => Promise<unknown> {
  return interceptors.reduceRight<(call: Call) => Promise<unknown>>(
    (next, interceptor) => async (call) => interceptor(call, next),
    inmost,
  );
}

/** A handler with interceptors around it. */
export function interceptedHandler(
  method: Method,
  handler: AnyHandler,
  interceptors: readonly ServerInterceptor[],
): AnyHandler {
  if (interceptors.length === 0) return handler;
  const run = chain<ReceivedCall>(interceptors, async (call) => handler(call.request, call.context));
  return (request, context) =>
    run({ method, kind: method.kind, metadata: context.metadata, context, request });
}

/** Makes a call through interceptors. */
export function intercepted<Options extends CallOptions>(
  channel: Caller<Options>,
  method: Method,
  request: unknown,
  options: Options,
  interceptors: readonly Interceptor[],
): unknown {
  const manyRequests = method.kind === "client_streaming" || method.kind === "bidi_streaming";
  const queue = manyRequests && request === undefined ? new Queue<unknown>() : undefined;
  const given = queue ?? (manyRequests ? asynchronous(request as Messages<unknown>) : request);
  const call = new InterceptedCall(method, given, options);
  const run = chain(interceptors, async (call) => {
    if (call.cancelled) throw new RpcError(Code.CANCELLED, "the call was cancelled by its caller");
    const { metadata, timeoutMs, signal } = call;
    const made = channel.direct(method, call.request, { ...options, metadata, timeoutMs, signal });
    call.latest = made as Made;
    call.made.resolve();
    return made;
  });
  const response = run(call);
  // Whoever waits for what the server said is told when nothing comes.
  const settled = (): void => call.made.resolve();
  response.then(settled, settled);
  const state = new State(call);
  if (method.kind === "server_streaming" || method.kind === "bidi_streaming") {
    return new InterceptedStream(response, state, queue);
  }
  const promise = callOf(response, state);
  return queue === undefined ? promise : Object.assign(promise, senderOf(queue));
}

/** What a call with interceptors is asked for beside its messages. */
class State {
  readonly #call: InterceptedCall;

  constructor(call: InterceptedCall) {
    this.#call = call;
  }

  get facts(): Omit<Made, "cancel" | "compressed"> {
    const call = this.#call;
    return {
      headers: call.headers,
      trailers: call.trailers,
      peer: call.latest?.peer,
      attempts: call.latest?.attempts ?? 0,
    };
  }

  get compressed(): boolean {
    return this.#call.latest?.compressed ?? false;
  }

  cancel(): void {
    this.#call.cancelled = true;
    this.#call.latest?.cancel();
  }
}

function senderOf<I>(queue: Queue<I>): Sender<I> {
  return { send: (message) => queue.send(message), end: () => queue.end() };
}

/** The responses that come out of the interceptors. */
class InterceptedStream implements StreamCall<unknown>, Sender<unknown> {
  #responses: Promise<AsyncIterator<unknown>>;
  #state: State;
  #queue: Queue<unknown> | undefined;

  constructor(responses: Promise<unknown>, state: State, queue: Queue<unknown> | undefined) {
    this.#responses = responses.then((responses) => asynchronous(responses as Messages<unknown>)[Symbol.asyncIterator]());
    // Who never takes a response hears of no error.
    this.#responses.catch(() => {});
    this.#state = state;
    this.#queue = queue;
  }

  get headers(): Promise<Metadata> {
    return this.#state.facts.headers;
  }

  get trailers(): Promise<Metadata> {
    return this.#state.facts.trailers;
  }

  get peer(): string | undefined {
    return this.#state.facts.peer;
  }

  get attempts(): number {
    return this.#state.facts.attempts;
  }

  get compressed(): boolean {
    return this.#state.compressed;
  }

  send(message: unknown): Promise<void> {
    return this.#queue?.send(message) ?? Promise.reject(new RpcError(Code.FAILED_PRECONDITION, "the requests were given"));
  }

  end(): void {
    this.#queue?.end();
  }

  cancel(): void {
    this.#state.cancel();
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    const next = await (await this.#responses).next();
    return next.done === true ? { value: undefined, done: true } : next;
  }

  async return(): Promise<IteratorReturnResult<undefined>> {
    this.cancel();
    this.#queue?.end();
    const responses = await this.#responses.catch(() => undefined);
    await responses?.return?.();
    return { value: undefined, done: true };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}

function asynchronous<T>(messages: Messages<T>): AsyncIterable<T> {
  if (Symbol.asyncIterator in messages) return messages;
  return (async function* () {
    yield* messages;
  })();
}
