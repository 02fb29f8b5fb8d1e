// The form in which metadata cross to the addon, which src/convert/metadata.rs describes. Part of the package for Node alone.
import native from "../native/index.cjs";
import { type Entry, usePacker } from "./metadata.js";
import { typeErrors } from "./misuse.js";

/** In the length of a value: it is binary. */
const BINARY = 0x8000_0000;

usePacker({ check: (packed) => typeErrors(() => native.checkMetadata(packed)), pack, unpack });

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
