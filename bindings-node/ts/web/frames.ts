import { Code } from "../code.js";
import { RpcError } from "../error.js";

/** A message, or the trailers behind the last one. */
export interface Frame {
  trailers: boolean;
  compressed: boolean;
  payload: Uint8Array;
}

/** How large frames may be. */
export interface FrameLimits {
  maxRecvMessageBytes: number;
  maxMetadataBytes: number;
}

const PREFIX_BYTES = 5;
const COMPRESSED = 1;
const TRAILERS = 0x80;

/** A message in its frame. */
export function frame(message: Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(PREFIX_BYTES + message.length);
  new DataView(bytes.buffer).setUint32(1, message.length);
  bytes.set(message, PREFIX_BYTES);
  return bytes;
}

/** Cuts the body of an answer into frames. */
export class FrameReader {
  #limits: FrameLimits;
  /** What came and was not cut off yet. */
  #chunks: Uint8Array[] = [];
  #length = 0;
  #flags: number | undefined;
  #due = 0;

  constructor(limits: FrameLimits) {
    this.#limits = limits;
  }

  /** The next bytes of the body. */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  /** Whether there are bytes that belong to no frame that was taken. */
  get rest(): boolean {
    return this.#length > 0 || this.#flags !== undefined;
  }

  /**
   * The next frame; undefined if more bytes are needed first.
   *
   * @throws RpcError for flags that mean nothing, and on its prefix for a frame that is too large.
   */
  next(): Frame | undefined {
    if (this.#flags === undefined) {
      const prefix = this.#take(PREFIX_BYTES);
      if (prefix === undefined) return undefined;
      const due = new DataView(prefix.buffer, prefix.byteOffset).getUint32(1);
      this.#check(prefix[0]!, due);
      this.#flags = prefix[0];
      this.#due = due;
    }
    const payload = this.#take(this.#due);
    if (payload === undefined) return undefined;
    const flags = this.#flags!;
    this.#flags = undefined;
    return { trailers: (flags & TRAILERS) !== 0, compressed: (flags & COMPRESSED) !== 0, payload };
  }

  /**
   * The body has ended.
   *
   * @throws RpcError if it ended inside a frame.
   */
  finish(): void {
    if (!this.rest) return;
    const due = this.#flags === undefined ? `${PREFIX_BYTES} bytes of its prefix` : `${this.#due} bytes`;
    throw new RpcError(Code.INTERNAL, `stream ended inside a message: ${this.#length} of ${due}`);
  }

  #check(flags: number, length: number): void {
    if ((flags & ~(COMPRESSED | TRAILERS)) !== 0) {
      throw new RpcError(Code.INTERNAL, `message has the invalid compressed-flag ${flags}`);
    }
    const { maxRecvMessageBytes, maxMetadataBytes } = this.#limits;
    // What cannot be compressed grows a little; the limits are on the decompressed size.
    const allowance = (limit: number): number => limit + ((flags & COMPRESSED) !== 0 ? limit / 64 + 128 : 0);
    if ((flags & TRAILERS) !== 0) {
      if (length > allowance(maxMetadataBytes)) throw tooManyTrailers(maxMetadataBytes);
    } else if (length > allowance(maxRecvMessageBytes)) {
      const text = `message of ${length} bytes is larger than max_recv_message_bytes (${maxRecvMessageBytes} bytes)`;
      throw new RpcError(Code.RESOURCE_EXHAUSTED, text);
    }
  }

  /** Cuts so many bytes off the front, without a copy if they lie in one chunk. */
  #take(length: number): Uint8Array | undefined {
    if (this.#length < length) return undefined;
    this.#length -= length;
    const first = this.#chunks[0];
    if (first === undefined) return new Uint8Array(0);
    if (first.length > length) {
      this.#chunks[0] = first.subarray(length);
      return first.subarray(0, length);
    }
    if (first.length === length) {
      this.#chunks.shift();
      return first;
    }
    const parts: Uint8Array[] = [];
    for (let missing = length; missing > 0; ) {
      const chunk: Uint8Array = this.#chunks[parts.length]!;
      parts.push(chunk.subarray(0, missing));
      missing -= chunk.length;
    }
    const last = this.#chunks[parts.length - 1]!.subarray(parts.at(-1)!.length);
    this.#chunks.splice(0, parts.length, ...(last.length > 0 ? [last] : []));
    return join(parts, length);
  }
}

/** Parts that are `length` bytes together, as one. */
export function join(parts: readonly Uint8Array[], length: number): Uint8Array {
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Trailers beyond the limit. */
export function tooManyTrailers(limit: number): RpcError {
  return new RpcError(Code.RESOURCE_EXHAUSTED, `trailers are larger than max_metadata_bytes (${limit} bytes)`);
}
