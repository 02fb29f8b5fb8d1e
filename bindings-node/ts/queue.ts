import { Code } from "./code.js";
import { RpcError } from "./error.js";
import { type Promised, promised } from "./outcome.js";

interface Item<T> {
  value: T;
  taken: Promised<void>;
}

/** Messages that are sent by hand and taken by an iterator, one after the other. */
export class Queue<T> implements AsyncIterableIterator<T, undefined> {
  #items: Item<T>[] = [];
  #waiting: Promised<IteratorResult<T, undefined>>[] = [];
  #ended = false;

  /** Resolves when the message was taken. */
  send(value: T): Promise<void> {
    if (this.#ended) return Promise.reject(new RpcError(Code.FAILED_PRECONDITION, "no message can follow end()"));
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) {
      waiting.resolve({ value, done: false });
      return Promise.resolve();
    }
    const item = { value, taken: promised<void>() };
    this.#items.push(item);
    return item.taken.promise;
  }

  /** No more follow. */
  end(): void {
    this.#ended = true;
    for (const waiting of this.#waiting.splice(0)) waiting.resolve({ value: undefined, done: true });
  }

  next(): Promise<IteratorResult<T, undefined>> {
    const item = this.#items.shift();
    if (item !== undefined) {
      item.taken.resolve();
      return Promise.resolve({ value: item.value, done: false });
    }
    if (this.#ended) return Promise.resolve({ value: undefined, done: true });
    const waiting = promised<IteratorResult<T, undefined>>();
    this.#waiting.push(waiting);
    return waiting.promise;
  }

  /** Nobody takes any more. */
  return(): Promise<IteratorReturnResult<undefined>> {
    this.end();
    for (const { taken } of this.#items.splice(0)) taken.resolve();
    return Promise.resolve({ value: undefined, done: true });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
