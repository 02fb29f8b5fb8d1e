import type { Context } from "./context.js";
import { describe } from "./describe.js";
import { type Acceptor, addAcceptor, env, removeAcceptor, whenClosed } from "./crossing.js";
import type { AnyHandler, Implementation } from "./implement.js";
import { FIRST_CREDIT } from "./inbound.js";
import { type ServerInterceptor, interceptedHandler } from "./interceptor.js";
import { Method } from "./method.js";
import { nameOf, typeError, typeErrors } from "./misuse.js";
import type { JwtOptions, LimitOptions, ServerTlsOptions, TelemetryOptions, WebOptions } from "./options.js";
import { type Promised, promised } from "./outcome.js";
import { Served } from "./served.js";
import type { Messages } from "./stream.js";

/** Of a server. Times are milliseconds; `undefined` is the default, `Infinity` turns off what can be off. */
export interface ServerOptions extends LimitOptions {
  /** Where to listen: `host:port`, `[::]:port`, `unix:/path`, `inprocess:name`. Port 0 is a free one. */
  address: string;
  /** What is served: see `implement`. */
  services: readonly Implementation[];
  /** Takes the calls of all other methods, for proxies: messages stay bytes, `context.path` says which is called. */
  fallback?: ((requests: AsyncIterable<Uint8Array>, context: Context) => Messages<Uint8Array>) | undefined;
  /** TLS; plaintext without. */
  tls?: ServerTlsOptions | undefined;
  /** Which bearer tokens are accepted; calls need none without. */
  jwt?: JwtOptions | undefined;
  /** Who may call what, in the form of gRFC A43: an object, or its JSON. Everybody may everything without. */
  authorizationPolicy?: string | object | undefined;
  /** The same from a file, which is read again when it changes. The option above wins. */
  authorizationPolicyFile?: string | undefined;
  /** Around each handler, the first outermost. */
  interceptors?: readonly ServerInterceptor[] | undefined;
  /** Hears of what handlers throw that is no `RpcError`: clients get UNKNOWN, without its text. */
  onError?: ((error: unknown, context: Context) => void) | undefined;
  /** Closes the server when one of these comes; calls that run are waited for. A second one does what it always does. */
  signals?: readonly NodeJS.Signals[] | undefined;
  /** How long they are waited for then; for ever by default. */
  graceMs?: number | undefined;
  /** How long a server that closes goes on serving after its health service has begun to say NOT_SERVING; a part of its grace. */
  drainDelayMs?: number | undefined;
  /** Serves `grpc.health.v1.Health`, which tells what `setHealth` has said. */
  health?: boolean | undefined;
  /** Serves reflection, of the services that were implemented by descriptors; or of what an encoded `FileDescriptorSet` describes. */
  reflection?: boolean | Uint8Array | undefined;
  /** Serves `grpc.channelz.v1.Channelz`, which tells of all channels and servers that are made from then on. */
  channelz?: boolean | undefined;
  /** Silence after which a client is pinged. */
  keepaliveIntervalMs?: number | undefined;
  /** How long it may take to answer a ping. */
  keepaliveTimeoutMs?: number | undefined;
  /** How often clients may ping. */
  keepaliveMinIntervalMs?: number | undefined;
  /** Clients may ping also while they have no calls. */
  keepalivePermitWithoutCalls?: boolean | undefined;
  /** Age at which connections are told to go. */
  maxConnectionAgeMs?: number | undefined;
  /** What calls get to finish then; for ever by default. */
  maxConnectionAgeGraceMs?: number | undefined;
  /** Ends connections that had no call for this long. */
  maxConnectionIdleMs?: number | undefined;
  /** Longest for TLS and HTTP/2 of a new connection. */
  handshakeTimeoutMs?: number | undefined;
  /** How long a client may take nothing of an answer. */
  stallTimeoutMs?: number | undefined;
  /** Other processes may listen on the same port, if they say so too; the system spreads connections over them. */
  sharePort?: boolean | undefined;
  /** Records what the server's calls do; nothing by default. */
  telemetry?: TelemetryOptions | undefined;
  /** Browsers may call by gRPC-Web, on the same port; they may not without. */
  web?: WebOptions | undefined;
  /** Connections at once. */
  maxConnections?: number | undefined;
  /** Calls that one connection may have open at once. */
  maxConcurrentStreams?: number | undefined;
  /** What one connection may hold of request messages that are not whole yet. */
  maxUnfinishedRequestBytes?: number | undefined;
  /** Calls that may run at once, over all connections; those beyond are UNAVAILABLE at once. No limit by default. */
  maxRunningCalls?: number | undefined;
  /** How often methods may be called: a list, or its JSON. */
  rateLimits?: string | readonly RateLimit[] | undefined;
}

