// What the addon exports. The numbers stand in src/protocol.rs, and nowhere else.

/** What JavaScript asks of the engine. */
export const Operation: Readonly<
  Record<
    | "Unary"
    | "Begin"
    | "Send"
    | "HalfClose"
    | "Cancel"
    | "Grant"
    | "Respond"
    | "Reply"
    | "GrantRequests"
    | "SendHeaders"
    | "Finish"
    | "ConnectivityChanged",
    number
  >
>;

/** What the engine tells JavaScript. */
export const Happening: Readonly<
  Record<
    | "Peer"
    | "Headers"
    | "Message"
    | "Writable"
    | "Done"
    | "Request"
    | "RequestMessage"
    | "RequestsEnd"
    | "RepliesWritable"
    | "Cancelled"
    | "ServerClosed",
    number
  >
>;

/** What a record has beside its kind. */
export const Flag: Readonly<
  Record<"Blob" | "BodyBlob" | "HasMessage" | "Compressed" | "Plain" | "WaitForReady", number>
>;

/** The native half of the package in one environment. */
export class Environment {
  constructor(wake: () => void);
  submit(records: Uint8Array, length: number, blobs: readonly Uint8Array[]): number;
  drain(chunk: Uint8Array, at: number): number;
  blob(): Uint8Array;
  openCalls(): number;
  log(level: number, take: ((level: number, target: string, message: string) => void) | undefined): void;
  method(path: string, kind: number): number;
  channel(target: string, options: object, source: number | undefined): number;
  wantedTokens(): number[];
  answerToken(request: number, text: string, expiresMs: number | undefined, code: number): void;
  closeChannel(channel: number): void;
  connectivity(channel: number): string;
  connect(channel: number): void;
  server(options: object): number;
  serveMethod(server: number, path: string | undefined, kind: number, handler: number, credit: number): void;
  listen(server: number, address: string): Promise<{ port?: number; target: string }>;
  serving(server: number): void;
  setHealth(server: number, service: string, serving: boolean): void;
  shutdown(server: number, graceMs: number): void;
  dropServer(server: number): void;
  requestPath(call: number): string;
  tlsIdentity(call: number): TlsIdentity | null;
  claims(call: number): string | null;
  traceparent(call: number): string;
  tracestate(call: number): string;
}

/** Methods that an interceptor is for. */
export class Methods {
  constructor(methods: string[]);
  contain(method: string): boolean;
}

/** Whom a client proved to be; ts/context.ts says more. */
export interface TlsIdentity {
  readonly certificates: readonly Uint8Array[];
  readonly dnsNames: readonly string[];
  readonly uris: readonly string[];
  readonly ipAddresses: readonly string[];
  readonly emails: readonly string[];
  readonly subject: string;
  readonly spiffeId?: string;
}

/** An encoded google.protobuf.FileDescriptorSet of `.proto` files and what they import. Throws if one is wrong. */
export function compile(files: readonly string[], includes: readonly string[]): Uint8Array;
/** What a plugin of protoc is to be asked. Throws if a file is wrong. */
export function pluginRequest(given: readonly string[], includes: readonly string[], parameter: string): Uint8Array;
/** Writes the files of a plugin's answer, or compares them with those that are there. */
export function takeGenerated(response: Uint8Array, folder: string, check: boolean): [text: string, differences: number];
/** The names of the encodings; their places, counted from 1, stand for them in records. */
export function encodings(): string[];
/** Throws if an entry cannot be sent. */
export function checkMetadata(packed: Uint8Array): void;
