import native from "../native/index.cjs";
import { Code } from "./code.js";
import type { ClientSink, Engine, Outcome } from "./engine.js";
import type { Compression } from "./options.js";

const { Happening, Flag, Operation } = native;

/** Bytes of a message above which it crosses outside of the buffer. */
const INLINE_BYTES = 8192;
/** What a turn may collect before it goes down at once. */
const TURN_BYTES = 65_536;
/** What events are written into. Messages are views of it, so it must not be large: each keeps the whole. */
const CHUNK_BYTES = 16_384;
/** The largest record finds room in this. */
const RECORD_BYTES = 6144;

/** What the crossing tells a server's call. */
export interface ServerSink {
  /** Runs the handler. The first of all. */
  run(): void;
  message(bytes: Uint8Array, compressed: boolean): void;
  /** The client sends no more. */
  end(): void;
  /** There is room to send, or there is none until further notice. */
  room(ready: boolean): void;
  /** Nobody waits for the answer any more. The call is to be finished all the same. */
  cancelled(): void;
}

/** A request as it arrives. One object for all: what is to stay has to be taken out. */
export interface Arrival {
  call: number;
  /** Milliseconds; 0 without a limit. */
  timeout: number;
  peer: string | undefined;
  metadata: Uint8Array | undefined;
  message: Uint8Array | undefined;
  compressed: boolean;
}

/** Takes requests; what it gives is told the rest. */
export type Acceptor = (arrival: Arrival) => ServerSink;

let environment: InstanceType<typeof native.Environment> | undefined;

/** The native half, made when it is first needed. */
export function env(): InstanceType<typeof native.Environment> {
  return (environment ??= new native.Environment(wake));
}

// What goes down. Records are written as they come up, and handed over together.

let slab = new Uint8Array(TURN_BYTES);
let words = new Uint32Array(slab.buffer);
/** In words. */
let at = 0;
let blobs: Uint8Array[] = [];
let blobBytes = 0;
let scheduled = false;

/** Makes room for a record, and has it handed over when all that is ready in this turn has run. */
function reserve(bytes: number): void {
  if (at * 4 + bytes > slab.length || blobBytes > TURN_BYTES) {
    flush();
    if (bytes > slab.length) {
      slab = new Uint8Array(bytes + TURN_BYTES);
      words = new Uint32Array(slab.buffer);
    }
  }
  if (!scheduled) {
    scheduled = true;
    process.nextTick(flush);
  }
}

/** Hands over what was asked for so far. */
export function flush(): void {
  scheduled = false;
  if (at === 0) return;
  const [length, outside] = [at * 4, blobs];
  at = 0;
  if (blobs.length > 0) {
    blobs = [];
    blobBytes = 0;
  }
  const full = env().submit(slab, length, outside);
  for (let i = 0; i < full; i++) {
    const table = words[2 * i] === 0 ? calls : served;
    table[words[2 * i + 1]!]?.room(false);
  }
}

function bytesDown(bytes: Uint8Array): void {
  slab.set(bytes, at * 4);
  at += (bytes.length + 3) >>> 2;
}

function messageDown(bytes: Uint8Array): void {
  if (bytes.length <= INLINE_BYTES) {
    bytesDown(bytes);
  } else {
    blobs.push(bytes);
    blobBytes += bytes.length;
  }
}

/** What a message adds to its record. */
function sizeDown(bytes: Uint8Array): number {
  return bytes.length <= INLINE_BYTES ? bytes.length + 4 : 4;
}

function blobFlag(bytes: Uint8Array): number {
  return bytes.length <= INLINE_BYTES ? 0 : Flag.Blob;
}

/** What begins a call, in the engine's units: 0 is the default. */
export interface Start {
  channel: number;
  method: number;
  timeout: number;
  compression: number;
  maxRecv: number;
  maxSend: number;
  waitForReady: boolean;
  /** The number of the server's call that this one serves, counted from 1. */
  parent: number;
  metadata: Uint8Array | undefined;
}

const NO_BYTES = new Uint8Array(0);

