/* eslint-disable @typescript-eslint/no-unsafe-assignment, @typescript-eslint/no-unsafe-member-access, @typescript-eslint/no-unsafe-return --
   The compiler knows nothing of messages that are loaded. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { createClient, implement, loadProto, RpcError } from "spanwire";
import { Echo } from "./gen/echo_pb.js";
import { Code, collect, failure, pair } from "./support.js";

const SHOP = new URL("../../../proto/examples/shop/v1/orders.proto", import.meta.url);

/** A folder with these files, which ends with the test. */
function folder(test: TestContext, files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), "spanwire-"));
  test.after(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

describe("loadProto", () => {
  it("gives services that clients and servers take, of all kinds", async (test) => {
    const Orders = loadProto(SHOP).service("shop.v1.Orders");
    const { channel } = await pair(test, [
      implement(Orders, {
        get: ({ id }: { id: bigint }) => ({ id, state: 2, lines: [{ article: "tea", pieces: 3 }] }),
        watch: ({ id }: { id: bigint }) => [{ state: 1 }, { state: Number(id) }],
        place: async (lines: AsyncIterable<object>) => ({ id: 1n, lines: await collect(lines) }),
        async *quote(lines: AsyncIterable<{ article: string; pieces: number }>) {
          for await (const { article, pieces } of lines) yield { article, cents: BigInt(pieces) };
        },
      }),
    ]);
    const orders = createClient(Orders, channel);
    const lines = [{ article: "tea", pieces: 1 }, { article: "rum", pieces: 2 }];

    const order = await orders.get!({ id: 7n });
    assert.deepEqual([order.$typeName, order.id, order.state, order.lines[0].article], ["shop.v1.Order", 7n, 2, "tea"]);
    const updates = await collect(orders.watch!({ id: 3n }));
    assert.deepEqual(updates.map(({ state }) => state), [1, 3]);
    const placed = await orders.place!(lines);
    assert.equal(placed.lines[1].article, "rum");
    const prices = await collect(orders.quote!(lines));
    assert.deepEqual(prices.map(({ cents }) => cents), [1n, 2n]);
  });

  it("speaks with generated code", async (test) => {
    const loaded = loadProto("bench/v1/echo.proto", { includePaths: [new URL("../../../proto/", import.meta.url)] });
    const { channel } = await pair(test, [implement(loaded.service("bench.v1.Echo"), { unary: (request) => request })]);
    const { count } = await createClient(Echo, channel).unary({ count: 5n });
    assert.equal(count, 5n);
  });

  it("finds imports below the folders, in order, and those of Google anywhere", async (test) => {
    const first = folder(test, { "a.proto": 'syntax = "proto3"; package a; message A { string first = 1; }' });
    const second = folder(test, {
      "a.proto": 'syntax = "proto3"; package a; message A { string second = 1; }',
      "b.proto": `
        syntax = "proto3"; package b;
        import "a.proto"; import "google/protobuf/empty.proto";
        service S { rpc M(a.A) returns (google.protobuf.Empty); }
      `,
    });
    const { registry, service } = loadProto("b.proto", { includePaths: [first, second] });
    assert.deepEqual(registry.getMessage("a.A")?.fields.map(({ name }) => name), ["first"]);
    const { channel } = await pair(test, [implement(service("b.S"), { m: () => ({}) })]);
    const answer = await createClient(service("b.S"), channel).m!({ first: "1" });
    assert.equal(answer.$typeName, "google.protobuf.Empty");
  });

  it("loads several files at once, and several times", async (test) => {
    const path = folder(test, {
      "a.proto": 'syntax = "proto3"; package a; message M {} service S { rpc R(M) returns (M); }',
      "b.proto": 'syntax = "proto2"; package b; message M { optional int32 n = 1 [default = 4]; }',
    });
    const files = [join(path, "a.proto"), join(path, "b.proto")];
    const { registry } = loadProto(files);
    assert.ok(registry.getMessage("b.M"));
    assert.ok(registry.getService("a.S"));
    assert.notEqual(loadProto(files).service("a.S"), registry.getService("a.S"));
  });

  it("makes messages for the details of errors", async (test) => {
    const { registry, service } = loadProto(SHOP);
    const Order = registry.getMessage("shop.v1.Order");
    assert.ok(Order);
    const { channel } = await pair(test, [
      implement(service("shop.v1.Orders"), {
        get: () => {
          throw new RpcError(Code.ABORTED, "sold", { details: [{ desc: Order, value: { id: 9n } }] });
        },
      }),
    ]);
    const error = await failure(createClient(service("shop.v1.Orders"), channel).get!({}));
    assert.equal((error.detail(Order) as { id?: bigint } | undefined)?.id, 9n);
  });

  it("says where a file is wrong", (test) => {
    const path = folder(test, { "wrong.proto": 'syntax = "proto3";\nmessage M {\n  strin name = 1;\n}\n' });
    const file = join(path, "wrong.proto");
    assert.throws(() => loadProto(file), (error: Error) => error.message.startsWith(`${file}:3:3: `));
    assert.throws(() => loadProto(join(path, "none.proto")), /none\.proto: no such file/);
    assert.throws(() => loadProto(file, { includePaths: [join(path, "none")] }), /none: the include folder does not exist/);
  });

  it("says which services there are", () => {
    assert.throws(() => loadProto(SHOP).service("shop.v1.Order"), {
      name: "TypeError",
      message: /orders\.proto: there is no service shop\.v1\.Order, only shop\.v1\.Orders$/,
    });
  });

  it("refuses what is no path", () => {
    assert.throws(() => loadProto(5 as never), { name: "TypeError", message: "files: paths are due, not number" });
    assert.throws(() => loadProto("a.proto", { includePaths: [null as never] }), {
      name: "TypeError",
      message: "includePaths: a path is due, not null",
    });
    assert.throws(() => loadProto([]), { name: "TypeError", message: "files: there is none" });
  });
});
