import type { DescMessage, MessageInitShape } from "@bufbuild/protobuf";
import { nameOf } from "./misuse.js";
import { BinaryReader, BinaryWriter, WireType, create, toBinary } from "./protobuf.js";

/** The messages of `google/rpc/error_details.proto`, as plain objects. */
export interface DetailTypes {
  /** When to try again. */
  RetryInfo: {
    /** Milliseconds to wait at least. */
    retryDelayMs: number;
  };
  /** For those who debug the server. */
  DebugInfo: { stackEntries: string[]; detail: string };
  /** Which quotas were exceeded. */
  QuotaFailure: { violations: { subject: string; description: string }[] };
  /** The cause, in a form that programs can compare. */
  ErrorInfo: { reason: string; domain: string; metadata: Record<string, string> };
  /** Which preconditions do not hold. */
  PreconditionFailure: { violations: { type: string; subject: string; description: string }[] };
  /** Which fields of the request are wrong, and why. */
  BadRequest: { fieldViolations: { field: string; description: string }[] };
  /** What the request is known by in the server's logs. */
  RequestInfo: { requestId: string; servingData: string };
  /** What was asked for. */
  ResourceInfo: { resourceType: string; resourceName: string; owner: string; description: string };
  /** Where to read more. */
  Help: { links: { description: string; url: string }[] };
  /** A text for the people who use the client. */
  LocalizedMessage: { locale: string; message: string };
}

/** A detail whose type is not known here: bytes of protobuf. */
export interface UnknownDetail {
  type: "unknown";
  /** `type.googleapis.com/package.Message`. */
  typeUrl: string;
  value: Uint8Array;
}

/** What a status says to programs. */
export type Detail =
  | { [Name in keyof DetailTypes]: { type: Name } & DetailTypes[Name] }[keyof DetailTypes]
  | UnknownDetail;

/** What is taken as a detail: fields may be left out, and a message of one's own goes with its descriptor. */
export type DetailInit =
  | { [Name in keyof DetailTypes]: { type: Name } & DeepPartial<DetailTypes[Name]> }[keyof DetailTypes]
  | UnknownDetail
  | { desc: DescMessage; value: MessageInitShape<DescMessage> };

type DeepPartial<T> = { [Key in keyof T]?: T[Key] extends (infer Item)[] ? DeepPartial<Item>[] : T[Key] } | T;

/** How a field is written and read: its name here, and what it is. The number is its place in the list, from 1. */
type Field = readonly [name: string, is: "text" | "texts" | "map" | "duration" | readonly Field[]];

const VIOLATION: readonly Field[] = [["subject", "text"], ["description", "text"]];

const FIELDS: Readonly<Record<keyof DetailTypes, readonly Field[]>> = {
  RetryInfo: [["retryDelayMs", "duration"]],
  DebugInfo: [["stackEntries", "texts"], ["detail", "text"]],
  QuotaFailure: [["violations", VIOLATION]],
  ErrorInfo: [["reason", "text"], ["domain", "text"], ["metadata", "map"]],
  PreconditionFailure: [["violations", [["type", "text"], ...VIOLATION]]],
  BadRequest: [["fieldViolations", [["field", "text"], ["description", "text"]]]],
  RequestInfo: [["requestId", "text"], ["servingData", "text"]],
  ResourceInfo: [["resourceType", "text"], ["resourceName", "text"], ["owner", "text"], ["description", "text"]],
  Help: [["links", [["description", "text"], ["url", "text"]]]],
  LocalizedMessage: [["locale", "text"], ["message", "text"]],
};

const PACKAGE = "google.rpc.";
const URL = "type.googleapis.com/";

/** The details in the bytes of a `google.rpc.Status`. What is malformed stays as it is. */
export function decodeDetails(status: Uint8Array): readonly Detail[] {
  try {
    return [...fieldsOf(status)].filter(([field]) => field === 3).map(([, any]) => detailOf(any as Uint8Array));
  } catch {
    return [];
  }
}

function detailOf(any: Uint8Array): Detail {
  let typeUrl = "";
  let value: Uint8Array = new Uint8Array(0);
  for (const [field, bytes] of fieldsOf(any)) {
    if (field === 1) typeUrl = decode(bytes as Uint8Array);
    if (field === 2) value = bytes as Uint8Array;
  }
  const name = typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
  const type = name.startsWith(PACKAGE) ? name.slice(PACKAGE.length) : "";
  if (Object.hasOwn(FIELDS, type)) {
    try {
      return { type, ...read(value, FIELDS[type as keyof DetailTypes]) } as Detail;
    } catch {
      // As it is, then.
    }
  }
  return { type: "unknown", typeUrl, value };
}

