/// <reference types="node" preserve="true" />
import "./packed.js";
export type { Call } from "./call.js";
export { Channel, type Connectivity } from "./channel.js";
export { type Client, type ClientOptions, createClient, type LoadedMethod } from "./client.js";
export { Code } from "./code.js";
export { uncompressed } from "./codec.js";
export type { Claims, Context, TlsIdentity } from "./context.js";
export type { Detail, DetailInit, DetailTypes, UnknownDetail } from "./details.js";
export { RpcError, type RpcErrorOptions, type Sent } from "./error.js";
export { type BytesHandler, type Handlers, type Implementation, implement, type LoadedHandler } from "./implement.js";
export type { InterceptedCall, Interceptor, ReceivedCall, ServerInterceptor } from "./interceptor.js";
export { type LoadedProto, type LoadOptions, loadProto } from "./load.js";
export { type LogLevel, type LogLine, setLogger } from "./logger.js";
export { Metadata, type MetadataInit, type MetadataValue } from "./metadata.js";
export { type Kind, Method } from "./method.js";
export { only } from "./only.js";
export type {
  CallOptions,
  ChannelOptions,
  ClientTlsOptions,
  Compression,
  JwtOptions,
  LimitOptions,
  LoadBalancing,
  ServerTlsOptions,
  TelemetryOptions,
  TlsOptions,
  WebOptions,
} from "./options.js";
export { type RateLimit, Server, type ServerOptions, serve } from "./server.js";
export type { Token, TokenSource } from "./token.js";
export type { ChatCall, Messages, Sender, StreamCall, UploadCall } from "./stream.js";
