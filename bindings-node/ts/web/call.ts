import { Code } from "../code.js";
import type { ClientSink } from "../engine.js";
import { RpcError } from "../error.js";
import type { Entry } from "../metadata.js";
import { type Field, entriesOf, parseFields, sizeOfFields, valueOf } from "./fields.js";
import { type Frame, type FrameLimits, FrameReader, tooManyTrailers } from "./frames.js";
import { type WebEncoding, canInflate, inflate } from "./inflate.js";
import { type Status, notGrpcWeb, statusOf } from "./status.js";
import { after } from "./timeout.js";

/** What begins a call. */
export interface WebStart {
  /** Where the method is. */
  url: URL;
  /** What is sent before the messages. */
  fields: readonly Field[];
  /** Whether one message answers, and no more. */
  one: boolean;
  /** Whether many messages can be sent. */
  many: boolean;
  /** Milliseconds; 0 without a limit, negative if they have passed. */
  timeout: number;
  limits: WebLimits;
  transport: Transport;
}

/** What is accepted and sent at most. */
export interface WebLimits extends FrameLimits {
  maxSendMessageBytes: number;
  maxMetadataFields: number;
}

/** How the platform carries calls. */
export interface Transport {
  fetch: typeof fetch | undefined;
  credentials: "omit" | "same-origin" | "include" | undefined;
}

const SENT = { no: 0, maybe: 1, answered: 2 };

/**
 * A call, from what carries it to what its user has of it:
 *
 * ```text
 * waiting --head--> receiving --frame of trailers, end of the body, loss--> over
 *    '-------- status in the head and no body, failure, deadline, cancel -----^
 * ```
 *
 * What an answer means stands here, as the state machine of core/wire/src/call/client.rs has it; how it comes is told by who
 * extends this.
 */
export abstract class WebCall {
  protected readonly start: WebStart;
  readonly #sink: ClientSink;
  readonly #frames: FrameReader;
  #credit: number;
  #whenGranted: (() => void) | undefined;
  #clear: (() => void) | undefined;
  #sent = SENT.no;
  #encoding: WebEncoding | undefined;
  /** A head with a status is all of the answer, unless a body follows. */
  #early: readonly Field[] | undefined;
  /** The answer where one is due, until the status is known: nobody sees it without OK, nor OK without it. */
  #held: Uint8Array | undefined;
  #compressed = false;
  #over = false;

  constructor(sink: ClientSink, start: WebStart, credit: number) {
    this.#sink = sink;
    this.start = start;
    this.#frames = new FrameReader(start.limits);
    this.#credit = credit;
    if (start.timeout > 0) this.#clear = after(start.timeout, () => this.fail(deadlineExceeded("before the server answered in full")));
  }

  /** Whether nothing that comes counts any more. */
  get over(): boolean {
    return this.#over;
  }

  /** Sends a message that is not too large. */
  protected abstract put(message: Uint8Array): void;
  /** No more messages follow. */
  abstract halfClose(): void;
  /** Leaves what carries the call; `whole` says that nothing but its end can follow. */
  protected abstract leave(whole: boolean): void;

