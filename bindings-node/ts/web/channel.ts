import { Caller } from "../caller.js";
import { Code } from "../code.js";
import { RpcError } from "../error.js";
import type { ClientSink, Engine } from "../engine.js";
import { Metadata } from "../metadata.js";
import type { Method } from "../method.js";
import { nameOf } from "../misuse.js";
import { type CallOptions, type ChannelOptions, sizeOf, timeoutOf } from "../options.js";
import { Exchange } from "./exchange.js";
import { type WebCall, type WebLimits, type WebStart, deadlineExceeded } from "./call.js";
import { type Field, toBase64 } from "./fields.js";
import { encodeTimeout } from "./timeout.js";

/** Of a channel of gRPC-Web. */
export interface WebChannelOptions
  extends Pick<
    ChannelOptions,
    "maxRecvMessageBytes" | "maxSendMessageBytes" | "maxMetadataBytes" | "maxMetadataFields" | "interceptors"
  > {
  /** Whether cookies and the like go with calls, as `fetch` has it: `same-origin` by default. */
  credentials?: "omit" | "same-origin" | "include" | undefined;
  /** What makes the requests; that of the platform by default. */
  fetch?: typeof fetch | undefined;
}

/** Of one call of gRPC-Web. */
export type WebCallOptions = Pick<
  CallOptions,
  "timeoutMs" | "signal" | "metadata" | "maxRecvMessageBytes" | "maxSendMessageBytes"
>;

/** The defaults of docs/limits.md, which a test compares. */
export const DEFAULTS: WebLimits = {
  maxRecvMessageBytes: 4 << 20,
  maxSendMessageBytes: 0xffff_ffff,
  maxMetadataBytes: 16 << 10,
  maxMetadataFields: 128,
};

const engine: Engine<WebStart, WebCall> = {
  unary(sink, start, message) {
    const call = open(sink, start, Infinity);
    call.send(message);
    call.halfClose();
    return call;
  },
  begin: open,
  send: (call, message) => call.send(message),
  halfClose: (call) => call.halfClose(),
  cancel: (call) => call.cancel(),
  grant: (call, messages) => call.grant(messages),
};

function open(sink: ClientSink, start: WebStart, credit: number): WebCall {
  const call = new Exchange(sink, start, credit);
  if (start.timeout < 0) call.fail(deadlineExceeded("before it was sent"));
  else if (start.many) call.fail(new RpcError(Code.UNIMPLEMENTED, "gRPC-Web sends one request: this method takes many"));
  return call;
}

/**
 * A server that speaks gRPC-Web, as browsers can reach it. There is nothing to connect or to close: each call is a request of its
 * own, which the platform puts on connections.
 */
export class Channel extends Caller<WebCallOptions> {
  /** Where the server is. */
  readonly target: string;
  readonly #base: string;
  readonly #limits: WebLimits;
  readonly #options: WebChannelOptions;

  /**
   * @param target the URL of the server, such as `https://orders.example`; in browsers also one that is relative to the page, such
   * as `/`. Paths of methods are put behind it.
   * @param options see {@link WebChannelOptions}.
   * @throws TypeError for a target or an option that cannot be used; it says which and why.
   */
  constructor(target: string | URL, options: WebChannelOptions = {}) {
    if (typeof options !== "object" || options === null) throw new TypeError(`options: an object is due, not ${nameOf(options)}`);
    super(engine, options.interceptors);
    const url = urlOf(target);
    this.target = url.href;
    this.#base = url.href.replace(/\/$/, "");
    this.#options = options;
    this.#limits = limitsOf(DEFAULTS, options);
  }

  /** @internal */
  protected override start({ path, kind }: Method, options: WebCallOptions): WebStart {
    const { metadata, timeoutMs, ...limits } = options;
    // As numbers cross to an engine: 0 is no limit, and the largest one has passed.
    const number = timeoutOf(timeoutMs);
    const timeout = number === 0xffff_ffff ? -1 : number;
    const fields: Field[] = [
      ["content-type", "application/grpc-web+proto"],
      ["x-grpc-web", "1"],
    ];
    if (timeout > 0) fields.push(["grpc-timeout", encodeTimeout(timeout)]);
    for (const [name, value] of new Metadata(metadata)) fields.push([name, typeof value === "string" ? value.trim() : toBase64(value)]);
    return {
      url: new URL(this.#base + path),
      fields,
      one: kind === "unary" || kind === "client_streaming",
      many: kind === "client_streaming" || kind === "bidi_streaming",
      timeout,
      limits: limitsOf(this.#limits, limits),
      transport: { fetch: this.#options.fetch, credentials: this.#options.credentials },
    };
  }
}

function urlOf(target: string | URL): URL {
  const page = (globalThis as { location?: { href?: string } }).location?.href;
  let url;
  try {
    url = new URL(target, page);
  } catch {
    throw new TypeError(`target: ${JSON.stringify(target)} is no URL${page === undefined ? ", or there is no page for it to be relative to" : ""}`);
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") throw new TypeError(`target: ${url.protocol} is neither http: nor https:`);
  if (url.username + url.password + url.search + url.hash !== "") {
    throw new TypeError("target: a URL of a server has no user, no query and no fragment");
  }
  return url;
}

function limitsOf(defaults: WebLimits, options: Partial<Record<keyof WebLimits, number | undefined>>): WebLimits {
  const limits = { ...defaults };
  for (const name of Object.keys(DEFAULTS) as (keyof WebLimits)[]) limits[name] = sizeOf(name, options[name]) || defaults[name];
  return limits;
}
