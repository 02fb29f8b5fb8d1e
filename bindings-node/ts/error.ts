import type { DescMessage, MessageShape } from "@bufbuild/protobuf";
import { Code } from "./code.js";
import { type Detail, type DetailInit, type UnknownDetail, decodeDetails, encodeDetails } from "./details.js";
import { Metadata, type MetadataInit } from "./metadata.js";
import { fromBinary } from "./protobuf.js";

/** Whether a request can have had an effect: it never left, nobody can tell, or the server answered. */
export type Sent = "not_sent" | "maybe_sent" | "answered";

/** What goes with an {@link RpcError}. */
export interface RpcErrorOptions extends ErrorOptions {
  /** What the program of the client is to know. */
  details?: Iterable<DetailInit>;
  /** What is sent behind the status. */
  trailers?: MetadataInit;
}

const BRAND = Symbol.for("spanwire.RpcError");
const NO_BYTES = new Uint8Array(0);

/**
 * A call that did not succeed. Clients get it from calls; handlers and interceptors throw it to answer with a status.
 *
 * ```ts
 * throw new RpcError(Code.NOT_FOUND, "no order 7", { details: [{ type: "ResourceInfo", resourceName: "7" }] });
 * ```
 */
export class RpcError extends Error {
  override name = "RpcError";
  /** Why it failed. */
  readonly code: Code;
  /** The text of the status, without the code's name. */
  readonly rawMessage: string;
  /** What the server sent, or a handler sends, behind the status. */
  readonly trailers: Metadata;
  /** The server that answered, such as `ipv4:127.0.0.1:443`; undefined if none did. */
  peer: string | undefined = undefined;
  /** How many attempts the call took. */
  attempts = 1;
  /** Whether the request can have had an effect. */
  sent: Sent = "maybe_sent";

  #details: readonly Detail[] | undefined;
  #encodedDetails: Uint8Array | undefined;

  /**
   * A status to answer a call with.
   *
   * @param code why; not OK.
   * @param message a text for people. It goes to the client.
   * @param options details and trailers.
   * @throws TypeError if the code is none, or a detail or the trailers cannot be sent.
   */
  constructor(code: Code, message = "", options: RpcErrorOptions = {}) {
    if (Code[code] === undefined || code === Code.OK) throw new TypeError(`code: ${String(code)} is no code of an error`);
    super(message === "" ? Code[code] : `${Code[code]}: ${message}`, options);
    this.code = code;
    this.rawMessage = message;
    this.trailers = options.trailers instanceof Metadata ? options.trailers : new Metadata(options.trailers);
    if (options.details !== undefined) {
      this.#encodedDetails = encodeDetails(code, message, options.details);
    }
  }

  /** @internal The error of a call that ended so. Its details stay unread until somebody looks. */
  static received(code: Code, message: string, details: Uint8Array, trailers: Metadata): RpcError {
    const error = new RpcError(Code[code] === undefined ? Code.UNKNOWN : code, message, { trailers });
    error.#encodedDetails = details;
    return error;
  }

  /** What the server said in a form for programs, in its order. Messages that are not known stay bytes. */
  get details(): readonly Detail[] {
    return (this.#details ??= decodeDetails(this.encodedDetails));
  }

  /**
   * The first detail that is a message of one's own.
   *
   * @param desc its descriptor, from generated code.
   */
  detail<Desc extends DescMessage>(desc: Desc): MessageShape<Desc> | undefined {
    const found = this.details.find((detail) => detail.type === "unknown" && detail.typeUrl.endsWith(`/${desc.typeName}`));
    return found === undefined ? undefined : fromBinary(desc, (found as UnknownDetail).value);
  }

  /** The same as the bytes of a `google.rpc.Status`; empty if there are none. */
  get encodedDetails(): Uint8Array {
    return this.#encodedDetails ?? NO_BYTES;
  }

  /** @internal */
  get [BRAND](): true {
    return true;
  }

  /** Knows the errors of another copy of the package, such as its CommonJS one. */
  static override [Symbol.hasInstance](value: unknown): boolean {
    return typeof value === "object" && value !== null && BRAND in value;
  }
}
