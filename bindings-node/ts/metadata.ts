import native from "../native/index.cjs";
import { nameOf, typeErrors } from "./misuse.js";

/** A value of metadata: text, or bytes under a name that ends in `-bin`. */
export type MetadataValue = string | Uint8Array;

/** What is taken as metadata. In a record a value may also be an array: one entry each. */
export type MetadataInit =
  | Metadata
  | Headers
  | Iterable<readonly [string, MetadataValue]>
  | Readonly<Record<string, MetadataValue | readonly MetadataValue[] | undefined>>;

type Entry = [name: string, value: MetadataValue];

/** In the length of a value: it is binary. src/convert/metadata.rs describes the form. */
const BINARY = 0x8000_0000;
const NO_BYTES = new Uint8Array(0);

/** Names that end in `-bin` have bytes. */
type ValueOf<Name extends string> = string extends Name
  ? MetadataValue
  : Lowercase<Name> extends `${string}-bin`
    ? Uint8Array
    : string;

/**
 * What an application adds to a call beside its messages. Names are lower case, and one may have several values, whose order
 * is kept. Values under names that end in `-bin` are bytes, others are text of printable ASCII.
 */
export class Metadata implements Iterable<Entry> {
  /** One of both is there. What crossed stays as it is until somebody looks. */
  #packed: Uint8Array | undefined;
  #entries: Entry[] | undefined;
  #fixed: string | undefined;

  /** @throws TypeError if an entry cannot be sent; it says which and why. */
  constructor(init?: MetadataInit) {
    if (init === undefined) this.#packed = NO_BYTES;
    else if (init instanceof Metadata) this.#entries = init.#read().slice();
    else this.#packed = check((this.#entries = entriesOf(init)));
  }

  /** @internal Metadata that crossed. */
  static unpack(packed: Uint8Array | undefined): Metadata {
    const metadata = new Metadata();
    metadata.#packed = packed ?? NO_BYTES;
    return metadata;
  }

  /** @internal The form in which they cross. */
  static pack(init: MetadataInit): Uint8Array {
    const metadata = init instanceof Metadata ? init : new Metadata(init);
    return (metadata.#packed ??= pack(metadata.#read()));
  }

  /** @internal Refuses changes from here on, and says why. */
  fix(why: string): void {
    this.#fixed = why;
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
    const found = this.#read().filter(([name]) => name === key);
    return found.map(([, value]) => value) as ValueOf<Name>[];
  }

  /** Whether there is a value under a name. */
  has(name: string): boolean {
    return this.get(name) !== undefined;
  }

  /**
   * Sets a value, in place of all values under this name.
   *
   * @throws TypeError if it cannot be sent.
   */
  set(name: string, value: MetadataValue): this {
    const entry = entryOf(name, value);
    check([entry]);
    return this.#change((entries) => [...entries.filter(([name]) => name !== entry[0]), entry]);
  }

  /**
   * Adds a value after those that are already under this name.
   *
   * @throws TypeError if it cannot be sent.
   */
  append(name: string, value: MetadataValue): this {
    const entry = entryOf(name, value);
    check([entry]);
    return this.#change((entries) => [...entries, entry]);
  }

  /** Removes every value under a name. */
  delete(name: string): this {
    const key = name.toLowerCase();
    return this.#change((entries) => entries.filter(([name]) => name !== key));
  }

  /** Every value with its name. */
  [Symbol.iterator](): ArrayIterator<Entry> {
    return this.#read()[Symbol.iterator]();
  }

  /** Every value with its name. */
  entries(): ArrayIterator<Entry> {
    return this[Symbol.iterator]();
  }

  /** The values of each name. */
  toJSON(): Record<string, MetadataValue[]> {
    const names = new Set(this.#read().map(([name]) => name));
    return Object.fromEntries([...names].map((name) => [name, this.getAll(name)]));
  }

  #read(): Entry[] {
    return (this.#entries ??= unpack(this.#packed ?? NO_BYTES));
  }

  #change(change: (entries: Entry[]) => Entry[]): this {
    if (this.#fixed !== undefined) throw new TypeError(this.#fixed);
    this.#entries = change(this.#read());
    this.#packed = undefined;
    return this;
  }
}

function entryOf(name: unknown, value: unknown): Entry {
  if (typeof name !== "string") throw new TypeError(`metadata: a name must be a string, not ${nameOf(name)}`);
  if (typeof value !== "string" && !(value instanceof Uint8Array)) {
    throw new TypeError(`metadata "${name}": a value must be a string or a Uint8Array, not ${nameOf(value)}`);
  }
  return [name.toLowerCase(), value];
}

function entriesOf(init: Exclude<MetadataInit, Metadata>): Entry[] {
  if (typeof init !== "object" || init === null) {
    throw new TypeError(`metadata: an object or an iterable of [name, value] is due, not ${nameOf(init)}`);
  }
  if (Symbol.iterator in init) return Array.from(init, ([name, value]) => entryOf(name, value));
  return Object.entries(init).flatMap(([name, value]) => {
    if (value === undefined) return [];
    return Array.isArray(value) ? value.map((one) => entryOf(name, one)) : [entryOf(name, value)];
  });
}

/** The entries as they cross; they are checked by the rules of gRPC. */
function check(entries: readonly Entry[]): Uint8Array {
  const packed = pack(entries);
  typeErrors(() => native.checkMetadata(packed));
  return packed;
}

function pack(entries: readonly Entry[]): Uint8Array {
  const parts = entries.flatMap(([name, value]) => {
    const [key, bytes] = [Buffer.from(name), typeof value === "string" ? Buffer.from(value) : value];
    const lengths = Buffer.allocUnsafe(8);
    lengths.writeUInt32LE(key.length, 0);
    lengths.writeUInt32LE(bytes.length + (bytes === value ? BINARY : 0), 4);
    return [lengths, key, bytes];
  });
  return Buffer.concat(parts);
}

function unpack(packed: Uint8Array): Entry[] {
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.length);
  const entries: Entry[] = [];
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
