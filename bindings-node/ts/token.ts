import { Code } from "./code.js";
import { env, onWake } from "./crossing.js";
import { RpcError } from "./error.js";

/** A bearer token, and when it ends: it is asked for anew shortly before. */
export interface Token {
  value: string;
  /** Without, a JWT's own `exp` counts; other tokens are asked for once a minute. */
  expires?: Date | undefined;
}

/**
 * Gets a token: with a channel's first call, and shortly before the last token ends. Calls wait for it, each up to its
 * deadline. What it throws fails those that wait, and those of the next second: an {@link RpcError} as it is, all else with
 * UNAVAILABLE.
 */
export type TokenSource = () => string | Token | Promise<string | Token>;

/** Those of all channels, by number. */
const sources = new Map<number, TokenSource>();
let last = 0;

/** Makes a source known; its number is to be forgotten with its channel. */
export function keepSource(source: TokenSource): number {
  onWake(look);
  sources.set(++last, source);
  return last;
}

/** Lets a source go. */
export function forgetSource(number: number): void {
  sources.delete(number);
}

function look(): void {
  if (sources.size === 0) return;
  const wanted = env().wantedTokens();
  for (let i = 0; i < wanted.length; i += 2) void answer(sources.get(wanted[i]!), wanted[i + 1]!);
}

async function answer(source: TokenSource | undefined, request: number): Promise<void> {
  try {
    if (source === undefined) throw new RpcError(Code.CANCELLED, "the channel was closed");
    const token = await source();
    const { value, expires }: Token = typeof token === "string" ? { value: token } : token;
    if (typeof value !== "string") throw new TypeError("it gave no string");
    env().answerToken(request, value, expires?.getTime(), Code.OK);
  } catch (error) {
    const [code, text] =
      error instanceof RpcError && error.code !== Code.OK
        ? [error.code, error.rawMessage]
        : [Code.UNAVAILABLE, `bearerToken: ${error instanceof Error ? error.message : String(error)}`];
    env().answerToken(request, text, undefined, code);
  }
}
