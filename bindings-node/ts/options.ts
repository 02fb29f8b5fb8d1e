import type { Interceptor } from "./interceptor.js";
import type { Context } from "./context.js";
import type { MetadataInit } from "./metadata.js";
import { nameOf } from "./misuse.js";
import type { TokenSource } from "./token.js";

/** How messages may be compressed. */
export type Compression = "identity" | "gzip" | "deflate" | "zstd";

/** TLS, on either side. Certificates and keys are PEM: text or bytes, or files. */
export interface TlsOptions {
  /** Whom to trust: on a client the servers' authority, on a server that of clients (mutual TLS). */
  caPem?: string | Uint8Array | undefined;
  /** The same, as a file. */
  caFile?: string | undefined;
  /** Our certificate chain: a server's always, a client's for mutual TLS. */
  certificatePem?: string | Uint8Array | undefined;
  /** The same, as a file. */
  certificateFile?: string | undefined;
  /** The key of our certificate. */
  keyPem?: string | Uint8Array | undefined;
  /** The same, as a file. */
  keyFile?: string | undefined;
}

/** TLS of a client. */
export interface ClientTlsOptions extends TlsOptions {
  /** Trust the system's roots beside a CA that is given. Without one they are trusted anyway. */
  systemRoots?: boolean | undefined;
  /** The name that the server must prove, instead of the target's host. */
  serverName?: string | undefined;
  /** Accept whatever certificate there is. For tests. */
  dangerAcceptAnyCertificate?: boolean | undefined;
}

/** TLS of a server. */
export interface ServerTlsOptions extends TlsOptions {
  /** With a CA: clients may come without a certificate. */
  clientCertificateOptional?: boolean | undefined;
  /** Further certificates: a client that asks for a name (SNI) gets the first that is for it, else the one above. */
  moreCertificates?: readonly Pick<TlsOptions, "certificatePem" | "certificateFile" | "keyPem" | "keyFile">[] | undefined;
}

/** Which pages may call by gRPC-Web, and what their browsers are told. */
export interface WebOptions {
  /** Whose pages may call, such as `https://shop.example`; `*` lets all pages call. Without any, no page may. */
  origins?: readonly string[] | undefined;
  /** Pages may send cookies and client certificates along; not together with the origin `*`. */
  allowCredentials?: boolean | undefined;
  /** Metadata that pages may send, besides what gRPC-Web needs. */
  allowHeaders?: readonly string[] | undefined;
  /** Metadata of the response that pages may read, besides gRPC's own. Trailers can be read in any case. */
  exposeHeaders?: readonly string[] | undefined;
  /** How long a browser may remember that a page may call; 2 h by default, and 0 lets it ask every time. */
  maxAgeMs?: number | undefined;
}

/** Which bearer tokens a server accepts. */
export interface JwtOptions {
  /** The keys of the issuers: the file of a JSON Web Key Set, read again when it changes. */
  jwksFile?: string | undefined;
  /**
   * The keys from a URL, instead of the file: `https`, or `http` on this machine. They are fetched when the server
   * listens, and again and again after that.
   */
  jwksUrl?: string | undefined;
  /** How long the keys of the URL are used without asking for newer ones: 5 minutes by default. */
  jwksRefreshIntervalMs?: number | undefined;
  /** The authorities to trust for the URL, instead of the system's: a PEM file. */
  jwksCaFile?: string | undefined;
  /**
   * Keys are taken from `http` URLs of other machines too: who can change them on the way decides whose tokens are good.
   */
  dangerJwksOverPlaintext?: boolean | undefined;
  /** Whose tokens are good (`iss`); at least one. */
  issuers: readonly string[];
  /** Whom they must be for (`aud`): one of these, or nobody if there are none. */
  audiences?: readonly string[] | undefined;
  /** How they may be signed; any algorithm of public keys that is known without. */
  algorithms?: readonly string[] | undefined;
  /** How far the clocks of the issuers may be from ours: one minute by default. */
  clockSkewMs?: number | undefined;
  /** What they must say besides. */
  requiredClaims?: readonly string[] | undefined;
  /**
   * Methods whose calls need no token: `/package.Service/Method`, or all of a service, such as
   * `/grpc.health.v1.Health/*`.
   */
  unauthenticatedMethods?: readonly string[] | undefined;
  /** They are taken from connections without TLS too, where others may read them. */
  dangerAcceptPlaintext?: boolean | undefined;
}

