import { Code } from "./code.js";
import type { Outcome } from "./engine.js";
import { RpcError, type Sent } from "./error.js";
import { Metadata, type Raw } from "./metadata.js";

const SENT: readonly Sent[] = ["not_sent", "maybe_sent", "answered"];
const NO_BYTES = new Uint8Array(0);

/** The error of a call that ended so; undefined if it succeeded. */
export function errorOf(outcome: Outcome): RpcError | undefined {
  if (outcome.code === Code.OK) return undefined;
  const trailers = Metadata.received(outcome.trailers);
  const error = RpcError.received(outcome.code, outcome.text, outcome.details ?? NO_BYTES, trailers);
  error.peer = outcome.peer;
  error.attempts = outcome.attempts;
  error.sent = SENT[outcome.sent] ?? "maybe_sent";
  return error;
}

/** What a call's host can ask for beside its messages. It is made of what crossed only when somebody asks. */
export class Facts {
  peer: string | undefined = undefined;
  attempts = 0;
  /** The call is over. */
  over = false;
  #headers: Promised<Metadata> | undefined;
  #trailers: Promised<Metadata> | undefined;
  #rawHeaders: Raw;
  #rawTrailers: Raw;
  #arrived = false;

  /** The leading metadata; those of a call that ended without any are empty. */
  get headers(): Promise<Metadata> {
    this.#headers ??= promised();
    if (this.#arrived) this.#headers.resolve(Metadata.received(this.#rawHeaders));
    return this.#headers.promise;
  }

  /** What came behind the last message. */
  get trailers(): Promise<Metadata> {
    this.#trailers ??= promised();
    if (this.over) this.#trailers.resolve(Metadata.received(this.#rawTrailers));
    return this.#trailers.promise;
  }

  /** The leading metadata are here. */
  arrive(headers: Raw): void {
    if (this.#arrived) return;
    this.#arrived = true;
    this.#rawHeaders = headers;
    this.#headers?.resolve(Metadata.received(headers));
  }

  /** Everything is here. */
  end(outcome: Outcome): void {
    this.peer = outcome.peer;
    this.attempts = outcome.attempts;
    this.over = true;
    this.arrive(outcome.headers);
    this.#rawTrailers = outcome.trailers;
    this.#trailers?.resolve(Metadata.received(outcome.trailers));
  }
}

/** A promise and what settles it. */
export interface Promised<T> {
  promise: Promise<T>;
  resolve(value: T): void;
  reject(reason: unknown): void;
}

/** A promise and what settles it. */
export function promised<T>(): Promised<T> {
  let resolve!: (value: T) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((...settle) => ([resolve, reject] = settle));
  return { promise, resolve, reject };
}