/** How often methods may be called. */
export interface RateLimit {
  /** Calls at once. */
  burst: number;
  /** And a second, after that. */
  perSecond: number;
  /** `/package.Service/Method`, or `/package.Service/*`; all of them together. All methods without. */
  methods?: readonly string[];
  /** Each client has it for itself: by the subject of its token, else its certificate, else its IP address. */
  forEachClient?: boolean;
}

/**
 * Starts a server. It keeps the process alive until it is closed.
 *
 * @throws TypeError, as a rejection, for an option, an address or a certificate that cannot be used; Error if the address
 * cannot be had.
 */
export async function serve(options: ServerOptions): Promise<Server> {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(`options: an object is due, not ${nameOf(options)}`);
  }
  const { address, services, fallback, interceptors = [], onError = () => {}, signals = [], graceMs, reflection, ...own } = options;
  if (typeof address !== "string") throw new TypeError(`address: a string is due, not ${nameOf(address)}`);
  if (!Array.isArray(services)) throw new TypeError(`services: an array is due, not ${nameOf(services)}`);
  if (typeof own.rateLimits === "object") own.rateLimits = JSON.stringify(own.rateLimits);
  if (typeof own.authorizationPolicy === "object") own.authorizationPolicy = JSON.stringify(own.authorizationPolicy);
  if (graceMs !== undefined) checkGrace(graceMs);
  const described = reflection === true ? describe(services as readonly Implementation[]) : reflection;
  const number = typeErrors(() => env().server({ ...own, reflection: described === false ? undefined : described }));
  const traced = own.telemetry !== undefined && own.telemetry.traces !== false;
  const acceptors: number[] = [];
  const route = (method: Method, handler: AnyHandler, path: string | undefined): void => {
    const acceptor = addAcceptor(acceptorOf({ method, handler: interceptedHandler(method, handler, interceptors), onError, traced }));
    acceptors.push(acceptor);
    env().serveMethod(number, path, method.kindNumber, acceptor, FIRST_CREDIT);
  };
  try {
    for (const { methods } of services as readonly Implementation[]) {
      for (const { method, handler } of methods) route(method, handler, method.path);
    }
    if (fallback !== undefined) route(Method.any(), fallback as AnyHandler, undefined);
    const { port, target } = await env().listen(number, address);
    return new Server(number, port, target, acceptors, signals, graceMs);
  } catch (error) {
    env().dropServer(number);
    acceptors.forEach(removeAcceptor);
    throw typeError(error);
  }
}

function checkGrace(ms: number): void {
  if (!(ms >= 0)) throw new TypeError(`graceMs: ${ms} is no time`);
}

function acceptorOf(route: ConstructorParameters<typeof Served>[0]): Acceptor {
  return (arrival) => new Served(route, arrival, arrival.timeout === 0 ? 0 : performance.now());
}

/** A server that listens. */
export class Server {
  /** The port; undefined if it does not listen on TCP. */
  readonly port: number | undefined;
  /** A target for channels on this machine. */
  readonly target: string;
  /** Resolves when the server is closed: when no call runs any more. */
  readonly closed: Promise<void>;
  #number: number;
  #closed: Promised<void> = promised();
  #isClosed = false;
  #signals: readonly NodeJS.Signals[];
  #onSignal: () => void;

  /** @internal */
  constructor(
    number: number,
    port: number | undefined,
    target: string,
    acceptors: readonly number[],
    signals: readonly NodeJS.Signals[],
    graceMs: number | undefined,
  ) {
    this.#number = number;
    this.port = port;
    this.target = target;
    this.closed = this.#closed.promise;
    this.#signals = signals;
    this.#onSignal = () => void this.close({ graceMs });
    env().serving(number);
    whenClosed(number, () => {
      acceptors.forEach(removeAcceptor);
      this.#isClosed = true;
      this.#forgetSignals();
      this.#closed.resolve();
    });
    for (const signal of signals) process.once(signal, this.#onSignal);
  }

  /**
   * Says whether a service can be called: SERVING, or NOT_SERVING. For servers with the option `health`. While the server
   * closes none can, whatever is said.
   *
   * @param service the full name; the empty one is the server as a whole, which serves until it is said that it does not. Of the
   * others nothing is known before.
   * @throws TypeError if the server was made without `health`, or is closed.
   */
  setHealth(service: string, serving: boolean): void {
    typeErrors(() => env().setHealth(this.#number, service, serving));
  }

  /**
   * Says NOT_SERVING, takes no more calls after `drainDelayMs`, tells clients to go elsewhere, and waits for calls that run.
   *
   * @param options `graceMs`: after so many milliseconds calls that still run are cancelled; without, they are waited for.
   * A second call may shorten that.
   */
  close(options: { graceMs?: number | undefined } = {}): Promise<void> {
    const { graceMs = Infinity } = options;
    checkGrace(graceMs);
    this.#forgetSignals();
    if (!this.#isClosed) env().shutdown(this.#number, graceMs);
    return this.closed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #forgetSignals(): void {
    for (const signal of this.#signals) process.removeListener(signal, this.#onSignal);
  }
}
