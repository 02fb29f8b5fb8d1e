import type { Entry } from "../metadata.js";

/** A field as it is on the wire: its name in lower case, and a character for each byte of its value. */
export type Field = readonly [name: string, value: string];

/** What the protocol uses for itself, and applications do not see: that of `strip_reserved` in core/wire/src/metadata.rs. */
const USED = new Set(
  ("content-type grpc-status grpc-accept-encoding te grpc-timeout grpc-encoding grpc-message grpc-status-details-bin " +
    "grpc-message-type host content-length").split(" "),
);

const UTF8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** The fields of a block of trailers: lines, whose names may be in any case. */
export function parseFields(block: Uint8Array): Field[] {
  return bytesToText(block)
    .split("\n")
    .filter((line) => line.includes(":"))
    .map((line) => {
      const colon = line.indexOf(":");
      return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()] as const;
    });
}

/** The first value under a name. */
export function valueOf(fields: readonly Field[], name: string): string | undefined {
  return fields.find(([known]) => known === name)?.[1];
}

/** What applications see of a block of fields. */
export function entriesOf(fields: readonly Field[]): Entry[] {
  return fields.flatMap(([name, value]): Entry[] => {
    if (USED.has(name)) return [];
    if (!name.endsWith("-bin")) return [[name, textOf(value)]];
    // Values of one name may come joined.
    return value.split(",").flatMap((piece) => {
      const bytes = fromBase64(piece);
      return bytes === undefined ? [] : [[name, bytes]];
    });
  });
}

/** What a list of fields counts against the limit: names, values and 32 bytes each, as HTTP/2 has it. */
export function sizeOfFields(fields: readonly Field[]): number {
  return fields.reduce((sum, [name, value]) => sum + name.length + value.length + 32, 0);
}

/** The text of a `grpc-message`. What is no escape stays as it is, and what is no UTF-8 becomes U+FFFD. */
export function percentDecode(coded: string): string {
  const bytes = coded.replace(/%([0-9a-f]{2})/gi, (_, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  return UTF8.decode(textToBytes(bytes));
}

/** The bytes of base64 with padding or without; undefined if it is none. */
export function fromBase64(text: string): Uint8Array | undefined {
  try {
    return textToBytes(atob(text.trim().replace(/=+$/, "")));
  } catch {
    return undefined;
  }
}

/** Base64 without padding. */
export function toBase64(bytes: Uint8Array): string {
  return btoa(bytesToText(bytes)).replace(/=+$/, "");
}

/** Peers may send what is no ASCII, against the rules: it is UTF-8, or else every byte is a character. */
function textOf(value: string): string {
  if (/^[ -~]*$/.test(value)) return value;
  const text = UTF8.decode(textToBytes(value));
  return text.includes("\ufffd") ? value : text;
}

function bytesToText(bytes: Uint8Array): string {
  let text = "";
  // A call takes only so many arguments.
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return text;
}

function textToBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}
