import type { DescMethod } from "@bufbuild/protobuf";
import { type Codec, bytesCodec, messageCodec } from "./codec.js";
import { nameOf } from "./misuse.js";

/** The four kinds of methods. */
export type Kind = "unary" | "client_streaming" | "server_streaming" | "bidi_streaming";

const KINDS: readonly Kind[] = ["unary", "client_streaming", "server_streaming", "bidi_streaming"];

/** One method of a service: its path, its kind, and how its messages are written and read. */
export class Method<I = unknown, O = unknown> {
  /** The path, `/package.Service/Method`. */
  readonly path: string;
  /** The kind. */
  readonly kind: Kind;
  /** @internal The number of the kind: 1 is set for a stream of requests, 2 for one of responses. */
  readonly kindNumber: number;
  /** @internal The number of the method in this environment; -1 until it is called. */
  number = -1;

  private constructor(
    path: string,
    kind: Kind,
    /** @internal */ readonly input: Codec<I>,
    /** @internal */ readonly output: Codec<O>,
  ) {
    if (typeof path !== "string" || !/^\/[^/]+(\/[^/]+)*\/[^/]+$/.test(path)) {
      throw new TypeError(`${JSON.stringify(path)} is not of the form /package.Service/Method`);
    }
    this.path = path;
    this.kind = kind;
    this.kindNumber = KINDS.indexOf(kind);
    if (this.kindNumber < 0) throw new TypeError(`kind: ${nameOf(kind)} is none of ${KINDS.join(", ")}`);
  }

  /** A method whose messages are bytes. */
  static bytes(path: string, kind: Kind): Method<Uint8Array, Uint8Array> {
    return new Method(path, kind, bytesCodec, bytesCodec);
  }

  /** The method of a descriptor. The same object for the same descriptor. */
  static of(desc: DescMethod): Method {
    let method = known.get(desc);
    if (method === undefined) {
      const path = `/${desc.parent.typeName}/${desc.name}`;
      method = new Method<unknown, unknown>(path, desc.methodKind, messageCodec(desc.input), messageCodec(desc.output));
      known.set(desc, method);
    }
    return method;
  }

  /** @internal What stands for the methods of a fallback. */
  static any(): Method {
    const method = Method.bytes("/any/any", "bidi_streaming");
    return Object.assign(method, { path: "" });
  }

  /** `package.Service`. */
  get service(): string {
    return this.path.slice(1, this.path.lastIndexOf("/"));
  }

  /** `Method`. */
  get name(): string {
    return this.path.slice(this.path.lastIndexOf("/") + 1);
  }
}

const known = new WeakMap<DescMethod, Method>();

