import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { Channel, type ChannelOptions, Code, type Connectivity, implement, RpcError, type Server, serve } from "spanwire";
import { failure, pair, until } from "./support.js";

const PATH = "/t.Channel/Any";
const body = new Uint8Array([1]);
const echo = [implement({ [PATH]: { kind: "unary", handler: (request) => request } })];

/** A folder that ends with the test. */
function folder(test: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "spanwire-"));
  test.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

async function server(test: TestContext, services = echo, address = "127.0.0.1:0"): Promise<Server> {
  const server = await serve({ address, services });
  test.after(() => server.close({ graceMs: 0 }));
  return server;
}

function channel(test: TestContext, target: string, options: ChannelOptions = {}): Channel {
  const channel = new Channel(target, options);
  test.after(() => channel.close());
  return channel;
}

describe("load balancing", () => {
  it("spreads calls over the addresses of a target", async (test) => {
    const servers = [await server(test), await server(test)];
    const addresses = servers.map(({ port }) => `127.0.0.1:${port}`);
    const target = `ipv4:${addresses.join(",")}`;
    const spread = channel(test, target, { loadBalancing: "round_robin", nameTtlMs: 5000 });
    const seen = new Set<string | undefined>();
    while (seen.size < 2) {
      const call = spread.unary(PATH, body);
      await call;
      seen.add(call.peer);
    }
    assert.deepEqual([...seen].sort(), addresses.map((address) => `ipv4:${address}`).sort());
    // Without it, all go to one.
    const first = channel(test, target);
    for (let i = 0; i < 10; i++) {
      const call = first.unary(PATH, body);
      await call;
      assert.equal(call.peer, `ipv4:${addresses[0]}`);
    }
  });
});

describe("a service config", () => {
  const retries = {
    methodConfig: [
      {
        name: [{}],
        retryPolicy: {
          maxAttempts: 4,
          initialBackoff: "0.001s",
          maxBackoff: "0.01s",
          backoffMultiplier: 2,
          retryableStatusCodes: ["UNAVAILABLE"],
        },
      },
    ],
  };

  for (const [form, serviceConfig] of [["an object", retries], ["text", JSON.stringify(retries)]] as const) {
    it(`retries calls, given as ${form}`, async (test) => {
      let attempt = 0;
      const handler = (request: Uint8Array): Uint8Array => {
        if (++attempt < 3) throw new RpcError(Code.UNAVAILABLE, "once more");
        return request;
      };
      const flaky = await server(test, [implement({ [PATH]: { kind: "unary", handler } })]);
      const call = channel(test, flaky.target, { serviceConfig }).unary(PATH, body);
      await call;
      assert.equal(call.attempts, 3);
    });
  }

  it("gives calls a timeout", async (test) => {
    const serviceConfig = { methodConfig: [{ name: [{}], timeout: "0.02s", waitForReady: true }] };
    const error = await failure(channel(test, "127.0.0.1:1", { serviceConfig }).unary(PATH, body));
    assert.equal(error.code, Code.DEADLINE_EXCEEDED);
  });
});

