import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { setTimeout as sleep } from "node:timers/promises";
import type { TestContext } from "node:test";
import { Channel, type ChannelOptions, Code, type Implementation, RpcError, type Server, type ServerOptions, serve } from "spanwire";

/** A server and a channel to it, which end with the test. */
export async function pair(
  test: TestContext,
  services: readonly Implementation[],
  options: Partial<ServerOptions> = {},
  channelOptions: ChannelOptions = {},
): Promise<{ server: Server; channel: Channel }> {
  const server = await serve({ address: "127.0.0.1:0", services, ...options });
  const channel = new Channel(server.target, channelOptions);
  test.after(async () => {
    channel.close();
    await server.close({ graceMs: 0 });
  });
  return { server, channel };
}

/** The error that a call fails with. */
export async function failure(call: PromiseLike<unknown>): Promise<RpcError> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof RpcError, String(error));
    return error;
  }
  return assert.fail("the call succeeded");
}

/** Waits until something is so; fails after some seconds. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const end = Date.now() + 20_000;
  while (!condition()) {
    assert.ok(Date.now() < end, what);
    await sleep(5);
  }
}

setFlagsFromString("--expose-gc");
/** Collects what nobody has any more. */
export const gc = runInNewContext("gc") as () => void;

/** The very module that the package uses, which does not export it: how many calls there still are. */
export const { openCalls } = (await import(
  new URL("crossing.js", import.meta.resolve("spanwire")).href
)) as typeof import("../esm/crossing.js");

/** What a program of its own prints; it has to end by itself and well. */
export async function run(source: string, ...flags: string[]): Promise<string> {
  const child = spawn(process.execPath, [...flags, "--input-type=module", "--eval", source], {
    stdio: ["ignore", "pipe", "inherit"],
    timeout: 60_000,
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const [code, signal] = (await once(child, "close")) as [number | null, string | null];
  assert.deepEqual({ code, signal }, { code: 0, signal: null }, output);
  return output.trim();
}

export { Code, sleep };

/** All messages of a stream. */
export async function collect<T>(messages: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const message of messages) all.push(message);
  return all;
}
