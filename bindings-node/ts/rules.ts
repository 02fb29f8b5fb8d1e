import type { Entry } from "./metadata.js";

/** Names that belong to the protocol, beside those that begin with `grpc-`. */
const RESERVED = new Set(
  "te content-type content-length user-agent host connection keep-alive proxy-connection transfer-encoding upgrade".split(" "),
);
/** What policies for retries outside of this package use. */
const FREE = new Set(["grpc-previous-rpc-attempts", "grpc-retry-pushback-ms"]);

/**
 * Checks that entries can be sent, where there is no engine to ask: the rules of core/wire/src/metadata.rs, to which
 * tests/vectors holds both.
 *
 * @throws TypeError if one cannot; it says which and why.
 */
export function check(entries: readonly Entry[]): void {
  for (const [name, value] of entries) {
    const broken = brokenRule(name, value);
    if (broken !== undefined) throw new TypeError(`metadata ${JSON.stringify(name)}: ${broken}`);
  }
}

function brokenRule(name: string, value: Entry[1]): string | undefined {
  if (!/^[0-9a-z_.-]+$/.test(name)) return "names are made of 0-9, a-z, '_', '-' and '.'";
  if (RESERVED.has(name) || (name.startsWith("grpc-") && !FREE.has(name))) return "the name is reserved for the protocol";
  if (typeof value !== "string") return name.endsWith("-bin") ? undefined : "bytes need a name ending in -bin";
  if (name.endsWith("-bin")) return "a name ending in -bin takes bytes";
  return /^[ -~]*$/.test(value) ? undefined : "values are printable ASCII; use a name ending in -bin for other bytes";
}
