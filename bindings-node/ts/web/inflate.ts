import { Code } from "../code.js";
import { RpcError } from "../error.js";
import { join } from "./frames.js";

/** What the platform can undo. */
export const ENCODINGS = ["gzip", "deflate"] as const;

/** One of them. */
export type WebEncoding = (typeof ENCODINGS)[number];

/** Whether this platform can undo an encoding. */
export function canInflate(encoding: string): encoding is WebEncoding {
  return ENCODINGS.includes(encoding as WebEncoding) && typeof DecompressionStream === "function";
}

/**
 * Decompresses a message, up to a limit.
 *
 * @throws RpcError if it becomes too large, or is corrupt.
 */
export async function inflate(encoding: WebEncoding, message: Uint8Array, limit: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(message);
  const parts: Uint8Array[] = [];
  let length = 0;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream(encoding)) as ReadableStream<Uint8Array>;
  const reader = stream.getReader();
  try {
    for (;;) {
      const { value } = await reader.read();
      if (value === undefined) break;
      parts.push(value);
      length += value.length;
      if (length > limit) break;
    }
  } catch (cause) {
    throw new RpcError(Code.INTERNAL, `${encoding} message cannot be decompressed: ${String(cause)}`, { cause });
  }
  if (length > limit) {
    void reader.cancel().catch(() => {});
    const text = `message of ${message.length} bytes (${encoding}) decompresses to more than max_recv_message_bytes (${limit} bytes)`;
    throw new RpcError(Code.RESOURCE_EXHAUSTED, text);
  }
  return join(parts, length);
}
