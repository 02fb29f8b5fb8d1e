import assert from "node:assert/strict";
import cluster, { type Worker } from "node:cluster";
import { once } from "node:events";
import { describe, it, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { Channel } from "spanwire";

const NOTHING = new Uint8Array(0);

async function worker(test: TestContext, port = 0): Promise<{ worker: Worker; port: number }> {
  const worker = cluster.fork({ PORT: String(port) });
  test.after(() => worker.process.kill("SIGKILL"));
  const [message] = (await once(worker, "message")) as [{ port: number }];
  return { worker, port: message.port };
}

/** The process that a new connection comes to. */
async function who(port: number): Promise<number> {
  using channel = new Channel(`127.0.0.1:${port}`);
  return Number(Buffer.from(await channel.unary("/t.Cluster/Who", NOTHING, { waitForReady: true, timeoutMs: 20_000 })).toString());
}

describe("a cluster", () => {
  cluster.setupPrimary({ exec: fileURLToPath(new URL("cluster_worker.js", import.meta.url)) });

  it("serves one port, and is replaced process by process", async (test) => {
    const first = await worker(test);
    const { port } = first;
    const second = await worker(test, port);
    const pids = [first, second].map(({ worker }) => worker.process.pid);
    const seen = new Set<number>();
    while (seen.size < 2) seen.add(await who(port));
    assert.deepEqual([...seen].sort(), pids.sort());

    // A call that the first one has begun is carried to its end.
    const channel = new Channel(`127.0.0.1:${port}`);
    test.after(() => channel.close());
    const call = channel.stream("/t.Cluster/Slow", "bidi_streaming");
    const { value } = await call.next();
    const serving = [first, second].find(({ worker }) => String(worker.process.pid) === Buffer.from(value ?? []).toString());
    assert.ok(serving);
    const third = await worker(test, port);
    const exit = once(serving.worker, "exit");
    serving.worker.process.kill("SIGTERM");
    // When it has stopped listening, new connections come to the others.
    const left = [first, second, third].filter((one) => one !== serving).map(({ worker }) => Number(worker.process.pid));
    const now = new Set<number>();
    while (!left.every((pid) => now.has(pid))) now.add(await who(port));
    await call.send(new Uint8Array(3));
    assert.equal((await call.next()).value?.length, 3);
    call.end();
    assert.equal((await call.next()).done, true);
    assert.deepEqual(await exit, [0, null]);
  });

  it("shares no port with who did not ask for it", async (test) => {
    const { port } = await worker(test);
    const { serve } = await import("spanwire");
    await assert.rejects(serve({ address: `127.0.0.1:${port}`, services: [] }), /in use/i);
  });
});
