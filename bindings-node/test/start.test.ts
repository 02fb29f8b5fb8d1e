import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const PACKAGE = fileURLToPath(new URL("../../", import.meta.url));

/** The module that the package uses as an ES module, which does not export it. */
const protobuf = (await import(new URL("protobuf.js", import.meta.resolve("spanwire")).href)) as Record<string, unknown>;

/** What a CommonJS program prints. */
function commonJs(source: string): string {
  return execFileSync(process.execPath, ["--eval", source], { cwd: PACKAGE, encoding: "utf8" });
}

/** In a program: the modules of protobuf-es that it has loaded. */
const PROTOBUF = 'Object.keys(require.cache).filter((file) => file.includes("@bufbuild")).length';

// Modules are counted, not milliseconds: which are there is what a start costs.
describe("a start", () => {
  it("loads the package and nothing else", () => {
    const files = JSON.parse(
      commonJs('require("spanwire"); console.log(JSON.stringify(Object.keys(require.cache)))'),
    ) as string[];
    const others = files.filter((file) => !file.startsWith(`${PACKAGE}cjs/`) && !file.startsWith(`${PACKAGE}native/`));
    assert.deepEqual(others, []);
    assert.ok(files.length <= 38, `${files.length} modules`);
    assert.ok(!files.some((file) => /(cli|generate)\.js$/.test(file)));
  });

  it("loads few modules of Node", () => {
    const loaded = JSON.parse(
      commonJs(`
        const before = new Set(process.moduleLoadList);
        require("spanwire");
        console.log(JSON.stringify(process.moduleLoadList.filter((name) => !before.has(name))));
      `),
    ) as string[];
    // Those with which Node loads any package are not ours.
    assert.deepEqual(loaded.filter((name) => !name.startsWith("NativeModule internal/modules/")), []);
  });

  it("loads protobuf-es with the first message that is not bytes", () => {
    const output = commonJs(`
      const { Channel, createClient, implement, loadProto, Metadata, RpcError, serve } = require("spanwire");
      const path = "/a.B/C";
      (async () => {
        const handler = (request) => { if (request.length > 0) throw new RpcError(3, "no"); return request; };
        const server = await serve({ address: "127.0.0.1:0", services: [implement({ [path]: { kind: "unary", handler } })] });
        const channel = new Channel(server.target);
        await channel.unary(path, new Uint8Array(), { metadata: new Metadata({ a: "b" }) });
        await channel.unary(path, new Uint8Array(1)).catch((error) => console.log(error.message));
        console.log(${PROTOBUF});
        channel.close();
        await server.close();
        loadProto(${JSON.stringify(`${PACKAGE}../proto/bench/v1/echo.proto`)});
        console.log(${PROTOBUF} > 0);
      })();
    `);
    assert.equal(output, "INVALID_ARGUMENT: no\n0\ntrue\n");
  });

  it("has the same of protobuf-es in both forms", () => {
    const lazy = JSON.parse(
      commonJs(`console.log(JSON.stringify(Object.entries(require("./cjs/protobuf.js")).map(([name, is]) => [name, typeof is])))`),
    ) as [string, string][];
    const names = (entries: [string, string][]): [string, string][] => entries.sort(([a], [b]) => (a < b ? -1 : 1));
    assert.deepEqual(names(lazy), names(Object.entries(protobuf).map(([name, is]) => [name, typeof is])));
  });
});
