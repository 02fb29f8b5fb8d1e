import native from "../native/index.cjs";
import { typeErrors } from "./misuse.js";

/** A value of metadata: text, or bytes under a name that ends in `-bin`. */
export type MetadataValue = string | Uint8Array;

/** What is taken as metadata. In a record a value may also be an array: one entry each. */
export type MetadataInit =
  | Metadata
  | Headers
  | Iterable<readonly [string, MetadataValue]>
  | Readonly<Record<string, MetadataValue | readonly MetadataValue[] | undefined>>;

/** In the length of a value: it is binary. The same bit stands in src/convert/metadata.rs. */
const BINARY = 0x8000_0000;
const NO_BYTES = new Uint8Array(0);

/**
 * What an application adds to a call beside its messages. Immutable; names are lower case, and a name may have several
 * values, whose order is kept.
 */
export class Metadata implements Iterable<[string, MetadataValue]> {
  #packed: Uint8Array;
  #entries: [string, MetadataValue][] | undefined;

  /**
   * @param init the entries. Names that end in `-bin` take bytes, others text of printable ASCII.
   * @throws TypeError if an entry cannot be sent; it says which and why.
   */
  constructor(init?: MetadataInit) {
    this.#packed = init === undefined ? NO_BYTES : pack(init);
  }

  /** @internal Metadata as they cross. Nothing is read until somebody looks. */
  static unpack(packed: Uint8Array): Metadata {
    const metadata = new Metadata();
    metadata.#packed = packed;
    return metadata;
  }

  /** @internal The form in which they cross. */
  static pack(init: MetadataInit): Uint8Array {
    return init instanceof Metadata ? init.#packed : new Metadata(init).#packed;
  }

  /** How many entries there are; a name with two values counts twice. */
  get size(): number {
    return this.#read().length;
  }

  /** The first value under a name, in any case. */
  get<Name extends string>(name: Name): ValueOf<Name> | undefined {
    const key = name.toLowerCase();
    return this.#read().find(([name]) => name === key)?.[1] as ValueOf<Name> | undefined;
  }

  /** Every value under a name, in the order in which they were sent. */
  getAll<Name extends string>(name: Name): ValueOf<Name>[] {
    const key = name.toLowerCase();
    return this.#read().filter(([name]) => name === key).map(([, value]) => value) as ValueOf<Name>[];
  }

  /** Whether there is a value under a name. */
  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  /** Every value with its name. */
  [Symbol.iterator](): ArrayIterator<[string, MetadataValue]> {
    return this.#read()[Symbol.iterator]();
  }

  /** Every value with its name. */
  entries(): ArrayIterator<[string, MetadataValue]> {
    return this[Symbol.iterator]();
  }

  /** The first value of each name, for logs. */
  toJSON(): Record<string, MetadataValue> {
    return Object.fromEntries(this.#read().toReversed());
  }

  #read(): [string, MetadataValue][] {
    return (this.#entries ??= unpack(this.#packed));
  }
}

/** Names that end in `-bin` have bytes. */
type ValueOf<Name extends string> = string extends Name
  ? MetadataValue
  : Lowercase<Name> extends `${string}-bin`
    ? Uint8Array
    : string;

function* entriesOf(init: MetadataInit): Generator<readonly [string, MetadataValue]> {
  if (Symbol.iterator in init) {
    yield* init as Iterable<readonly [string, MetadataValue]>;
    return;
  }
  for (const [name, value] of Object.entries(init)) {
    if (Array.isArray(value)) {
      for (const one of value) yield [name, one];
    } else if (value !== undefined) {
      yield [name, value as MetadataValue];
    }
  }
}

function pack(init: MetadataInit): Uint8Array {
  if (typeof init !== "object" || init === null) {
    throw new TypeError("metadata: an object or an iterable of [name, value] pairs is due");
  }
  const parts: Uint8Array[] = [];
  for (const entry of entriesOf(init)) {
    const [name, value] = entry;
    if (typeof name !== "string") throw new TypeError("metadata: a name must be a string");
    const binary = value instanceof Uint8Array;
    if (!binary && typeof value !== "string") {
      throw new TypeError(`metadata "${name}": a value must be a string or a Uint8Array, not ${typeof value}`);
    }
    const key = Buffer.from(name.toLowerCase());
    const bytes = binary ? value : Buffer.from(value);
    const head = Buffer.allocUnsafe(8);
    head.writeUInt32LE(key.length, 0);
    head.writeUInt32LE(bytes.length + (binary ? BINARY : 0), 4);
    parts.push(head, key, bytes);
  }
  const packed = Buffer.concat(parts);
  typeErrors(() => native.checkMetadata(packed));
  return packed;
}

function unpack(packed: Uint8Array): [string, MetadataValue][] {
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.length);
  const entries: [string, MetadataValue][] = [];
  for (let at = 0; at < bytes.length; ) {
    const nameEnd = at + 8 + bytes.readUInt32LE(at);
    const length = bytes.readUInt32LE(at + 4);
    const name = bytes.toString("latin1", at + 8, nameEnd);
    at = nameEnd + (length % BINARY);
    entries.push([name, length >= BINARY ? new Uint8Array(bytes.subarray(nameEnd, at)) : text(bytes, nameEnd, at)]);
  }
  return entries;
}

/** Peers may send what is no ASCII, against the rules: it is UTF-8, or else every byte is a character. */
function text(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString("utf8", start, end);
  return text.includes("\ufffd") ? bytes.toString("latin1", start, end) : text;
}