/**
 * What both sides limit. `undefined` is the default, which docs/limits.md lists; `Infinity` turns off what can be off.
 */
export interface LimitOptions {
  /** Largest message to accept, after decompression. */
  maxRecvMessageBytes?: number | undefined;
  /** Largest message to send, before compression. */
  maxSendMessageBytes?: number | undefined;
  /** Largest metadata to accept, as HTTP/2 counts them. */
  maxMetadataBytes?: number | undefined;
  /** Most metadata entries to accept. */
  maxMetadataFields?: number | undefined;
  /** What a stream may have under way to us, at first. */
  streamWindowBytes?: number | undefined;
  /** How far that may grow. */
  maxStreamWindowBytes?: number | undefined;
  /** What all streams of a connection may have under way to us. */
  connectionWindowBytes?: number | undefined;
  /** What one stream may have queued for sending. */
  sendBufferBytes?: number | undefined;
  /** Resets of unanswered calls: at once. The same in the next ones. */
  floodResetsBurst?: number | undefined;
  /** And a second. */
  floodResetsPerSecond?: number | undefined;
  /** Calls that may be refused at the beginning, before the peer knows the limit. */
  floodMaxEarlyRefusals?: number | undefined;
  /** SETTINGS frames at once. */
  floodSettingsBurst?: number | undefined;
  /** And a second. */
  floodSettingsPerSecond?: number | undefined;
  /** Entries in one SETTINGS frame. */
  floodMaxSettingsEntries?: number | undefined;
  /** Frames that do nothing, at once. */
  floodControlFramesBurst?: number | undefined;
  /** And a second. */
  floodControlFramesPerSecond?: number | undefined;
  /** CONTINUATION frames in one header block. */
  floodMaxContinuations?: number | undefined;
  /** Acknowledgements that may wait before nothing more is read. */
  floodMaxPendingAcks?: number | undefined;
  /** What unread small DATA frames may add up to. */
  floodSmallDataBudget?: number | undefined;
}

/** What records calls, and where that is sent. Channels and servers that say the same share one. */
export interface TelemetryOptions {
  /**
   * Where it is sent, such as `http://collector:4317`; an empty string is nowhere. By default as the environment says
   * (`OTEL_EXPORTER_OTLP_ENDPOINT`), and else `http://localhost:4317`.
   */
  endpoint?: string | undefined;
  /** Whose it is; by default as the environment says (`OTEL_SERVICE_NAME`). */
  serviceName?: string | undefined;
  /** What else tells the process from others: `key=value,key=value`; by default as `OTEL_RESOURCE_ATTRIBUTES` says. */
  resourceAttributes?: string | undefined;
  /** Whether calls are counted; `true` by default. */
  metrics?: boolean | undefined;
  /** How often that is sent; every minute by default. */
  metricsIntervalMs?: number | undefined;
  /** Whether traces are recorded and handed on; `true` by default. */
  traces?: boolean | undefined;
  /** How many of the traces that begin here are recorded, from 0 to 1, which is the default. */
  traceRatio?: number | undefined;
  /** In which forms traces are handed on: `tracecontext` by default, `grpc-trace-bin`, or both with a comma. */
  propagators?: string | undefined;
  /** Which calls of a server get a line in the log; `off` by default. */
  accessLog?: "off" | "errors" | "all" | undefined;
}

/** How the calls of a channel are spread over the addresses of its target. */
export type LoadBalancing = "pick_first" | "round_robin" | "least_request" | "weighted_round_robin";

