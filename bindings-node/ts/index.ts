export type { Call } from "./call.js";
export { Channel, type Connectivity } from "./channel.js";
export { type Client, type ClientOptions, createClient } from "./client.js";
export { Code } from "./code.js";
export { RpcError, type RpcErrorOptions, type Sent } from "./error.js";
export { Metadata, type MetadataInit, type MetadataValue } from "./metadata.js";
export { type Kind, Method } from "./method.js";
export type {
  CallOptions,
  ChannelOptions,
  ClientTlsOptions,
  Compression,
  LimitOptions,
  ServerTlsOptions,
  TlsOptions,
} from "./options.js";
export type { ChatCall, Messages, Sender, StreamCall, UploadCall } from "./stream.js";
