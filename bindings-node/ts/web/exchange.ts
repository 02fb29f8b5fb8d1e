import { Code } from "../code.js";
import { RpcError } from "../error.js";
import { WebCall } from "./call.js";
import { frame } from "./frames.js";

/** A call with one request, as an exchange of HTTP. */
export class Exchange extends WebCall {
  #request: Uint8Array<ArrayBuffer> | undefined;
  readonly #abort = new AbortController();
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined;

  protected override put(message: Uint8Array): void {
    this.#request = frame(message);
  }

  override halfClose(): void {
    if (this.over) return;
    this.#run().catch((error: unknown) => this.fail(error instanceof RpcError ? error : lost(error)));
  }

  protected override leave(whole: boolean): void {
    // The connection can be used again when the end was read.
    if (whole && this.#reader !== undefined) this.#reader.read().then(({ done }) => done || this.#abort.abort(), () => {});
    else this.#abort.abort();
  }

  async #run(): Promise<void> {
    const { url, fields, transport } = this.start;
    // As a function: that of browsers is no method of ours.
    const fetch = transport.fetch ?? globalThis.fetch;
    this.begun();
    const response = await fetch(url, {
      method: "POST",
      headers: new Headers(fields as [string, string][]),
      body: this.#request ?? null,
      signal: this.#abort.signal,
      // A call is for one server; what another one says is not its answer.
      redirect: "manual",
      ...(transport.credentials && { credentials: transport.credentials }),
    }).catch((error: unknown) => {
      throw unreachable(error, url);
    });
    if (this.over) return;
    this.head(response.status, [...response.headers]);
    const reader = (this.#reader = response.body?.getReader() as ReadableStreamDefaultReader<Uint8Array> | undefined);
    for (let empty = true; ; empty = false) {
      if (this.over) return;
      const chunk = await reader?.read();
      if (chunk?.value === undefined) {
        this.bodyEnd(empty ? hintOf(response) : "");
        return;
      }
      await this.body(chunk.value);
    }
  }
}

/** Whoever may not see the headers of an answer without a body sees nothing. */
function hintOf({ type }: Response): string {
  return type === "cors" ? " (or the page may not see it: Access-Control-Expose-Headers has to name it)" : "";
}

function unreachable(error: unknown, url: URL): RpcError {
  const page = (globalThis as { location?: { origin?: string } }).location?.origin;
  const hint = page === undefined || page === url.origin ? "" : ` (or ${url.origin} does not allow ${page} by CORS)`;
  return new RpcError(Code.UNAVAILABLE, `cannot reach the server: ${textOf(error)}${hint}`, { cause: error });
}

function lost(error: unknown): RpcError {
  return new RpcError(Code.UNAVAILABLE, `connection lost: ${textOf(error)}`, { cause: error });
}

/** What is known of an error: that of `fetch` in Node is in its cause. */
function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error && error.cause.message !== "" ? `${error.message}: ${error.cause.message}` : error.message;
}
