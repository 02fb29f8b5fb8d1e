import { Code } from "./code.js";
import { type Head, compressionOf, env, server } from "./crossing.js";
import { RpcError } from "./error.js";
import { Metadata } from "./metadata.js";
import type { Method } from "./method.js";
import { typeErrors } from "./misuse.js";
import type { Compression } from "./options.js";

/** Whom a client proved to be. */
export interface TlsIdentity {
  /** The chain as the client sent it, its own certificate first: DER, as `new X509Certificate(der)` reads it. */
  readonly certificates: readonly Uint8Array[];
  /** The DNS names in its certificate. */
  readonly dnsNames: readonly string[];
  /** The URIs in its certificate. */
  readonly uris: readonly string[];
  /** The IP addresses in its certificate. */
  readonly ipAddresses: readonly string[];
  /** The mail addresses in its certificate. */
  readonly emails: readonly string[];
  /** The subject in the form of RFC 4514, such as `CN=ada,O=Shop`; empty if it has none. */
  readonly subject: string;
  /** The SPIFFE ID, if the certificate is an X.509-SVID. */
  readonly spiffeId?: string | undefined;
}

/** What a caller's token says. */
export interface Claims {
  /** Who calls. */
  readonly sub?: string;
  readonly [name: string]: unknown;
}

const NO_BYTES = new Uint8Array(0);

/** What a handler knows of its call, and what it can say beside its messages. */
export class Context {
  /** The method that is called. */
  readonly method: Method;
  /** The client's address, such as `ipv4:192.0.2.1:5000`. */
  readonly peer: string;
  #call: number;
  #deadline: number;
  #packed: Uint8Array | undefined;
  #metadata: Metadata | undefined;
  #headers: Metadata | undefined;
  #trailers: Metadata | undefined;
  #compression = 0;
  #headersSent = false;
  #abort: AbortController | undefined;
  #cancelled: RpcError | undefined;
  #over = false;
  /** @internal Knows whether the last request came compressed. */
  requests: { readonly compressed: boolean } | undefined;

  /** @internal `deadline` is a time of `performance.now()`. */
  constructor(
    call: number,
    method: Method,
    peer: string | undefined,
    deadline: number,
    packed: Uint8Array | undefined,
  ) {
    this.#call = call;
    this.method = method;
    this.peer = peer ?? "";
    this.#deadline = deadline;
    this.#packed = packed;
  }

  /** The path of the method that is called: of a fallback's call, too. */
  get path(): string {
    return this.method.path === "" ? typeErrors(() => env().requestPath(this.#call)) : this.method.path;
  }

  /** The request's metadata. */
  get metadata(): Metadata {
    return (this.#metadata ??= Metadata.received(this.#packed));
  }

  /** Whether the last request that was taken came compressed. */
  get compressed(): boolean {
    return this.requests?.compressed ?? false;
  }

  /** The time that the client still waits, in milliseconds; undefined if it has no limit. */
  get timeRemainingMs(): number | undefined {
    return this.#deadline === Infinity ? undefined : Math.max(0, this.#deadline - performance.now());
  }

  /** Aborts when nobody waits for the answer any more: the client is gone, the deadline passed, the server shut down. */
  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#cancelled !== undefined) this.#abort.abort(this.#cancelled);
    }
    return this.#abort.signal;
  }

  /** Whom the client proved to be by a certificate; undefined if it did not. To be asked while the call lasts. */
  get tlsIdentity(): TlsIdentity | undefined {
    return typeErrors(() => env().tlsIdentity(this.#call)) ?? undefined;
  }

  /** What the caller's token says; undefined if no token was asked for. To be asked while the call lasts. */
  get claims(): Claims | undefined {
    const json = typeErrors(() => env().claims(this.#call));
    return json === null ? undefined : (JSON.parse(json) as Claims);
  }

  /** Who calls, as the token says. To be asked while the call lasts. */
  get subject(): string | undefined {
    return this.claims?.sub;
  }

  /**
   * Where in a trace the call is, as W3C Trace Context writes it; undefined without telemetry. To be asked while the call
   * lasts. Calls with this as their `parent` are put there by themselves; others have it as `traceparent` in their metadata.
   */
  get traceparent(): string | undefined {
    return typeErrors(() => env().traceparent(this.#call)) || undefined;
  }

  /** @internal What goes with it, of other systems; empty if there is nothing. */
  get tracestate(): string {
    return typeErrors(() => env().tracestate(this.#call));
  }

  /** The leading metadata of the response. They go out with its first message. */
  get headers(): Metadata {
    return (this.#headers ??= new Metadata());
  }

  /** What is sent behind the response. */
  get trailers(): Metadata {
    return (this.#trailers ??= new Metadata());
  }

  /**
   * Sends the headers now instead of with the first message.
   *
   * @throws TypeError if they were sent before.
   */
  sendHeaders(): void {
    if (this.#headersSent) throw new TypeError(SENT_ALREADY);
    const head = this.takeHead();
    if (!this.#over) server.sendHeaders(this.#call, head);
  }

  /**
   * Compresses the messages that follow, if the client can read that. To be chosen before the first one.
   *
   * @throws TypeError if the headers were sent, or the encoding is not known.
   */
  setCompression(compression: Compression): void {
    if (this.#headersSent) throw new TypeError(SENT_ALREADY);
    this.#compression = compressionOf(compression);
  }

  /** @internal What goes before the first message; once. */
  takeHead(): Head {
    if (this.#headersSent) return NO_HEAD;
    this.#headersSent = true;
    if (this.#headers === undefined && this.#compression === 0) return NO_HEAD;
    this.#headers?.fix(SENT_ALREADY);
    return { compression: this.#compression, headers: this.#headers && Metadata.pack(this.#headers) };
  }

  /** @internal */
  takeTrailers(): Uint8Array {
    this.#over = true;
    return this.#trailers === undefined ? NO_BYTES : Metadata.pack(this.#trailers);
  }

  /** @internal Why nobody waits for the answer any more. */
  get cancelled(): RpcError | undefined {
    return this.#cancelled;
  }

  /** @internal */
  cancel(): void {
    const late = this.#deadline !== Infinity && this.timeRemainingMs === 0;
    this.#cancelled = late
      ? new RpcError(Code.DEADLINE_EXCEEDED, "the call's deadline passed")
      : new RpcError(Code.CANCELLED, "nobody waits for the answer any more");
    this.#abort?.abort(this.#cancelled);
  }

  /** @internal The number by which calls name this one as theirs; 0 when it is over. */
  get numberFromOne(): number {
    return this.#over ? 0 : this.#call + 1;
  }
}

const NO_HEAD: Head = { compression: 0, headers: undefined };
const SENT_ALREADY = "the headers were sent already: trailers can still follow";
