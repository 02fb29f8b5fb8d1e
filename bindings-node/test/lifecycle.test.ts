import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { describe, it } from "node:test";
import { Worker } from "node:worker_threads";
import { Channel, createClient, implement, RpcError, setLogger } from "spanwire";
import { Echo } from "./gen/echo_pb.js";
import { Code, failure, gc, openCalls, pair, run, sleep, until } from "./support.js";

const PATH = "/t.Life/Any";
const body = new Uint8Array([1]);
const services = [implement({ [PATH]: { kind: "bidi_streaming", handler: (requests) => requests } })];

describe("the process", () => {
  it("ends by itself with channels that nobody uses", async (test) => {
    const { server } = await pair(test, services);
    const output = await run(`
      import { Channel } from "spanwire";
      const channel = new Channel("${server.target}");
      const call = channel.stream("${PATH}", "bidi_streaming", [new Uint8Array(3)]);
      for await (const message of call) console.log(message.length);
      await channel.unary("/t.Life/None", new Uint8Array()).catch((error) => console.log(error.code));
    `);
    assert.equal(output, "3\n12");
  });

  it("waits for calls and servers", async () => {
    const output = await run(`
      import { Channel, implement, serve } from "spanwire";
      const handler = (request) => new Promise((resolve) => setTimeout(resolve, 100, request));
      const server = await serve({ address: "127.0.0.1:0", services: [implement({ "/a.B/C": { kind: "unary", handler } })] });
      const channel = new Channel(server.target);
      channel.unary("/a.B/C", new Uint8Array(2)).then((answer) => {
        console.log(answer.length);
        server.close().then(() => console.log("closed"));
      });
    `);
    assert.equal(output, "2\nclosed");
  });

  it("ends at once with calls under way", async (test) => {
    const { server } = await pair(test, services);
    const start = performance.now();
    await run(`
      import { Channel } from "spanwire";
      const channel = new Channel("${server.target}");
      for (let i = 0; i < 50; i++) channel.stream("${PATH}", "bidi_streaming").next();
      setTimeout(() => process.exit(0), 100);
    `);
    assert.ok(performance.now() - start < 10_000);
  });

  it("loads the package as CommonJS, too", async (test) => {
    const { server } = await pair(test, services);
    const cjs = createRequire(import.meta.url)("spanwire") as { Channel: typeof Channel };
    assert.notEqual(cjs.Channel, Channel);
    const channel = new cjs.Channel(server.target);
    const error = await failure(channel.unary("/t.Life/None", body));
    assert.ok(error instanceof RpcError);
    channel.close();
  });
});

describe("a worker", () => {
  it("starts and ends fifty times, with calls and servers", async (test) => {
    const { server } = await pair(test, services);
    const source = `
      const { parentPort } = require("node:worker_threads");
      const { Channel, implement, serve } = require("spanwire");
      (async () => {
        const handler = (requests) => requests;
        await serve({ address: "127.0.0.1:0", services: [implement({ "/a.B/C": { kind: "bidi_streaming", handler } })] });
        const channel = new Channel("${server.target}");
        const calls = Array.from({ length: 10 }, () => channel.stream("${PATH}", "bidi_streaming"));
        await Promise.all(calls.map((call) => call.send(new Uint8Array(3))));
        await Promise.all(calls.map((call) => call.next()));
        parentPort.postMessage("ready");
        for (const call of calls) call.next();
      })();
    `;
    const filename = new URL("../../package.json", import.meta.url);
    for (let round = 0; round < 50; round++) {
      const worker = new Worker(source.replace('require("spanwire")', `require("node:module").createRequire(${JSON.stringify(filename.href)})("spanwire")`), { eval: true });
      await new Promise((resolve, reject) => {
        worker.once("message", resolve);
        worker.once("error", reject);
      });
      await worker.terminate();
    }
    // Ours goes on.
    const channel = new Channel(server.target);
    assert.equal((await channel.stream(PATH, "bidi_streaming", [body]).next()).value?.length, 1);
    channel.close();
  });

  it("shares a port with the other threads", async (test) => {
    const who = [implement({ [PATH]: { kind: "unary", handler: () => Buffer.from("main") } })];
    const { server } = await pair(test, who, { sharePort: true });
    const worker = new Worker(
      `const { parentPort } = require("node:worker_threads");
       const { implement, serve } = require("node:module").createRequire(${JSON.stringify(import.meta.url)})("spanwire");
       const services = [implement({ "${PATH}": { kind: "unary", handler: () => Buffer.from("worker") } })];
       serve({ address: "127.0.0.1:${server.port}", sharePort: true, services }).then(() => parentPort.postMessage("ready"));`,
      { eval: true },
    );
    test.after(() => worker.terminate());
    await new Promise((resolve) => worker.once("message", resolve));
    const seen = new Set<string>();
    while (seen.size < 2) {
      using channel = new Channel(server.target);
      seen.add(Buffer.from(await channel.unary(PATH, body)).toString());
    }
    assert.deepEqual([...seen].sort(), ["main", "worker"]);
  });

  it("ends by itself", async (test) => {
    const { server } = await pair(test, services);
    const worker = new Worker(
      `const { Channel } = require("node:module").createRequire(${JSON.stringify(import.meta.url)})("spanwire");
       new Channel("${server.target}").unary("/t.Life/None", new Uint8Array()).catch(() => {});`,
      { eval: true },
    );
    const code = await new Promise((resolve) => worker.once("exit", resolve));
    assert.equal(code, 0);
  });
});

