import type { Code } from "./code.js";
import type { Raw } from "./metadata.js";

/** What is told of a client's call. */
export interface ClientSink {
  headers(raw: Raw): void;
  message(bytes: Uint8Array, compressed: boolean): void;
  /** There is room to send, or there is none until further notice. */
  room(ready: boolean): void;
  /** The last one. */
  done(outcome: Outcome): void;
}

/** How a client's call ended. It may be one object for all: what is to stay has to be taken out. */
export interface Outcome {
  code: Code;
  attempts: number;
  sent: number;
  peer: string | undefined;
  headers: Raw;
  trailers: Raw;
  text: string;
  details: Uint8Array | undefined;
  message: Uint8Array | undefined;
  compressed: boolean;
}

/**
 * What makes the calls of a channel: the addon in Node, `fetch` in browsers. `Start` is what begins a call, and `Id` what it is
 * known by from then on. Nothing is told to a sink before the function that began its call has returned.
 */
export interface Engine<Start, Id> {
  /** Makes a unary call. */
  unary(sink: ClientSink, start: Start, message: Uint8Array, plain: boolean): Id;
  /** Begins a call of any kind that may receive `credit` messages. */
  begin(sink: ClientSink, start: Start, credit: number): Id;
  send(call: Id, message: Uint8Array, plain: boolean): void;
  halfClose(call: Id): void;
  cancel(call: Id): void;
  /** Lets so many messages more arrive. */
  grant(call: Id, messages: number): void;
}
