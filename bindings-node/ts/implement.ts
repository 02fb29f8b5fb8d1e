import type {
  DescFile,
  DescMethodBiDiStreaming,
  DescMethodClientStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from "@bufbuild/protobuf";
import type { Context } from "./context.js";
import { type Kind, Method } from "./method.js";
import { nameOf } from "./misuse.js";
import type { Messages } from "./stream.js";

/** A handler of a method, by the descriptor of the method. */
type MethodHandler<Desc> =
  Desc extends DescMethodUnary<infer I, infer O>
    ? (request: MessageShape<I>, context: Context) => MessageInitShape<O> | Promise<MessageInitShape<O>>
    : Desc extends DescMethodServerStreaming<infer I, infer O>
      ? (request: MessageShape<I>, context: Context) => Messages<MessageInitShape<O>>
      : Desc extends DescMethodClientStreaming<infer I, infer O>
        ? (
            requests: AsyncIterable<MessageShape<I>>,
            context: Context,
          ) => MessageInitShape<O> | Promise<MessageInitShape<O>>
        : Desc extends DescMethodBiDiStreaming<infer I, infer O>
          ? (requests: AsyncIterable<MessageShape<I>>, context: Context) => Messages<MessageInitShape<O>>
          : never;

/** A handler of a method whose service was loaded at run time: the compiler knows nothing of its messages, nor of its kind. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- So that fields can be used without a cast each.
export type LoadedHandler = (request: any, context: Context) => unknown;

/** The handlers of a service. Methods without one are UNIMPLEMENTED. */
export type Handlers<Service extends DescService> = string extends keyof Service["method"]
  ? Readonly<Record<string, LoadedHandler>>
  : { [Name in keyof Service["method"]]?: MethodHandler<Service["method"][Name]> };

/** A method whose messages are bytes, and its handler. */
export type BytesHandler =
  | {
      kind: "unary";
      handler: (request: Uint8Array, context: Context) => Uint8Array | Promise<Uint8Array>;
    }
  | {
      kind: "server_streaming";
      handler: (request: Uint8Array, context: Context) => Messages<Uint8Array>;
    }
  | {
      kind: "client_streaming";
      handler: (requests: AsyncIterable<Uint8Array>, context: Context) => Uint8Array | Promise<Uint8Array>;
    }
  | {
      kind: "bidi_streaming";
      handler: (requests: AsyncIterable<Uint8Array>, context: Context) => Messages<Uint8Array>;
    };

/** @internal Whatever a handler takes and gives. */
export type AnyHandler = (request: unknown, context: Context) => unknown;

/** Methods and their handlers, for {@link serve}. */
export interface Implementation {
  /** Each method with its handler. */
  readonly methods: readonly { readonly method: Method; readonly handler: AnyHandler }[];
  /** The file that declares the service, for reflection. */
  readonly file?: DescFile | undefined;
}

/**
 * Handlers of a service, for `serve`. They are called as methods of `handlers`, which may be an instance of a class.
 *
 * @param service the descriptor: from generated code, or from `loadProto`.
 * @throws TypeError for a name that is no method of the service, and for a handler that is no function.
 */
export function implement<Service extends DescService>(service: Service, handlers: Handlers<Service>): Implementation;
/**
 * Handlers of methods whose messages are bytes, by their paths, for `serve`.
 *
 * @throws TypeError for a path that is not of the form `/package.Service/Method`, and for a handler that is no function.
 */
export function implement(handlers: Readonly<Record<string, BytesHandler>>): Implementation;
export function implement(
  service: DescService | Readonly<Record<string, BytesHandler>>,
  handlers?: object,
): Implementation {
  if (typeof service !== "object" || service === null) {
    throw new TypeError(`service: a descriptor, or handlers by path, are due, not ${nameOf(service)}`);
  }
  if (handlers === undefined) {
    const byPath = Object.entries(service as Readonly<Record<string, BytesHandler>>);
    return { methods: byPath.map(([path, it]) => bytesMethod(path, it)) };
  }
  const { typeName, methods, file } = service as DescService;
  const known = new Set(methods.map((method) => method.localName));
  for (const [name, handler] of Object.entries(handlers)) {
    if (typeof handler === "function" && !known.has(name)) throw new TypeError(`${typeName} has no method ${name}`);
  }
  return {
    file,
    methods: methods.flatMap((desc) => {
      const handler: unknown = (handlers as Record<string, unknown>)[desc.localName];
      if (handler === undefined) return [];
      return [{ method: Method.of(desc), handler: handlerOf(desc.localName, handler, handlers) }];
    }),
  };
}

function bytesMethod(path: string, it: { kind: Kind; handler: unknown }): Implementation["methods"][number] {
  const method = Method.bytes(path, it?.kind) as Method;
  return { method, handler: handlerOf(path, it.handler, it) };
}

function handlerOf(name: string, handler: unknown, owner: object): AnyHandler {
  if (typeof handler !== "function") throw new TypeError(`${name}: a function is due, not ${nameOf(handler)}`);
  return (handler as AnyHandler).bind(owner);
}