function read(bytes: Uint8Array, fields: readonly Field[]): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (const [name, is] of fields) {
    object[name] = is === "text" ? "" : is === "duration" ? 0 : is === "map" ? {} : [];
  }
  for (const [number, value] of fieldsOf(bytes)) {
    const field = fields[number - 1];
    if (field === undefined || !(value instanceof Uint8Array)) continue;
    const [name, is] = field;
    if (is === "text") object[name] = decode(value);
    else if (is === "duration") object[name] = readDuration(value);
    else if (is === "map") Object.assign(object[name] as object, readEntry(value));
    else (object[name] as unknown[]).push(is === "texts" ? decode(value) : read(value, is));
  }
  return object;
}

function readDuration(bytes: Uint8Array): number {
  let ms = 0;
  for (const [number, value] of fieldsOf(bytes)) {
    if (number === 1) ms += Number(value) * 1000;
    if (number === 2) ms += Number(value) / 1e6;
  }
  return ms;
}

function readEntry(bytes: Uint8Array): Record<string, string> {
  const { key, value } = read(bytes, [["key", "text"], ["value", "text"]]) as { key: string; value: string };
  return { [key]: value };
}

/** The fields of a message: numbers, or bytes of texts and messages. */
function* fieldsOf(bytes: Uint8Array): Generator<[number, bigint | string | Uint8Array]> {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (type === WireType.Varint) yield [number, reader.int64()];
    else if (type === WireType.LengthDelimited) yield [number, reader.bytes()];
    else reader.skip(type, number);
  }
}

function decode(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/**
 * The bytes of a `google.rpc.Status` with these details; empty if there are none.
 *
 * @throws TypeError if one is no detail.
 */
export function encodeDetails(code: number, message: string, details: Iterable<DetailInit>): Uint8Array {
  const anys = Array.from(details, anyOf);
  if (anys.length === 0) return new Uint8Array(0);
  const writer = new BinaryWriter().tag(1, WireType.Varint).int32(code).tag(2, WireType.LengthDelimited).string(message);
  for (const any of anys) writer.tag(3, WireType.LengthDelimited).bytes(any);
  return writer.finish();
}

function anyOf(detail: DetailInit): Uint8Array {
  const [typeUrl, value] = contentOf(detail);
  const writer = new BinaryWriter().tag(1, WireType.LengthDelimited).string(typeUrl);
  return writer.tag(2, WireType.LengthDelimited).bytes(value).finish();
}

function contentOf(detail: DetailInit): [typeUrl: string, value: Uint8Array] {
  if (typeof detail !== "object" || detail === null) throw new TypeError(`details: an object is due, not ${nameOf(detail)}`);
  if ("desc" in detail) {
    return [URL + detail.desc.typeName, toBinary(detail.desc, create(detail.desc, detail.value))];
  }
  if (detail.type === "unknown") return [detail.typeUrl, detail.value];
  if (!Object.hasOwn(FIELDS, detail.type)) {
    throw new TypeError(`details: ${JSON.stringify(detail.type)} is none of ${Object.keys(FIELDS).join(", ")}`);
  }
  return [URL + PACKAGE + detail.type, write(detail, FIELDS[detail.type])];
}

function write(object: Record<string, unknown>, fields: readonly Field[]): Uint8Array {
  const writer = new BinaryWriter();
  fields.forEach(([name, is], index) => {
    const value = object[name];
    if (value === undefined) return;
    for (const bytes of bytesOf(name, is, value)) writer.tag(index + 1, WireType.LengthDelimited).bytes(bytes);
  });
  return writer.finish();
}

function bytesOf(name: string, is: Field[1], value: unknown): Uint8Array[] {
  if (is === "text" && typeof value === "string") return value === "" ? [] : [encode(value)];
  if (is === "duration" && typeof value === "number") return [writeDuration(value)];
  if (typeof value === "object" && value !== null) {
    if (is === "map") return Object.entries(value).map(([key, value]) => writeEntry(key, String(value)));
    if (is === "texts" && Array.isArray(value)) return value.map((text) => encode(String(text)));
    if (typeof is === "object" && Array.isArray(value)) {
      return value.map((one) => write(one as Record<string, unknown>, is));
    }
  }
  throw new TypeError(`details: ${name} cannot be ${nameOf(value)}`);
}

function writeDuration(ms: number): Uint8Array {
  const seconds = Math.trunc(ms / 1000);
  const nanos = Math.round((ms - seconds * 1000) * 1e6);
  return new BinaryWriter().tag(1, WireType.Varint).int64(seconds).tag(2, WireType.Varint).int32(nanos).finish();
}

function writeEntry(key: string, value: string): Uint8Array {
  return write({ key, value }, [["key", "text"], ["value", "text"]]);
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
