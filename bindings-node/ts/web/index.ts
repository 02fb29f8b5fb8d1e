/// <reference lib="esnext.disposable" preserve="true" />
export type { Call } from "../call.js";
export { type Client, type ClientOptions, createClient, type LoadedMethod } from "../client.js";
export { Code } from "../code.js";
export type { Detail, DetailInit, DetailTypes, UnknownDetail } from "../details.js";
export { RpcError, type RpcErrorOptions, type Sent } from "../error.js";
export type { InterceptedCall, Interceptor } from "../interceptor.js";
export { Metadata, type MetadataInit, type MetadataValue } from "../metadata.js";
export { type Kind, Method } from "../method.js";
export type { ChatCall, Messages, Sender, StreamCall, UploadCall } from "../stream.js";
export { Channel, type WebCallOptions, type WebChannelOptions } from "./channel.js";
