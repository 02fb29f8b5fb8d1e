import { type Codec, Uncompressed } from "./codec.js";
import { type Promised, promised } from "./outcome.js";

const SENT = Promise.resolve();

/** The messages of one direction, as they are sent: by hand, or by going through what gives them. */
export class Outbound<T> {
  #codec: Codec<T>;
  #send: (bytes: Uint8Array, plain: boolean) => void;
  #ready = true;
  #waiting: Promised<void> | undefined;
  #source: Iterator<unknown> | AsyncIterator<unknown> | undefined;
  /** No more can be sent. */
  closed = false;

  constructor(codec: Codec<T>, send: (bytes: Uint8Array, plain: boolean) => void) {
    this.#codec = codec;
    this.#send = send;
  }

  /**
   * Sends a message. The promise resolves when the next one has room; what is sent before that is kept.
   *
   * @throws TypeError, as a rejection, if it is no message of the method.
   */
  send(message: T): Promise<void> {
    try {
      this.#put(message);
    } catch (error) {
      return Promise.reject(error);
    }
    return this.#ready ? SENT : this.#room();
  }

  /** There is room, or there is none until further notice. */
  room(ready: boolean): void {
    this.#ready = ready || this.closed;
    if (this.#ready) {
      this.#waiting?.resolve();
      this.#waiting = undefined;
    }
  }

  /** Nothing can be sent any more. What gives messages is told so. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.room(true);
    const source = this.#source;
    this.#source = undefined;
    if (source?.return !== undefined) void Promise.resolve(source.return()).catch(() => {});
  }

  /**
   * Sends all that `messages` gives, as there is room.
   *
   * @throws what `messages` throws, and TypeError for what is no message of the method.
   */
  async sendAll(messages: Iterable<T> | AsyncIterable<T>): Promise<void> {
    if (Symbol.asyncIterator in messages) {
      const source = (this.#source = messages[Symbol.asyncIterator]());
      for (;;) {
        const next = await source.next();
        if (next.done === true || this.closed) break;
        this.#put(next.value);
        if (!this.#ready) await this.#room();
      }
    } else {
      const source = (this.#source = messages[Symbol.iterator]());
      for (;;) {
        const next = source.next();
        if (next.done === true || this.closed) break;
        this.#put(next.value);
        if (!this.#ready) await this.#room();
      }
    }
    // It has ended by itself.
    if (!this.closed) this.#source = undefined;
  }

  #put(message: T): void {
    if (message instanceof Uncompressed) this.#send(this.#codec.encode(message.message as T), true);
    else this.#send(this.#codec.encode(message), false);
  }

  #room(): Promise<void> {
    return (this.#waiting ??= promised<void>()).promise;
  }
}