function start(operation: number, call: number, start: Start, flags: number, last: number): void {
  const metadata = start.metadata ?? NO_BYTES;
  words[at] = operation | ((flags | (start.waitForReady ? Flag.WaitForReady : 0)) << 8);
  words[at + 1] = call;
  words[at + 2] = start.channel;
  words[at + 3] = start.method;
  words[at + 4] = start.timeout;
  words[at + 5] = start.compression;
  words[at + 6] = start.maxRecv;
  words[at + 7] = start.maxSend;
  words[at + 8] = start.parent;
  words[at + 9] = metadata.length;
  words[at + 10] = last;
  at += 11;
  if (metadata.length > 0) bytesDown(metadata);
}

function unary(sink: ClientSink, how: Start, message: Uint8Array, plain: boolean): number {
  reserve(48 + (how.metadata?.length ?? 0) + sizeDown(message));
  const call = number(sink);
  start(Operation.Unary, call, how, blobFlag(message) | (plain ? Flag.Plain : 0), message.length);
  messageDown(message);
  return call;
}

function begin(sink: ClientSink, how: Start, credit: number): number {
  reserve(48 + (how.metadata?.length ?? 0));
  const call = number(sink);
  start(Operation.Begin, call, how, 0, credit);
  return call;
}

/** Waits for another state of a channel than that of the number `known`. The number by which it can be cancelled. */
export function connectivityChanged(sink: ClientSink, channel: number, known: number, timeout: number): number {
  reserve(20);
  const call = number(sink);
  words[at] = Operation.ConnectivityChanged;
  words[at + 1] = call;
  words[at + 2] = channel;
  words[at + 3] = known;
  words[at + 4] = timeout;
  at += 5;
  return call;
}

function bare(operation: number, call: number): void {
  reserve(8);
  words[at] = operation;
  words[at + 1] = call;
  at += 2;
}

function counted(operation: number, call: number, count: number): void {
  reserve(12);
  words[at] = operation;
  words[at + 1] = call;
  words[at + 2] = count;
  at += 3;
}

function send(operation: number, call: number, message: Uint8Array, plain: boolean): void {
  reserve(12 + sizeDown(message));
  words[at] = operation | ((blobFlag(message) | (plain ? Flag.Plain : 0)) << 8);
  words[at + 1] = call;
  words[at + 2] = message.length;
  at += 3;
  messageDown(message);
}

let encodings: string[] | undefined;

/** The number of an encoding; 0 is none. */
export function compressionOf(name: Compression | undefined): number {
  if (name === undefined) return 0;
  encodings ??= native.encodings();
  const place = encodings.indexOf(name) + 1;
  if (place === 0) throw new TypeError(`compression: ${JSON.stringify(name)} is none of ${encodings.join(", ")}`);
  return place;
}

/** Operations of a client's calls, which are known by their numbers. */
export const client: Engine<Start, number> = {
  unary,
  begin,
  send: (call, message, plain) => send(Operation.Send, call, message, plain),
  halfClose: (call) => bare(Operation.HalfClose, call),
  cancel: (call) => bare(Operation.Cancel, call),
  grant: (call, messages) => counted(Operation.Grant, call, messages),
};

/** What goes before a response. */
export interface Head {
  compression: number;
  headers: Uint8Array | undefined;
}