describe("memory", () => {
  it("comes back from channels that nobody has any more", async (test) => {
    const { server } = await pair(test, services);
    const files = async (): Promise<number> => (await import("node:fs")).readdirSync("/proc/self/fd").length;
    const before = await files();
    await (async () => {
      const channels = Array.from({ length: 100 }, () => new Channel(server.target));
      await Promise.all(channels.map((channel) => channel.stream(PATH, "bidi_streaming", [body]).next()));
    })();
    let now = 0;
    for (let i = 0; i < 200 && (now = await files()) > before + 10; i++) {
      gc();
      await sleep(20);
    }
    assert.ok(now <= before + 10, `${before} descriptors before, ${now} now`);
  });

  it("comes back from calls that were aborted, left or forgotten", async (test) => {
    const { channel } = await pair(test, [
      implement(Echo, {
        unary: (_, { signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
        async *down() {
          for (;;) yield { body: new Uint8Array(100) };
        },
      }),
    ]);
    const client = createClient(Echo, channel);
    const alive = new Set<WeakRef<object>>();
    const seen = <T extends object>(call: T): T => {
      alive.add(new WeakRef(call));
      return call;
    };
    const abort = new AbortController();
    await (async () => {
      const calls = Array.from({ length: 100 }, () => seen(client.unary({}, { signal: abort.signal })));
      const [left, forgotten] = [0, 1].map(() => Array.from({ length: 20 }, () => seen(client.down({}))));
      await Promise.all([...left!, ...forgotten!].map((stream) => stream.next()));
      await Promise.all(left!.map((stream) => stream.return()));
      const { here, addon } = openCalls();
      assert.ok(here >= 220 && addon >= 220, `${here} and ${addon} calls`);
      abort.abort();
      await Promise.allSettled(calls);
    })();
    // What is kept is counted, not measured: how much memory the process has is up to the allocators.
    await until(() => {
      gc();
      for (const call of alive) if (call.deref() === undefined) alive.delete(call);
      const { here, addon } = openCalls();
      return alive.size + here + addon === 0;
    }, "no call is kept");
  });
});

describe("the log", () => {
  it("is silent until somebody asks, and then says what happens", async (test) => {
    const lines: string[] = [];
    setLogger((line) => lines.push(`${line.level} ${line.target} ${line.message}`), { level: "trace" });
    test.after(() => {
      setLogger(undefined);
    });
    const channel = new Channel("127.0.0.1:1");
    await failure(channel.unary("/a.B/C", body));
    channel.close();
    await until(() => lines.length > 0, "a line comes");
    assert.match(lines[0] ?? "", /^(error|warn|info|debug|trace) spanwire\S* ./);
    assert.throws(() => {
      setLogger(() => {}, { level: "loud" as never });
    }, /level: "loud" is none of/);
    assert.equal(Code.OK, 0);
  });
});
