import { setImmediate } from "node:timers/promises";
import { Channel, type WebChannelOptions } from "spanwire/web";

/** A frame of gRPC-Web. */
export function frame(payload: Uint8Array | string, flags = 0): Buffer {
  const bytes = typeof payload === "string" ? Buffer.from(payload) : payload;
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(flags);
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

/** The frame of trailers. */
export function trailers(block = "grpc-status: 0\r\n"): Buffer {
  return frame(block, 0x80);
}

/** A request as the platform would send it. */
export interface Request {
  url: string;
  headers: Headers;
  body: Buffer;
  signal: AbortSignal;
}

/** What a server answers with. */
export interface Answer {
  status?: number;
  headers?: Record<string, string>;
  /** What comes, piece by piece; an error is a connection that is lost. */
  body?: Iterable<Uint8Array | Error> | AsyncIterable<Uint8Array | Error>;
}

/** A channel whose requests are answered here, without a socket, and those that it made. */
export function channelOf(
  answer: Answer | ((request: Request) => Answer | Promise<Answer>),
  options: WebChannelOptions = {},
): { channel: Channel; requests: Request[] } {
  const requests: Request[] = [];
  const fetch = async (url: unknown, init: RequestInit = {}): Promise<Response> => {
    const { headers, body, signal } = init;
    const request = { url: String(url), headers: new Headers(headers), body: Buffer.from(body as Uint8Array), signal: signal! };
    requests.push(request);
    const given = typeof answer === "function" ? await answer(request) : answer;
    const response = { status: given.status ?? 200, headers: { "content-type": "application/grpc-web+proto", ...given.headers } };
    return new Response(given.body && streamOf(given.body, request.signal), response);
  };
  return { channel: new Channel("https://orders.example", { fetch: fetch, ...options }), requests };
}

/** A body that gives a piece whenever it is asked for one, and never sooner. */
function streamOf(pieces: Iterable<Uint8Array | Error> | AsyncIterable<Uint8Array | Error>, signal: AbortSignal): ReadableStream<Uint8Array> {
  const source = Symbol.asyncIterator in pieces ? pieces[Symbol.asyncIterator]() : pieces[Symbol.iterator]();
  return new ReadableStream(
    {
      start(controller) {
        signal.addEventListener("abort", () => controller.error(signal.reason));
      },
      async pull(controller) {
        const next = await source.next();
        if (next.done === true) controller.close();
        else if (next.value instanceof Error) controller.error(next.value);
        else controller.enqueue(next.value);
      },
    },
    { highWaterMark: 0 },
  );
}

/** A body that never ends behind these pieces. */
export async function* endless(...pieces: Uint8Array[]): AsyncIterable<Uint8Array> {
  yield* pieces;
  await new Promise(() => {});
}

/** Lets everything run that is ready. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await setImmediate();
}