/** Operations of a server's call. Either of the last two is the last one. */
export const server = {
  send: (call: number, message: Uint8Array, plain: boolean): void => send(Operation.Reply, call, message, plain),
  grant: (call: number, messages: number): void => counted(Operation.GrantRequests, call, messages),

  sendHeaders(call: number, { compression, headers = NO_BYTES }: Head): void {
    reserve(16 + headers.length + 4);
    words[at] = Operation.SendHeaders;
    words[at + 1] = call;
    words[at + 2] = compression;
    words[at + 3] = headers.length;
    at += 4;
    bytesDown(headers);
  },

  respond(
    call: number,
    { compression, headers = NO_BYTES }: Head,
    trailers: Uint8Array,
    message: Uint8Array,
    plain: boolean,
  ): void {
    reserve(24 + headers.length + trailers.length + 8 + sizeDown(message));
    words[at] = Operation.Respond | ((blobFlag(message) | (plain ? Flag.Plain : 0)) << 8);
    words[at + 1] = call;
    words[at + 2] = compression;
    words[at + 3] = headers.length;
    words[at + 4] = trailers.length;
    words[at + 5] = message.length;
    at += 6;
    if (headers.length > 0) bytesDown(headers);
    if (trailers.length > 0) bytesDown(trailers);
    messageDown(message);
    served[call] = undefined;
  },

  finish(
    call: number,
    { compression, headers = NO_BYTES }: Head,
    trailers: Uint8Array,
    code: number,
    message: string,
    details: Uint8Array,
  ): void {
    const text = Buffer.from(message);
    reserve(32 + headers.length + trailers.length + text.length + details.length + 16);
    words[at] = Operation.Finish;
    words[at + 1] = call;
    words[at + 2] = code;
    words[at + 3] = compression;
    words[at + 4] = headers.length;
    words[at + 5] = trailers.length;
    words[at + 6] = text.length;
    words[at + 7] = details.length;
    at += 8;
    for (const bytes of [headers, trailers, text, details]) bytesDown(bytes);
    served[call] = undefined;
  },
};

// What comes up.

const calls: (ClientSink | undefined)[] = [];
const freeNumbers: number[] = [];
const served: (ServerSink | undefined)[] = [];
const acceptors: (Acceptor | undefined)[] = [];
const peers: string[] = [];
const closed = new Map<number, () => void>();

/** Has requests of a method told to `acceptor`, by the number that this gives. */
export function addAcceptor(acceptor: Acceptor): number {
  return acceptors.push(acceptor) - 1;
}

/** Nothing more is told to this acceptor. */
export function removeAcceptor(number: number): void {
  acceptors[number] = undefined;
}

/** Calls `then` when the server of this number has shut down. */
export function whenClosed(server: number, then: () => void): void {
  closed.set(server, () => {
    closed.delete(server);
    then();
  });
}

/** How many calls the tables still have, here and in the addon, of clients and of servers. For tests. */
export function openCalls(): { here: number; addon: number } {
  const here = [...calls, ...served].filter((sink) => sink !== undefined).length;
  return { here, addon: env().openCalls() };
}

function number(sink: ClientSink): number {
  const number = freeNumbers.pop() ?? calls.length;
  calls[number] = sink;
  return number;
}

let chunk = NO_BYTES;
let text = Buffer.alloc(0);
let up = new Uint32Array(0);
let read = 0;

let also: (() => void) | undefined;

/** Has something done with every wake-up, behind what was drained. */
export function onWake(look: () => void): void {
  also = look;
}

