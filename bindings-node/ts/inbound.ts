import type { Codec } from "./codec.js";

/** How many bytes of messages a stream may hold that nobody has taken yet, roughly. */
const BUFFER_BYTES = 65_536;
/** What a message costs beside its bytes. */
const OVERHEAD_BYTES = 64;
/** Messages that may arrive before it is known how large they are. */
export const FIRST_CREDIT = 4;
const LEAST_CREDIT = 2;
const MOST_CREDIT = 512;

interface Waiter<T> {
  resolve(result: IteratorResult<T, undefined>): void;
  reject(reason: unknown): void;
  /** Whom the waiting keeps from being collected. */
  holder: unknown;
}

const END = { value: undefined, done: true } as const;

/**
 * The messages of one direction, as they are taken by an iterator. More are granted as they are taken: as many as fit
 * into {@link BUFFER_BYTES}, by the size of those that came.
 */
export class Inbound<T> {
  #codec: Codec<T>;
  #grant: (messages: number) => void;
  /** What came and was not taken. The oldest is at `#head`. */
  #messages: Uint8Array[] = [];
  #flags: boolean[] = [];
  #head = 0;
  #waiters: Waiter<T>[] = [];
  /** Messages that were granted and not taken yet. */
  #credit = FIRST_CREDIT;
  #ended = false;
  #error: unknown = undefined;
  /** Whether the message that was taken last came compressed. */
  compressed = false;

  /** `grant` lets so many messages more arrive. */
  constructor(codec: Codec<T>, grant: (messages: number) => void) {
    this.#codec = codec;
    this.#grant = grant;
  }

  /** A message is here. Those that were under way when nobody took any more are dropped. */
  push(bytes: Uint8Array, compressed: boolean): void {
    if (this.#ended) return;
    const waiter = this.#waiters.shift();
    if (waiter === undefined) {
      this.#messages.push(bytes);
      this.#flags.push(compressed);
      return;
    }
    try {
      waiter.resolve({ value: this.#taken(bytes, compressed), done: false });
    } catch (error) {
      waiter.reject(error);
    }
  }

  /** No more follow; what is here can still be taken, then the error, if there is one. */
  end(error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    for (const waiter of this.#waiters.splice(0)) {
      if (this.#error === undefined) waiter.resolve(END);
      else waiter.reject(this.#takeError());
    }
  }

  /** Nobody takes any more: what is here is dropped. */
  close(error?: unknown): void {
    this.#messages = [];
    this.#flags = [];
    this.#head = 0;
    if (this.#ended) this.#error = error;
    else this.end(error);
  }

  /** The next message. `holder` stays while it is waited for. */
  next(holder: unknown): Promise<IteratorResult<T, undefined>> {
    if (this.#head < this.#messages.length) {
      const bytes = this.#messages[this.#head]!;
      const compressed = this.#flags[this.#head]!;
      this.#head += 1;
      if (this.#head === this.#messages.length) {
        this.#messages.length = this.#flags.length = this.#head = 0;
      }
      try {
        return Promise.resolve({ value: this.#taken(bytes, compressed), done: false });
      } catch (error) {
        return Promise.reject(error);
      }
    }
    if (this.#ended) {
      return this.#error === undefined ? Promise.resolve(END) : Promise.reject(this.#takeError());
    }
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject, holder }));
  }

  /** An iterator fails once, and has ended then. */
  #takeError(): unknown {
    const error = this.#error;
    this.#error = undefined;
    return error;
  }

  #taken(bytes: Uint8Array, compressed: boolean): T {
    this.compressed = compressed;
    this.#credit -= 1;
    const fit = Math.floor(BUFFER_BYTES / (bytes.length + OVERHEAD_BYTES));
    const target = Math.min(Math.max(fit, LEAST_CREDIT), MOST_CREDIT);
    if (!this.#ended && this.#credit <= target >> 1) {
      this.#grant(target - this.#credit);
      this.#credit = target;
    }
    return this.#codec.decode(bytes);
  }
}
