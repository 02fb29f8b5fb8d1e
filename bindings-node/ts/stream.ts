import { type Abortable, unwatch, watch } from "./abort.js";
import { Code } from "./code.js";
import { type Call, type CallState, NOTHING, callOf } from "./call.js";
import type { ClientSink, Engine, Outcome } from "./engine.js";
import { RpcError } from "./error.js";
import { FIRST_CREDIT, Inbound } from "./inbound.js";
import type { Metadata, Raw } from "./metadata.js";
import type { Method } from "./method.js";
import { Outbound } from "./outbound.js";
import { Facts, errorOf } from "./outcome.js";

/** Messages that are sent: of anything that can be gone through. */
export type Messages<I> = Iterable<I> | AsyncIterable<I>;

/** What sends the requests of a call by hand. */
export interface Sender<I> {
  /**
   * Sends a message. Resolves when the next one has room: who waits for it never queues much.
   *
   * @throws TypeError, as a rejection, if it is no message of the method; RpcError if the call is over.
   */
  send(message: I): Promise<void>;
  /** No more messages follow. */
  end(): void;
}

/** A call with many responses. Leaving the loop over them ends the call. */
export interface StreamCall<O> extends AsyncIterableIterator<O, undefined> {
  /** The leading metadata of the responses, when they are here. */
  readonly headers: Promise<Metadata>;
  /** What the server sent behind the responses, when the call is over. */
  readonly trailers: Promise<Metadata>;
  /** The server that answered, such as `ipv4:127.0.0.1:443`, when the call is over. */
  readonly peer: string | undefined;
  /** How many attempts the call took, when it is over. */
  readonly attempts: number;
  /** Whether the last response that was taken came compressed. */
  readonly compressed: boolean;
  /** Ends the call with CANCELLED. One that is over stays as it is. */
  cancel(): void;
  return(): Promise<IteratorReturnResult<undefined>>;
  [Symbol.asyncIterator](): StreamCall<O>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A call with many requests and one response. */
export type UploadCall<I, O> = Call<O> & Sender<I>;

/** A call with many messages both ways. */
export type ChatCall<I, O> = StreamCall<O> & Sender<I>;

/** A stream that was begun: what the engine tells, and what its user's objects stand on. */
class Stream<I, O> implements ClientSink, CallState, Abortable {
  readonly facts = new Facts();
  readonly inbound: Inbound<O>;
  readonly outbound: Outbound<I>;
  /** Why it ended, when it has not succeeded. */
  error: unknown;
  #engine: Engine<unknown, unknown>;
  #call: unknown;
  #signal: AbortSignal | undefined;
  #halfClosed = false;