/** Of a channel. Times are milliseconds. */
export interface ChannelOptions extends LimitOptions {
  /** TLS: `true` with the system's roots. Plaintext without. */
  tls?: ClientTlsOptions | boolean | undefined;
  /** What the server sees as `:authority`; by default the target's host and port. */
  authority?: string | undefined;
  /** Put in front of the engine's own `user-agent`. */
  userAgent?: string | undefined;
  /** Compresses the requests of calls that do not say otherwise. */
  compression?: Compression | undefined;
  /** Longest that one connection attempt may take. */
  connectTimeoutMs?: number | undefined;
  /** The pause after the first failed attempt. */
  backoffFirstMs?: number | undefined;
  /** The longest pause. */
  backoffLongestMs?: number | undefined;
  /** Silence after which the server is pinged; off by default. */
  keepaliveIntervalMs?: number | undefined;
  /** How long it may take to answer a ping. */
  keepaliveTimeoutMs?: number | undefined;
  /** Ping also while there are no calls. */
  keepaliveWithoutCalls?: boolean | undefined;
  /** Which of a service's addresses calls go to; `pick_first` by default. Goes before what the service config says. */
  loadBalancing?: LoadBalancing | undefined;
  /**
   * The service config, in the form of gRPC's `ServiceConfig`: an object, or its JSON. `methodConfig` has timeouts and
   * retries. A mistake is told by its place.
   */
  serviceConfig?: string | object | undefined;
  /**
   * Sent with every call that has no `authorization` of its own, as `authorization: Bearer …`. Over TLS alone, or to a server
   * on this machine that is no TCP port.
   */
  bearerToken?: string | TokenSource | undefined;
  /** The same from a file, which is read again as its token ends. The token itself wins, and the file over a function. */
  bearerTokenFile?: string | undefined;
  /** How long a name that the system resolves holds. By default 30 s where calls are spread; else until a connection is lost. */
  nameTtlMs?: number | undefined;
  /** How long nobody may call before the connections are closed, until the next call; `Infinity` is for ever. */
  idleTimeoutMs?: number | undefined;
  /** The URL of an HTTP proxy, or an empty string for none; by default as the environment says. */
  proxy?: string | undefined;
  /** Whether calls are made again as the service config says; `true` by default. */
  retries?: boolean | undefined;
  /** Whether servers are asked for their health where the service config says so; `true` by default. */
  healthChecks?: boolean | undefined;
  /** The most connections to one address that a service config gets. */
  maxConnectionsPerSubchannel?: number | undefined;
  /**
   * Who finds the addresses of the target's name: `system` by default, or `direct`: DNS servers are asked, which say how long
   * a name holds.
   */
  dnsResolver?: "system" | "direct" | undefined;
  /** Whether DNS is asked for the target's service config too: text records of `_grpc_config.<name>`. */
  serviceConfigFromDns?: boolean | undefined;
  /** Records what the channel's calls do; nothing by default. */
  telemetry?: TelemetryOptions | undefined;
  /** Channel arguments of gRPC's C core, such as `grpc.keepalive_time_ms`; they win over the options that they mean. */
  arguments?: Readonly<Record<string, number | boolean | string>> | undefined;
  /** For the calls of every client on this channel, the first outermost. */
  interceptors?: readonly Interceptor[] | undefined;
}

/** Of one call. */
export interface CallOptions {
  /** Longest that the call may take, in milliseconds. Without it, and with `Infinity`, there is no limit. */
  timeoutMs?: number | undefined;
  /** Ends the call when it aborts; the call rejects with its reason. */
  signal?: AbortSignal | undefined;
  /** The request's metadata. */
  metadata?: MetadataInit | undefined;
  /** Compresses the request messages; by default as the channel says. */
  compression?: Compression | undefined;
  /** Wait while no connection can be made, instead of failing with UNAVAILABLE. */
  waitForReady?: boolean | undefined;
  /** Largest message to accept; by default as the channel says. */
  maxRecvMessageBytes?: number | undefined;
  /** Largest message to send; by default as the channel says. */
  maxSendMessageBytes?: number | undefined;
  /** The call that is being served: this one ends no later than its deadline. */
  parent?: Context | undefined;
}

/** In the place of a timeout that has passed. */
const PASSED = 0xffff_ffff;

/** Milliseconds as they cross: 0 is none. */
export function timeoutOf(ms: number | undefined): number {
  if (ms === undefined || ms === Infinity) return 0;
  if (typeof ms !== "number" || Number.isNaN(ms)) throw new TypeError(`timeoutMs: a number is due, not ${nameOf(ms)}`);
  // What is too long for the number is as good as for ever.
  return ms <= 0 ? PASSED : ms >= PASSED ? 0 : Math.ceil(ms);
}

/** A size as it crosses: 0 is the default. */
export function sizeOf(name: string, bytes: number | undefined): number {
  if (bytes === undefined) return 0;
  if (typeof bytes !== "number") throw new TypeError(`${name}: a number is due, not ${nameOf(bytes)}`);
  if (!(bytes >= 1)) throw new TypeError(`${name}: ${bytes} cannot be used: 1 or more is due`);
  return Math.min(Math.ceil(bytes), 0xffff_ffff);
}
