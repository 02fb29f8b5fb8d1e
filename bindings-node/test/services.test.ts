// The services that come with the engine: health, reflection, channelz.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { implement, serve } from "spanwire";
import { Echo, file_bench_v1_echo } from "./gen/echo_pb.js";
import { Code, collect, failure, pair, run } from "./support.js";

const CHECK = "/grpc.health.v1.Health/Check";
const WATCH = "/grpc.health.v1.Health/Watch";
const REFLECTION = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
const SERVERS = "/grpc.channelz.v1.Channelz/GetServers";

const SERVING = Buffer.from([8, 1]);
const NOT_SERVING = Buffer.from([8, 2]);
const nothing = new Uint8Array();

/** A message with one field of bytes. */
function field(number: number, bytes: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from([(number << 3) | 2, bytes.length]), bytes]);
}

const named = (service: string): Uint8Array => field(1, Buffer.from(service));

/** The fields of a message that has nothing but bytes and messages. */
function parts(message: Uint8Array): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  for (let at = 0; at < message.length; ) {
    const number = message[at++]! >> 3;
    let length = 0;
    for (let shift = 0, more = true; more; shift += 7) {
      length |= (message[at]! & 0x7f) << shift;
      more = (message[at++]! & 0x80) !== 0;
    }
    found.set(number, message.subarray(at, at + length));
    at += length;
  }
  return found;
}

/** The files that a question of reflection is answered with: field 4 has them as a FileDescriptorSet has. */
function filesOf([answer]: Uint8Array[]): string[] {
  return fromBinary(FileDescriptorSetSchema, parts(answer!).get(4)!).file.map(({ name }) => name);
}

describe("health", () => {
  it("is what was set", async (test) => {
    const { server, channel } = await pair(test, [implement(Echo, {})], { health: true });
    assert.deepEqual(Buffer.from(await channel.unary(CHECK, nothing)), SERVING);
    assert.equal((await failure(channel.unary(CHECK, named("bench.v1.Echo")))).code, Code.NOT_FOUND);
    server.setHealth("bench.v1.Echo", true);
    assert.deepEqual(Buffer.from(await channel.unary(CHECK, named("bench.v1.Echo"))), SERVING);
    server.setHealth("bench.v1.Echo", false);
    server.setHealth("", false);
    assert.deepEqual(Buffer.from(await channel.unary(CHECK, named("bench.v1.Echo"))), NOT_SERVING);
    assert.deepEqual(Buffer.from(await channel.unary(CHECK, nothing)), NOT_SERVING);
  });

  it("says that a server closes, which serves on for the delay", async (test) => {
    const { server, channel } = await pair(test, [implement(Echo, {})], { health: true, drainDelayMs: 200 });
    const states = channel.stream(WATCH, "server_streaming", nothing);
    assert.deepEqual(Buffer.from((await states.next()).value!), SERVING);
    const began = performance.now();
    const closed = server.close();
    assert.deepEqual(Buffer.from((await states.next()).value!), NOT_SERVING);
    assert.deepEqual(Buffer.from(await channel.unary(CHECK, nothing)), NOT_SERVING);
    assert.equal((await failure(states.next())).code, Code.UNAVAILABLE);
    assert.ok(performance.now() - began >= 199);
    await closed;
  });

  it("has to be asked for", async (test) => {
    const { server, channel } = await pair(test, []);
    assert.throws(() => server.setHealth("", true), /^TypeError: health: the server was made without this option/);
    for (const method of [CHECK, SERVERS]) {
      assert.equal((await failure(channel.unary(method, nothing))).code, Code.UNIMPLEMENTED);
    }
  });
});

describe("reflection", () => {
  it("describes what was implemented by descriptors", async (test) => {
    const { channel } = await pair(test, [implement(Echo, {})], { reflection: true });
    const answers = await collect(channel.stream(REFLECTION, "bidi_streaming", [field(4, Buffer.from("bench.v1.Echo.Unary"))]));
    assert.deepEqual(filesOf(answers), [file_bench_v1_echo.proto.name]);
  });

  it("takes descriptors of the program's own", async (test) => {
    const file = create(FileDescriptorProtoSchema, { name: "own.proto" });
    const reflection = toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: [file] }));
    const { channel } = await pair(test, [], { reflection });
    const answers = await collect(channel.stream(REFLECTION, "bidi_streaming", [field(3, Buffer.from("own.proto"))]));
    assert.deepEqual(filesOf(answers), ["own.proto"]);
    await assert.rejects(serve({ address: "127.0.0.1:0", services: [], reflection: Buffer.from([255]) }), {
      name: "TypeError",
      message: /^reflection: /,
    });
  });
});

describe("channelz", () => {
  it("tells of the server", async (test) => {
    const { server, channel } = await pair(test, [], { channelz: true });
    const told = Buffer.from(await channel.unary(SERVERS, nothing)).toString("latin1");
    assert.ok(told.includes(`ipv4:${server.target}`), told);
  });
});

describe("a signal", () => {
  it("gives calls that run no more than graceMs", async () => {
    const output = await run(`
      import { Channel, implement, serve } from "spanwire";
      const stuck = { kind: "unary", handler: () => new Promise(() => {}) };
      const services = [implement({ "/t.S/Stuck": stuck })];
      const server = await serve({ address: "127.0.0.1:0", services, signals: ["SIGTERM"], graceMs: 100 });
      const channel = new Channel(server.target);
      const call = channel.unary("/t.S/Stuck", new Uint8Array());
      setTimeout(() => process.kill(process.pid, "SIGTERM"), 50);
      await call.catch((error) => console.log(error.code));
      await server.closed;
      console.log("closed");
      channel.close();
    `);
    assert.equal(output, "14\nclosed");
  });
});