  constructor(engine: Engine<unknown, unknown>, method: Method<I, O>) {
    this.#engine = engine;
    this.inbound = new Inbound(method.output, (messages) => engine.grant(this.#call, messages));
    this.outbound = new Outbound(method.input, (bytes, plain) => engine.send(this.#call, bytes, plain));
  }

  begin(start: unknown, signal: AbortSignal | undefined): void {
    if (signal?.aborted) {
      this.#over(NOTHING, signal.reason);
      return;
    }
    this.#call = this.#engine.begin(this, start, FIRST_CREDIT);
    if (signal !== undefined) {
      this.#signal = signal;
      watch(signal, this);
    }
  }

  aborted(reason: unknown): void {
    this.fail(reason);
  }

  /** Sends all of `requests`, then half-closes. What they throw ends the call. */
  pump(requests: Messages<I>): void {
    this.outbound.sendAll(requests).then(
      () => this.end(),
      (error: unknown) => this.fail(error),
    );
  }

  send(message: I): Promise<void> {
    if (this.error !== undefined) return Promise.reject(this.error);
    if (this.facts.over || this.#halfClosed) {
      const why = this.#halfClosed ? "no message can follow end()" : "the call is over";
      return Promise.reject(new RpcError(Code.FAILED_PRECONDITION, why));
    }
    return this.outbound.send(message);
  }

  end(): void {
    if (this.facts.over || this.#halfClosed) return;
    this.#halfClosed = true;
    this.#engine.halfClose(this.#call);
  }

  /** Ends the call for a reason of ours, which its user gets at once. */
  fail(reason: unknown): void {
    if (this.facts.over) return;
    this.error ??= reason;
    this.cancel();
    this.outbound.close();
    this.inbound.close(reason);
  }

  cancel(): void {
    if (!this.facts.over) this.#engine.cancel(this.#call);
  }

  get compressed(): boolean {
    return this.inbound.compressed;
  }

  headers(raw: Raw): void {
    this.facts.arrive(raw);
  }

  message(bytes: Uint8Array, compressed: boolean): void {
    this.inbound.push(bytes, compressed);
  }

  room(ready: boolean): void {
    this.outbound.room(ready);
  }

  done(outcome: Outcome): void {
    if (this.#signal !== undefined) unwatch(this.#signal, this);
    this.#over(outcome, errorOf(outcome));
  }

  #over(outcome: Outcome, error: unknown): void {
    this.error ??= error;
    this.facts.end(outcome);
    this.outbound.close();
    this.inbound.end(this.error);
  }
}

/** Ends calls whose object nobody has any more. */
const dropped = new FinalizationRegistry<Stream<never, unknown>>((stream) => stream.cancel());

/** The object of a call with many responses. */
class Responses<I, O> implements StreamCall<O>, Sender<I> {
  #stream: Stream<I, O>;

  constructor(stream: Stream<I, O>) {
    this.#stream = stream;
    dropped.register(this, stream as Stream<never, unknown>, stream);
  }

  get headers(): Promise<Metadata> {
    return this.#stream.facts.headers;
  }

  get trailers(): Promise<Metadata> {
    return this.#stream.facts.trailers;
  }

  get peer(): string | undefined {
    return this.#stream.facts.peer;
  }

  get attempts(): number {
    return this.#stream.facts.attempts;
  }

  get compressed(): boolean {
    return this.#stream.inbound.compressed;
  }

  send(message: I): Promise<void> {
    return this.#stream.send(message);
  }

  end(): void {
    this.#stream.end();
  }

  cancel(): void {
    this.#stream.cancel();
  }

  next(): Promise<IteratorResult<O, undefined>> {
    return this.#stream.inbound.next(this);
  }

  return(): Promise<IteratorReturnResult<undefined>> {
    this.#stream.cancel();
    this.#stream.outbound.close();
    this.#stream.inbound.close();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return();
  }
}

/** Begins a call with many responses; without `requests` they are sent by hand. */
export function streamCall<I, O, Start>(
  engine: Engine<Start, unknown>,
  method: Method<I, O>,
  start: Start,
  requests: Messages<I> | undefined,
  signal: AbortSignal | undefined,
): ChatCall<I, O> {
  const stream = new Stream(engine, method);
  stream.begin(start, signal);
  if (requests !== undefined) stream.pump(requests);
  return new Responses(stream);
}

/** Begins a call with many requests and one response; without `requests` they are sent by hand. */
export function uploadCall<I, O, Start>(
  engine: Engine<Start, unknown>,
  method: Method<I, O>,
  start: Start,
  requests: Messages<I> | undefined,
  signal: AbortSignal | undefined,
): UploadCall<I, O> {
  const stream = new Stream(engine, method);
  stream.begin(start, signal);
  if (requests !== undefined) stream.pump(requests);
  const call = callOf(onlyResponse(stream), stream) as UploadCall<I, O>;
  call.send = (message) => stream.send(message);
  call.end = () => stream.end();
  return call;
}

/** The one response, when the call has ended well. */
async function onlyResponse<I, O>(stream: Stream<I, O>): Promise<O> {
  const first = await stream.inbound.next(stream);
  if (first.done === true) throw new RpcError(Code.UNIMPLEMENTED, "response has no message where one is due");
  await stream.inbound.next(stream);
  return first.value;
}
