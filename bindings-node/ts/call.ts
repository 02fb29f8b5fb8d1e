import { type Abortable, unwatch, watch } from "./abort.js";
import { Code } from "./code.js";
import { type Codec, Uncompressed } from "./codec.js";
import type { ClientSink, Engine, Outcome } from "./engine.js";
import type { Metadata, Raw } from "./metadata.js";
import type { Method } from "./method.js";
import { Facts, errorOf } from "./outcome.js";

/** A call with one response: a promise of it, and what else can be known and done. */
export interface Call<O> extends Promise<O> {
  /** The leading metadata of the response, when they are here. */
  readonly headers: Promise<Metadata>;
  /** What the server sent behind the response, when the call is over. */
  readonly trailers: Promise<Metadata>;
  /** The server that answered, such as `ipv4:127.0.0.1:443`, when the call is over. */
  readonly peer: string | undefined;
  /** How many attempts the call took, when it is over. */
  readonly attempts: number;
  /** Ends the call with CANCELLED. One that is over stays as it is. */
  cancel(): void;
  /** Whether the response came compressed, when it is here. */
  readonly compressed: boolean;
}

/** What stands behind a {@link Call}. */
export interface CallState {
  readonly facts: Pick<Facts, "headers" | "trailers" | "peer" | "attempts">;
  readonly compressed: boolean;
  cancel(): void;
}

const STATE = Symbol("state");

interface Stated {
  [STATE]: CallState;
}

/**
 * Calls are promises with this as their prototype: `await` takes them as they are, which it does not with instances of a
 * subclass.
 */
const prototype = Object.create(Promise.prototype, {
  headers: { get: (function (this: Stated) { return this[STATE].facts.headers; }) },
  trailers: { get: (function (this: Stated) { return this[STATE].facts.trailers; }) },
  peer: { get: (function (this: Stated) { return this[STATE].facts.peer; }) },
  attempts: { get: (function (this: Stated) { return this[STATE].facts.attempts; }) },
  compressed: { get: (function (this: Stated) { return this[STATE].compressed; }) },
  cancel: { value(this: Stated) { this[STATE].cancel(); } },
}) as object;

/** Makes a promise the call of a state. */
export function callOf<O>(promise: Promise<O>, state: CallState): Call<O> {
  (promise as unknown as Stated)[STATE] = state;
  return Object.setPrototypeOf(promise, prototype) as Call<O>;
}

/** What ends calls. */
type Canceller = Pick<Engine<unknown, unknown>, "cancel">;

/** A unary call that was made. */
class Unary<O> implements ClientSink, CallState, Abortable {
  readonly facts = new Facts();
  compressed = false;
  resolve!: (response: O) => void;
  reject!: (reason: unknown) => void;
  #codec: Codec<O>;
  #engine: Canceller;
  #call: unknown;
  #signal: AbortSignal | undefined;

  constructor(codec: Codec<O>, engine: Canceller) {
    this.#codec = codec;
    this.#engine = engine;
  }

  begin(make: () => unknown, signal: AbortSignal | undefined): void {
    if (signal?.aborted) {
      this.facts.end(NOTHING);
      this.reject(signal.reason);
      return;
    }
    this.#call = make();
    if (signal !== undefined) {
      this.#signal = signal;
      watch(signal, this);
    }
  }

  aborted(reason: unknown): void {
    this.reject(reason);
    this.cancel();
  }

  cancel(): void {
    if (!this.facts.over) this.#engine.cancel(this.#call);
  }

  headers(raw: Raw): void {
    this.facts.arrive(raw);
  }

  message(): void {}

  room(): void {}

  done(outcome: Outcome): void {
    if (this.#signal !== undefined) unwatch(this.#signal, this);
    this.facts.end(outcome);
    this.compressed = outcome.compressed;
    const error = errorOf(outcome);
    if (error !== undefined) return this.reject(error);
    try {
      this.resolve(this.#codec.decode(outcome.message ?? NO_BYTES));
    } catch (error) {
      this.reject(error);
    }
  }
}

const NO_BYTES = new Uint8Array(0);

/** What there is to know of a call that was never made. */
export const NOTHING: Outcome = {
  code: Code.OK,
  attempts: 0,
  sent: 0,
  peer: undefined,
  headers: undefined,
  trailers: undefined,
  text: "",
  details: undefined,
  message: undefined,
  compressed: false,
};

/** Makes a unary call. */
export function unaryCall<I, O, Start>(
  engine: Engine<Start, unknown>,
  method: Method<I, O>,
  start: Start,
  request: I,
  signal: AbortSignal | undefined,
): Call<O> {
  const plain = request instanceof Uncompressed;
  const message = method.input.encode(plain ? (request.message as I) : request);
  return begin(engine, method.output, (sink) => engine.unary(sink, start, message, plain), signal);
}

/** Begins what has one answer, and can be cancelled until then. */
export function begin<O>(
  engine: Canceller,
  codec: Codec<O>,
  make: (sink: ClientSink) => unknown,
  signal: AbortSignal | undefined,
): Call<O> {
  const state = new Unary(codec, engine);
  const promise = promiseOf(state);
  state.begin(() => make(state), signal);
  return callOf(promise, state);
}

function promiseOf<O>(state: Unary<O>): Promise<O> {
  return new Promise<O>((resolve, reject) => {
    state.resolve = resolve;
    state.reject = reject;
  });
}
