import { Code } from "../code.js";
import { RpcError } from "../error.js";
import { type Field, fromBase64, percentDecode, valueOf } from "./fields.js";

/** How a server says that a call ended. */
export interface Status {
  code: Code;
  text: string;
  details: Uint8Array | undefined;
}

/** By HTTP status, where there is no `grpc-status`; all others are UNKNOWN. That of `from_http` in core/wire/src/status.rs. */
const BY_HTTP: Readonly<Record<number, Code>> = {
  400: Code.INTERNAL,
  401: Code.UNAUTHENTICATED,
  403: Code.PERMISSION_DENIED,
  404: Code.UNIMPLEMENTED,
  429: Code.UNAVAILABLE,
  431: Code.INTERNAL,
  502: Code.UNAVAILABLE,
  503: Code.UNAVAILABLE,
  504: Code.UNAVAILABLE,
};

/** The status in trailers; undefined if there is none. Nothing in them makes this fail. */
export function statusOf(fields: readonly Field[]): Status | undefined {
  const raw = valueOf(fields, "grpc-status");
  if (raw === undefined) return undefined;
  const text = percentDecode(valueOf(fields, "grpc-message") ?? "");
  const details = fromBase64(valueOf(fields, "grpc-status-details-bin") ?? "");
  const name = /^1?\d$/.test(raw) ? Code[Number(raw)] : undefined;
  if (name !== undefined) return { code: Code[name as keyof typeof Code], text, details };
  const unknown = `server sent the unknown grpc-status "${raw}"${text && ": "}${text}`;
  return { code: Code.UNKNOWN, text: unknown, details };
}

/** Why an answer is no gRPC-Web; undefined if it is. */
export function notGrpcWeb(http: number, contentType: string | null): RpcError | undefined {
  // Text is not asked for, and so not understood.
  if (http === 200 && contentType !== null && /^application\/grpc-web *([+;]|$)/i.test(contentType)) return undefined;
  const kind = contentType === null ? "no content-type" : `content-type ${contentType}`;
  return new RpcError(BY_HTTP[http] ?? Code.UNKNOWN, `server answered HTTP ${http}, not gRPC-Web (${kind})`);
}
