import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import { Code } from "./code.js";
import { RpcError } from "./error.js";
import { nameOf } from "./misuse.js";
import { create, fromBinary, isMessage, toBinary } from "./protobuf.js";

/** How the messages of one side of a method are written and read. */
export interface Codec<T> {
  /** @throws TypeError if it is no message of the method. */
  encode(message: T): Uint8Array;
  /** @throws RpcError with INTERNAL if they are no message of the method. */
  decode(bytes: Uint8Array): T;
}

/** What {@link uncompressed} makes. */
export class Uncompressed {
  readonly message: unknown;

  constructor(message: unknown) {
    this.message = message;
  }
}

/** Marks a message that is sent as it is, on a call that compresses: one that is compressed already, or secret. */
export function uncompressed<T>(message: T): T {
  return new Uncompressed(message) as T;
}

/** Messages that are bytes. */
export const bytesCodec: Codec<Uint8Array> = {
  encode(message) {
    if (message instanceof Uint8Array) return message;
    throw new TypeError(`a Uint8Array is due, not ${nameOf(message)}`);
  },
  decode: (bytes) => bytes,
};

const known = new WeakMap<DescMessage, Codec<unknown>>();

/** Messages of protobuf-es, or objects to make some of. */
export function messageCodec(schema: DescMessage): Codec<unknown> {
  let codec = known.get(schema);
  if (codec === undefined) known.set(schema, (codec = makeCodec(schema)));
  return codec;
}

function makeCodec(schema: DescMessage): Codec<unknown> {
  return {
    encode(message) {
      if (isMessage(message, schema)) return toBinary(schema, message);
      if (typeof message !== "object" || message === null || isMessage(message)) {
        throw new TypeError(`${schema.typeName} is due, not ${isMessage(message) ? message.$typeName : nameOf(message)}`);
      }
      return toBinary(schema, create(schema, message as MessageInitShape<DescMessage>));
    },
    decode(bytes) {
      try {
        return fromBinary(schema, bytes);
      } catch (cause) {
        throw new RpcError(Code.INTERNAL, `the message is no ${schema.typeName}: ${String(cause)}`, { cause });
      }
    },
  };
}
