import { begin } from "./call.js";
import { Caller } from "./caller.js";
import type { Codec } from "./codec.js";
import { type Start, client, compressionOf, connectivityChanged, env } from "./crossing.js";
import type { ClientSink } from "./engine.js";
import { Metadata } from "./metadata.js";
import type { Method } from "./method.js";
import { nameOf, typeErrors } from "./misuse.js";
import { behindCurrent } from "./opentelemetry.js";
import { type CallOptions, type ChannelOptions, sizeOf, timeoutOf } from "./options.js";
import { forgetSource, keepSource } from "./token.js";

/** The state of a channel's connection. */
export type Connectivity = (typeof STATES)[number];

/** By their numbers. */
const STATES = ["Idle", "Connecting", "Ready", "TransientFailure"] as const;

/** What tells of another state answers with its number. */
const stateCodec: Codec<number> = { encode: (number) => new Uint8Array([number]), decode: (bytes) => bytes[0]! };

/**
 * A connection to a server, made when it is first needed and made anew when it breaks. Cheap to make, to be shared by all
 * that call the same server. It does not keep the process alive; calls do.
 */
export class Channel extends Caller<CallOptions> {
  /** What the channel was made for. */
  readonly target: string;
  #number: number;
  /** Of the function that gives it tokens. */
  #source: number | undefined;
  /** What says in the metadata where a call belongs is its parent. */
  #handsOnTraces: boolean;

  /**
   * @param target such as `orders:443`, `dns:///orders:443`, `ipv4:192.0.2.1:443`, `unix:/run/orders`.
   * @param options see {@link ChannelOptions}.
   * @throws TypeError for a target, an option or a certificate that cannot be used; it says which and why.
   */
  constructor(target: string, options: ChannelOptions = {}) {
    if (typeof target !== "string") throw new TypeError(`target: a string is due, not ${nameOf(target)}`);
    if (typeof options !== "object" || options === null) throw new TypeError(`options: an object is due, not ${nameOf(options)}`);
    const { interceptors = [], ...own } = options;
    if (typeof own.serviceConfig === "object") own.serviceConfig = JSON.stringify(own.serviceConfig);
    super(client, interceptors);
    this.target = target;
    this.#handsOnTraces = own.telemetry !== undefined && own.telemetry.traces !== false;
    const { bearerToken: source } = own;
    if (typeof source === "function") {
      delete own.bearerToken;
      this.#source = keepSource(source);
    }
    try {
      this.#number = typeErrors(() => env().channel(target, own, this.#source));
    } catch (error) {
      if (this.#source !== undefined) forgetSource(this.#source);
      throw error;
    }
    dropped.register(this, { number: this.#number, source: this.#source }, this);
  }

  /** The state of the connection. */
  get connectivity(): Connectivity {
    return typeErrors(() => env().connectivity(this.#number)) as Connectivity;
  }

  /**
   * Waits until the state of the connection is another than `known`, and gives it. States that last only a moment may be
   * missed. It keeps the process alive, as calls do, and rejects with CANCELLED when the channel is closed.
   *
   * @param options `timeoutMs`, after which it rejects with DEADLINE_EXCEEDED, and a `signal` that ends it with its reason.
   */
  async connectivityChanged(
    known: Connectivity,
    options: Pick<CallOptions, "timeoutMs" | "signal"> = {},
  ): Promise<Connectivity> {
    if (this.#number < 0) throw new TypeError("the channel is closed");
    const number = STATES.indexOf(known);
    if (number < 0) throw new TypeError(`known: one of ${STATES.join(", ")} is due, not ${known}`);
    const timeout = timeoutOf(options.timeoutMs);
    const make = (sink: ClientSink): number => connectivityChanged(sink, this.#number, number, timeout);
    return STATES[await begin(client, stateCodec, make, options.signal)]!;
  }

  /** Connects now, instead of with the first call. */
  connect(): void {
    typeErrors(() => env().connect(this.#number));
  }

  /** Makes no more calls. Those that are under way go on, and the connection ends with the last. */
  close(): void {
    if (this.#number < 0) return;
    dropped.unregister(this);
    letGo({ number: this.#number, source: this.#source });
    this.#number = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }

  /** @internal */
  protected override start(method: Method, options: CallOptions): Start {
    if (this.#number < 0) throw new TypeError("the channel is closed");
    if (method.number < 0) method.number = env().method(method.path, method.kindNumber);
    const { parent } = options;
    const metadata = this.#handsOnTraces ? behindCurrent(options.metadata) : options.metadata;
    return {
      channel: this.#number,
      method: method.number,
      timeout: timeoutOf(options.timeoutMs),
      compression: compressionOf(options.compression),
      maxRecv: sizeOf("maxRecvMessageBytes", options.maxRecvMessageBytes),
      maxSend: sizeOf("maxSendMessageBytes", options.maxSendMessageBytes),
      waitForReady: options.waitForReady === true,
      parent: parent === undefined ? 0 : parent.numberFromOne,
      metadata: metadata === undefined ? undefined : Metadata.pack(metadata),
    };
  }
}

/** Lets go of channels that nobody has any more. */
const dropped = new FinalizationRegistry<Held>(letGo);

/** What the engine keeps for a channel. */
interface Held {
  number: number;
  source: number | undefined;
}

function letGo({ number, source }: Held): void {
  env().closeChannel(number);
  if (source !== undefined) forgetSource(source);
}