describe("a bearer token", () => {
  const who = [
    implement({
      [PATH]: { kind: "unary", handler: (_, { metadata }) => Buffer.from(String(metadata.getAll("authorization"))) },
    }),
  ];

  it("goes with every call that has no authorization of its own", async (test) => {
    const path = folder(test);
    const { target } = await server(test, who, `unix:${join(path, "socket")}`);
    const given = channel(test, target, { bearerToken: "one" });
    assert.equal(Buffer.from(await given.unary(PATH, body)).toString(), "Bearer one");
    const own = given.unary(PATH, body, { metadata: { authorization: "Basic mine" } });
    assert.equal(Buffer.from(await own).toString(), "Basic mine");

    writeFileSync(join(path, "token"), "two\n");
    const read = channel(test, target, { bearerTokenFile: join(path, "token") });
    assert.equal(Buffer.from(await read.unary(PATH, body)).toString(), "Bearer two");
  });

  it("is asked for once, as it is needed", async (test) => {
    const { target } = await server(test, who, `unix:${join(folder(test), "socket")}`);
    let asked = 0;
    const given = channel(test, target, {
      async bearerToken() {
        await new Promise(setImmediate);
        return { value: `token ${++asked}`, expires: new Date(Date.now() + 3_600_000) };
      },
    });
    for (let i = 0; i < 2; i++) {
      const answers = await Promise.all([given.unary(PATH, body), given.unary(PATH, body)]);
      for (const answer of answers) assert.equal(Buffer.from(answer).toString(), "Bearer token 1");
    }
    assert.equal(asked, 1);
  });

  it("that cannot be had fails the calls that wait for it", async (test) => {
    const { target } = await server(test, who, `unix:${join(folder(test), "socket")}`);
    const refused = channel(test, target, {
      bearerToken() {
        throw new RpcError(Code.PERMISSION_DENIED, "not you");
      },
    });
    const error = await failure(refused.unary(PATH, body));
    assert.deepEqual([error.code, error.rawMessage], [Code.PERMISSION_DENIED, "not you"]);
    const broken = channel(test, target, { bearerToken: () => Promise.reject(new Error("the vault is shut")) });
    const other = await failure(broken.unary(PATH, body));
    assert.deepEqual([other.code, other.rawMessage], [Code.UNAVAILABLE, "bearerToken: the vault is shut"]);
  });

  it("that is waited for keeps the deadline", async (test) => {
    const { target } = await server(test, who, `unix:${join(folder(test), "socket")}`);
    const slow = channel(test, target, { bearerToken: () => new Promise<string>(() => {}) });
    const error = await failure(slow.unary(PATH, body, { timeoutMs: 20 }));
    assert.equal(error.code, Code.DEADLINE_EXCEEDED);
  });

  it("is never sent in plaintext", () => {
    assert.throws(() => new Channel("127.0.0.1:1", { bearerToken: "secret" }), (error: Error) => {
      assert.match(error.message, /^bearerToken/);
      assert.doesNotMatch(error.message, /secret/);
      return error instanceof TypeError;
    });
  });
});

describe("channel arguments of gRPC's C core", () => {
  it("mean the same as the options", async (test) => {
    const { target } = await server(test);
    const other = channel(test, target, {
      arguments: {
        "grpc.keepalive_time_ms": 20_000,
        "grpc.enable_retries": false,
        "grpc.service_config": JSON.stringify({ methodConfig: [{ name: [{}], timeout: "0s" }] }),
      },
    });
    assert.equal((await failure(other.unary(PATH, body))).code, Code.DEADLINE_EXCEEDED);
  });
});

describe("the connection", () => {
  it("is made by the first call, or when it is asked for", async (test) => {
    const { target } = await server(test);
    const first = channel(test, target);
    assert.equal(first.connectivity, "Idle");
    await first.unary(PATH, body);
    assert.equal(first.connectivity, "Ready");
    const asked = channel(test, target);
    asked.connect();
    await until(() => asked.connectivity === "Ready", "it connects");
  });

  it("tells when its state is another one", async (test) => {
    const { target } = await server(test);
    const watched = channel(test, target);
    assert.equal(await watched.connectivityChanged("Ready"), "Idle");
    const late = await failure(watched.connectivityChanged("Idle", { timeoutMs: 1 }));
    assert.equal(late.code, Code.DEADLINE_EXCEEDED);
    const signal = AbortSignal.abort(new Error("no more"));
    await assert.rejects(watched.connectivityChanged("Idle", { signal }), /no more/);
    const stop = new AbortController();
    const stopped = watched.connectivityChanged("Idle", { signal: stop.signal });
    stop.abort(new Error("never mind"));
    await assert.rejects(stopped, /never mind/);
    await assert.rejects(watched.connectivityChanged("Asleep" as never), /known: .*TransientFailure.*Asleep/);
    watched.connect();
    let state: Connectivity = "Idle";
    while (state !== "Ready") state = await watched.connectivityChanged(state);
    const closed = failure(watched.connectivityChanged("Ready"));
    await new Promise(setImmediate);
    watched.close();
    assert.equal((await closed).code, Code.CANCELLED);
    await assert.rejects(watched.connectivityChanged("Ready"), /closed/);
  });

  it("ends when nobody calls", async (test) => {
    const { channel } = await pair(test, echo, {}, { idleTimeoutMs: 20 });
    await channel.unary(PATH, body);
    await until(() => channel.connectivity === "Idle", "it is idle");
    await channel.unary(PATH, body);
  });

  it("that cannot be made is known", async (test) => {
    const nowhere = channel(test, "127.0.0.1:1");
    await failure(nowhere.unary(PATH, body));
    await until(() => nowhere.connectivity === "TransientFailure", "it is told");
  });
});

