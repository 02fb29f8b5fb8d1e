import type { Channel } from "./channel.js";
import type { Method } from "./method.js";
import type { CallOptions } from "./options.js";
export type Interceptor = (call: unknown, next: (call: unknown) => Promise<unknown>) => Promise<unknown>;
export function intercepted(_channel: Channel, _method: Method, _request: unknown, _options: CallOptions, _interceptors: readonly Interceptor[]): unknown { throw new Error("not yet"); }
