import { Code } from "./code.js";
import { Uncompressed } from "./codec.js";
import { Context } from "./context.js";
import { type Arrival, type ServerSink, server } from "./crossing.js";
import { RpcError } from "./error.js";
import type { AnyHandler } from "./implement.js";
import { Inbound } from "./inbound.js";
import { Metadata } from "./metadata.js";
import type { Method } from "./method.js";
import { nameOf } from "./misuse.js";
import { within } from "./opentelemetry.js";
import { Outbound } from "./outbound.js";
import type { Messages } from "./stream.js";

const NO_BYTES = new Uint8Array(0);
const COMPRESSED = { compressed: true } as const;

/** What a server does with the calls of a method. */
export interface Route {
  readonly method: Method;
  readonly handler: AnyHandler;
  /** Hears of errors that are no {@link RpcError}. */
  readonly onError: (error: unknown, context: Context) => void;
  /** Its calls are places in a trace. */
  readonly traced: boolean;
}

/** A call that a server answers. */
export class Served implements ServerSink {
  #call: number;
  #route: Route;
  #context: Context;
  /** The only request. */
  #request: Uint8Array | undefined;
  #inbound: Inbound<unknown> | undefined;
  #outbound: Outbound<unknown> | undefined;
  /** The answer is given. */
  #finished = false;

  constructor(route: Route, arrival: Arrival, now: number) {
    const deadline = arrival.timeout === 0 ? Infinity : now + arrival.timeout;
    this.#call = arrival.call;
    this.#route = route;
    this.#request = arrival.message;
    this.#context = new Context(arrival.call, route.method, arrival.peer, deadline, arrival.metadata);
    if (arrival.compressed) this.#context.requests = COMPRESSED;
  }

  run(): void {
    if (this.#route.traced) within(this.#context, () => this.#handle());
    else this.#handle();
  }

  #handle(): void {
    const { method, handler } = this.#route;
    let response: unknown;
    try {
      response = handler(this.#takeRequest(), this.#context);
    } catch (error) {
      return this.#fail(error);
    }
    if (method.kind === "unary" || method.kind === "client_streaming") this.#answer(response);
    else this.#stream(response);
  }

  message(bytes: Uint8Array, compressed: boolean): void {
    this.#inbound?.push(bytes, compressed);
  }

  end(): void {
    this.#inbound?.end();
  }

  room(ready: boolean): void {
    this.#outbound?.room(ready);
  }

  cancelled(): void {
    this.#context.cancel();
    this.#inbound?.close(this.#context.cancelled);
    this.#outbound?.close();
  }

  #takeRequest(): unknown {
    const { method } = this.#route;
    if (method.kind === "unary" || method.kind === "server_streaming") {
      return method.input.decode(this.#request ?? NO_BYTES);
    }
    const inbound = new Inbound(method.input, (messages) => {
      if (!this.#finished) server.grant(this.#call, messages);
    });
    this.#inbound = inbound;
    this.#context.requests = inbound;
    return new Requests(inbound);
  }

  #answer(response: unknown): void {
    if (isPromise(response)) {
      response.then(
        (response) => this.#respond(response),
        (error: unknown) => this.#fail(error),
      );
    } else {
      this.#respond(response);
    }
  }

  #respond(response: unknown): void {
    if (this.#finished) return;
    try {
      const plain = response instanceof Uncompressed;
      const message = this.#route.method.output.encode(plain ? response.message : response);
      const context = this.#context;
      const head = context.takeHead();
      server.respond(this.#call, head, context.takeTrailers(), message, plain);
    } catch (error) {
      return this.#fail(error);
    }
    this.#finish();
  }

  #stream(response: unknown): void {
    this.#sendAll(response).then(
      () => this.#end(Code.OK, "", NO_BYTES, this.#context.takeTrailers()),
      (error: unknown) => this.#fail(error),
    );
  }

  async #sendAll(response: unknown): Promise<void> {
    const messages = isPromise(response) ? await response : response;
    if (!isMessages(messages)) {
      throw new TypeError(`${this.#route.method.path}: an iterable of messages is due, not ${nameOf(messages)}`);
    }
    const outbound = new Outbound(this.#route.method.output, (bytes, plain) => this.#send(bytes, plain));
    this.#outbound = outbound;
    if (this.#context.cancelled !== undefined) outbound.close();
    await outbound.sendAll(messages);
  }

  #send(bytes: Uint8Array, plain: boolean): void {
    const head = this.#context.takeHead();
    if (head.headers !== undefined || head.compression !== 0) server.sendHeaders(this.#call, head);
    server.send(this.#call, bytes, plain);
  }

  #fail(error: unknown): void {
    if (this.#finished) return;
    if (error instanceof RpcError) {
      const trailers = this.#context.takeTrailers();
      const own = Metadata.pack(error.trailers);
      const all = own.length === 0 ? trailers : trailers.length === 0 ? own : Buffer.concat([trailers, own]);
      this.#end(error.code, error.rawMessage, error.encodedDetails, all);
      return;
    }
    // What a handler does because nobody waits is no fault of it.
    if (this.#context.cancelled === undefined) report(this.#route, error, this.#context);
    this.#end(Code.UNKNOWN, "the handler failed", NO_BYTES, this.#context.takeTrailers());
  }

  #end(code: Code, message: string, details: Uint8Array, trailers: Uint8Array): void {
    server.finish(this.#call, this.#context.takeHead(), trailers, code, message, details);
    this.#finish();
  }

  #finish(): void {
    this.#finished = true;
    this.#outbound?.close();
    this.#inbound?.close();
  }
}

function report(route: Route, error: unknown, context: Context): void {
  try {
    route.onError(error, context);
  } catch (fault) {
    // One in the reporting itself is the program's to see.
    queueMicrotask(() => {
      throw fault;
    });
  }
}

/** The requests of a stream, for its handler. */
class Requests implements AsyncIterableIterator<unknown, undefined> {
  #inbound: Inbound<unknown>;

  constructor(inbound: Inbound<unknown>) {
    this.#inbound = inbound;
  }

  next(): Promise<IteratorResult<unknown, undefined>> {
    return this.#inbound.next(this);
  }

  /** Leaving the loop: what else comes is dropped. */
  return(): Promise<IteratorReturnResult<undefined>> {
    this.#inbound.close();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}

function isMessages(value: unknown): value is Messages<unknown> {
  return typeof value === "object" && value !== null && (Symbol.asyncIterator in value || Symbol.iterator in value);
}