describe("DNS", () => {
  /** A name server that answers every question with one text. */
  async function texts(test: TestContext, text: string): Promise<number> {
    const socket = createSocket("udp4");
    test.after(() => socket.close());
    socket.on("message", (question, from) => {
      const answer = Buffer.concat([question, Buffer.from([0xc0, 12, 0, 16, 0, 1, 0, 0, 0, 1, 0, text.length + 1, text.length])]);
      answer[2]! |= 0x80;
      answer[7] = 1;
      socket.send(Buffer.concat([answer, Buffer.from(text)]), from.port, from.address);
    });
    await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
    return socket.address().port;
  }

  it("is asked for the service config if that is wanted", async (test) => {
    const { target } = await server(test);
    const none = '[{"serviceConfig":{"methodConfig":[{"name":[{}],"timeout":"0s"}]}}]';
    const names = await texts(test, `grpc_config=${none}`);
    const name = `dns://127.0.0.1:${names}/localhost:${target.split(":").at(-1)}`;
    await channel(test, name).unary(PATH, body);
    const asking = channel(test, name, { serviceConfigFromDns: true, dnsResolver: "direct" });
    // The first call is what has the name resolved.
    await asking.unary(PATH, body).catch(() => {});
    assert.equal((await failure(asking.unary(PATH, body))).code, Code.DEADLINE_EXCEEDED);
  });
});

describe("an option that cannot be used", () => {
  const cases: [ChannelOptions, RegExp][] = [
    [{ loadBalancing: "random" as never }, /^loadBalancing: .*random/],
    [{ dnsResolver: "hickory" as never }, /^dnsResolver: .*hickory/],
    [{ loadBalancing: 1 as never }, /^loadBalancing: a string is due, not number$/],
    [{ serviceConfig: "{" }, /^serviceConfig: this is no JSON/],
    [{ serviceConfig: { methodConfig: 1 } }, /^serviceConfig: methodConfig/],
    [{ serviceConfig: 1 as never }, /^serviceConfig: a string is due, not number$/],
    [{ proxy: 1 as never }, /^proxy: a string is due, not number$/],
    [{ retries: 1 as never }, /^retries: a boolean is due, not number$/],
    [{ maxConnectionsPerSubchannel: 0 }, /^maxConnectionsPerSubchannel: 0 cannot be used: 1 or more is due$/],
    [{ arguments: 1 as never }, /^arguments: an object is due, not number$/],
    [{ arguments: { "grpc.keepalive_time": 1 } }, /the closest is "grpc.keepalive_time_ms"/],
    [{ arguments: { "grpc.keepalive_time_ms": 0.5 } }, /^grpc.keepalive_time_ms: 0.5 cannot be used/],
    [{ bearerTokenFile: 1 as never }, /^bearerTokenFile: a string is due, not number$/],
    [{ nameTtlMs: 0 }, /^nameTtlMs: 0 cannot be used: 1 or more is due$/],
    [{ nameTtlMs: Infinity }, /^nameTtlMs: Infinity cannot/],
    [{ idleTimeoutMs: "1s" as never }, /^idleTimeoutMs: a number is due, not string$/],
    [{ nameTTL: 1 } as never, /^Channel has no option "nameTTL"$/],
  ];
  for (const [options, message] of cases) {
    it(`is named: ${JSON.stringify(options)}`, () => {
      assert.throws(() => new Channel("127.0.0.1:1", options), { name: "TypeError", message });
    });
  }
});