  send(message: Uint8Array): void {
    if (this.#over) return;
    const most = this.start.limits.maxSendMessageBytes;
    if (message.length <= most) return this.put(message);
    const text = `message of ${message.length} bytes is larger than max_send_message_bytes (${most})`;
    this.fail(new RpcError(Code.RESOURCE_EXHAUSTED, text));
  }

  cancel(): void {
    this.fail(new RpcError(Code.CANCELLED, "the call was cancelled by its caller"));
  }

  grant(messages: number): void {
    this.#credit += messages;
    this.#whenGranted?.();
  }

  /** Ends the call for a reason of this side. */
  fail(error: RpcError): void {
    this.#end({ code: error.code, text: error.rawMessage, details: undefined }, [], false);
  }

  /** There is room to send, or there is none until further notice. */
  protected room(ready: boolean): void {
    if (!this.#over) this.#sink.room(ready);
  }

  /** The request is on its way. */
  protected begun(): void {
    this.#sent = SENT.maybe;
  }

  /**
   * The head of the answer is here.
   *
   * @throws RpcError if it is none of gRPC-Web, or cannot be accepted.
   */
  protected head(http: number, fields: readonly Field[]): void {
    this.#sent = SENT.answered;
    this.#check(fields);
    const status = statusOf(fields);
    const foreign = notGrpcWeb(http, valueOf(fields, "content-type") ?? null);
    if (foreign !== undefined) {
      if (status === undefined || status.code === Code.OK) throw foreign;
      return this.#end(status, fields, false);
    }
    const encoding = valueOf(fields, "grpc-encoding") ?? "identity";
    if (canInflate(encoding)) this.#encoding = encoding;
    else if (encoding !== "identity") {
      throw new RpcError(Code.INTERNAL, `server sent grpc-encoding "${encoding}", which the call did not accept`);
    }
    if (status !== undefined) this.#early = fields;
    else this.#sink.headers(entriesOf(fields));
  }

  /**
   * Takes in some of the body, and waits until its messages may be handed on.
   *
   * @throws RpcError if it is malformed, or a message is too large.
   */
  protected async body(chunk: Uint8Array): Promise<void> {
    if (this.#early !== undefined && chunk.length > 0) {
      this.#sink.headers(entriesOf(this.#early));
      this.#early = undefined;
    }
    this.#frames.push(chunk);
    for (let frame; !this.#over && (frame = this.#frames.next()) !== undefined; ) {
      if (frame.trailers) return this.#trailers(frame);
      const message = await this.#inflated(frame, this.start.limits.maxRecvMessageBytes);
      if (this.start.one) this.#hold(message, frame.compressed);
      else await this.#hand(message, frame.compressed);
    }
  }

  /** The body has ended; `why` is told where it should not have. */
  protected bodyEnd(why = ""): void {
    if (this.#over) return;
    if (this.#early !== undefined) return this.#end(statusOf(this.#early)!, this.#early, true);
    this.#frames.finish();
    throw new RpcError(Code.UNKNOWN, `server ended the call without grpc-status${why}`);
  }

  #hold(message: Uint8Array, compressed: boolean): void {
    if (this.#held !== undefined) throw new RpcError(Code.UNIMPLEMENTED, "response has two messages where one is due");
    this.#held = message;
    this.#compressed = compressed;
  }

  async #hand(message: Uint8Array, compressed: boolean): Promise<void> {
    while (this.#credit === 0 && !this.#over) await new Promise<void>((resolve) => (this.#whenGranted = resolve));
    if (this.#over) return;
    this.#credit -= 1;
    this.#sink.message(message, compressed);
  }

  async #trailers(frame: Frame): Promise<void> {
    const most = this.start.limits.maxMetadataBytes;
    const block = await this.#inflated(frame, most).catch((error: unknown) => {
      throw error instanceof RpcError && error.code === Code.RESOURCE_EXHAUSTED ? tooManyTrailers(most) : error;
    });
    const fields = parseFields(block);
    this.#check(fields);
    if (this.#frames.rest) throw new RpcError(Code.INTERNAL, "server sent data behind the trailers");
    const status = statusOf(fields);
    if (status === undefined) throw new RpcError(Code.UNKNOWN, "server ended the call without grpc-status");
    this.#end(status, fields, true);
  }

  async #inflated({ compressed, payload }: Frame, limit: number): Promise<Uint8Array> {
    if (!compressed) return payload;
    if (this.#encoding !== undefined) return inflate(this.#encoding, payload, limit);
    throw new RpcError(Code.INTERNAL, "message is compressed, but no grpc-encoding was agreed");
  }

  #check(fields: readonly Field[]): void {
    const { maxMetadataBytes, maxMetadataFields } = this.start.limits;
    const bytes = sizeOfFields(fields);
    const excess =
      bytes > maxMetadataBytes
        ? `${bytes} bytes is larger than max_metadata_bytes (${maxMetadataBytes} bytes)`
        : fields.length > maxMetadataFields
          ? `${fields.length} fields is larger than max_metadata_fields (${maxMetadataFields})`
          : undefined;
    if (excess !== undefined) throw new RpcError(Code.RESOURCE_EXHAUSTED, `metadata of ${excess}`);
  }

  #end({ code, text, details }: Status, fields: readonly Field[], whole: boolean): void {
    if (this.#over) return;
    this.#over = true;
    this.#clear?.();
    this.#whenGranted?.();
    if (code === Code.OK && this.start.one && this.#held === undefined) {
      code = Code.UNIMPLEMENTED;
      text = "response has no message where one is due";
    }
    const message = code === Code.OK ? this.#held : undefined;
    const trailers: Entry[] = entriesOf(fields);
    // Later, because this may be within a function of the engine.
    queueMicrotask(() => {
      if (message !== undefined) this.#sink.message(message, this.#compressed);
      this.#sink.done({
        code,
        text,
        details,
        message,
        trailers,
        headers: undefined,
        attempts: 1,
        sent: this.#sent,
        peer: this.#sent === SENT.answered ? this.start.url.origin : undefined,
        compressed: this.#compressed,
      });
    });
    this.leave(whole);
  }
}

/** The deadline of a call has passed. */
export function deadlineExceeded(when: string): RpcError {
  return new RpcError(Code.DEADLINE_EXCEEDED, `the call's deadline passed ${when}`);
}
