import { nameOf } from "./misuse.js";
import { check as checkHere } from "./rules.js";

/** A value of metadata: text, or bytes under a name that ends in `-bin`. */
export type MetadataValue = string | Uint8Array;

/** What is taken as metadata. In a record a value may also be an array: one entry each. */
export type MetadataInit =
  | Metadata
  | Headers
  | Iterable<readonly [string, MetadataValue]>
  | Readonly<Record<string, MetadataValue | readonly MetadataValue[] | undefined>>;

/** A name and one of its values. */
export type Entry = [name: string, value: MetadataValue];

/** Metadata as an engine hands them over: packed by the addon, or as entries. */
export type Raw = Uint8Array | Entry[] | undefined;

/** How metadata cross to the addon and back. */
export interface Packer {
  /** @throws TypeError if an entry cannot be sent; it says which and why. */
  check(packed: Uint8Array): void;
  pack(entries: readonly Entry[]): Uint8Array;
  unpack(packed: Uint8Array): Entry[];
}

/** There is none in browsers, where metadata never cross. */
let packer: Packer | undefined;

/** Has metadata checked by the addon, and makes them ready to cross. */
export function usePacker(one: Packer): void {
  packer = one;
}

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
    if (init === undefined) this.#entries = [];
    else if (init instanceof Metadata) this.#entries = init.#read().slice();
    else this.#packed = check((this.#entries = entriesOf(init)));
  }

  /** @internal Metadata that were received. */
  static received(raw: Raw): Metadata {
    const metadata = new Metadata();
    if (Array.isArray(raw)) {
      metadata.#entries = raw;
    } else if (raw !== undefined) {
      metadata.#packed = raw;
      metadata.#entries = undefined;
    }
    return metadata;
  }

  /** @internal The form in which they cross. */
  static pack(init: MetadataInit): Uint8Array {
    const metadata = init instanceof Metadata ? init : new Metadata(init);
    return (metadata.#packed ??= packer!.pack(metadata.#read()));
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
    return (this.#entries ??= this.#packed === undefined ? [] : packer!.unpack(this.#packed));
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

/** Checks entries by the rules of gRPC; gives them as they cross, where they do. */
function check(entries: readonly Entry[]): Uint8Array | undefined {
  if (packer === undefined) {
    checkHere(entries);
    return undefined;
  }
  const packed = packer.pack(entries);
  packer.check(packed);
  return packed;
}