function wake(): void {
  for (;;) {
    if (chunk.length - read < RECORD_BYTES) {
      text = Buffer.allocUnsafeSlow(CHUNK_BYTES);
      chunk = new Uint8Array(text.buffer);
      up = new Uint32Array(text.buffer);
      read = 0;
    }
    const end = env().drain(chunk, read);
    const until = Math.abs(end);
    while (read < until) {
      try {
        take();
      } catch (error) {
        // A fault of ours: it must not keep the others from what is theirs.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    if (end >= 0) break;
  }
  also?.();
}

function blob(): Uint8Array {
  const blob = env().blob();
  return new Uint8Array(blob.buffer, blob.byteOffset, blob.length);
}

/** A run of bytes of a record; where the next one begins is `read`. */
function bytesUp(length: number): Uint8Array {
  const start = read;
  read += (length + 3) & ~3;
  return chunk.subarray(start, start + length);
}

const outcome: Outcome = {
  code: Code.OK,
  attempts: 0,
  sent: 0,
  peer: undefined,
  headers: undefined,
  trailers: undefined,
  text: "",
  details: undefined,
  message: undefined,
  compressed: false,
};

const arrival: Arrival = {
  call: 0,
  timeout: 0,
  peer: undefined,
  metadata: undefined,
  message: undefined,
  compressed: false,
};

function take(): void {
  const word = read >>> 2;
  const head = up[word]!;
  const id = up[word + 1]!;
  const flags = head >>> 8;
  switch (head & 0xff) {
    case Happening.Message:
      read += 12;
      calls[id]?.message(flags & Flag.Blob ? blob() : bytesUp(up[word + 2]!), (flags & Flag.Compressed) !== 0);
      break;
    case Happening.Done:
      done(word, id, flags);
      break;
    case Happening.Request:
      request(word, id, flags);
      break;
    case Happening.RequestMessage:
      read += 12;
      served[id]?.message(flags & Flag.Blob ? blob() : bytesUp(up[word + 2]!), (flags & Flag.Compressed) !== 0);
      break;
    case Happening.Headers:
      read += 12;
      calls[id]?.headers(flags & Flag.BodyBlob ? blob() : bytesUp(up[word + 2]!));
      break;
    case Happening.Writable:
      read += 8;
      calls[id]?.room(true);
      break;
    case Happening.RequestsEnd:
      read += 8;
      served[id]?.end();
      break;
    case Happening.RepliesWritable:
      read += 8;
      served[id]?.room(true);
      break;
    case Happening.Cancelled:
      read += 8;
      served[id]?.cancelled();
      break;
    case Happening.Peer:
      read += 12;
      peers[id] = text.toString("utf8", read, read + up[word + 2]!);
      read += (up[word + 2]! + 3) & ~3;
      break;
    case Happening.ServerClosed:
      read += 8;
      closed.get(id)?.();
      break;
    default:
      read = chunk.length;
      throw new Error("the addon and the package are not of one version");
  }
}

function done(word: number, id: number, flags: number): void {
  read += 44;
  const headers = up[word + 6]!;
  const trailers = up[word + 7]!;
  const textLength = up[word + 8]!;
  const details = up[word + 9]!;
  // eslint-disable-next-line @typescript-eslint/no-unsafe-enum-assignment -- Codes have their numbers on the wire.
  outcome.code = up[word + 2] as Code;
  outcome.attempts = up[word + 3]!;
  outcome.sent = up[word + 4]!;
  outcome.peer = peers[up[word + 5]!];
  outcome.headers = outcome.trailers = outcome.details = undefined;
  outcome.text = "";
  const total = headers + trailers + textLength + details;
  if (total > 0) {
    const body = flags & Flag.BodyBlob ? blob() : bytesUp(total);
    const textAt = headers + trailers;
    if (headers > 0) outcome.headers = body.subarray(0, headers);
    if (trailers > 0) outcome.trailers = body.subarray(headers, textAt);
    if (textLength > 0) outcome.text = Buffer.from(body.buffer, body.byteOffset + textAt, textLength).toString();
    if (details > 0) outcome.details = body.subarray(textAt + textLength);
  }
  outcome.message = message(flags, up[word + 10]!);
  outcome.compressed = (flags & Flag.Compressed) !== 0;
  const sink = calls[id];
  calls[id] = undefined;
  freeNumbers.push(id);
  sink?.done(outcome);
}

function message(flags: number, length: number): Uint8Array | undefined {
  if (flags & Flag.Blob) return blob();
  return flags & Flag.HasMessage ? bytesUp(length) : undefined;
}

function request(word: number, id: number, flags: number): void {
  read += 28;
  const metadata = up[word + 5]!;
  arrival.call = id;
  arrival.timeout = up[word + 3]!;
  arrival.peer = peers[up[word + 4]!];
  arrival.metadata = metadata === 0 ? undefined : flags & Flag.BodyBlob ? blob() : bytesUp(metadata);
  arrival.message = message(flags, up[word + 6]!);
  arrival.compressed = (flags & Flag.Compressed) !== 0;
  const acceptor = acceptors[up[word + 2]!];
  if (acceptor === undefined) return;
  const sink = acceptor(arrival);
  served[id] = sink;
  sink.run();
}
