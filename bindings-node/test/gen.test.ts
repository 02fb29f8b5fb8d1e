import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, it, type TestContext } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { createClient, implement } from "spanwire";
import type { Echo } from "./gen/echo_pb.js";
import { collect, pair } from "./support.js";

const PACKAGE = fileURLToPath(new URL("../../", import.meta.url));
const PROTOS = join(PACKAGE, "../proto");
const COMMITTED = join(PACKAGE, "test/gen/echo_pb.ts");

/** A project with these files, which ends with the test. It has the generator, unless it brings other `node_modules`. */
function project(test: TestContext, files: Record<string, string> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), "spanwire-"));
  test.after(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  if (!Object.keys(files).some((name) => name.startsWith("node_modules/"))) {
    symlinkSync(join(PACKAGE, "node_modules"), join(folder, "node_modules"));
  }
  return folder;
}

function spanwire(cwd: string, ...args: string[]): { status: number | null; out: string; error: string } {
  const program = join(PACKAGE, "esm/cli.js");
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { cwd, encoding: "utf8" });
  return { status, out: stdout, error: stderr };
}

describe("spanwire gen", () => {
  it("generates what protoc and the plugin would", (test) => {
    const folder = project(test);
    const args = ["gen", "-I", PROTOS, "--out", "src/gen", join(PROTOS, "bench/v1/echo.proto")];
    const file = "src/gen/bench/v1/echo_pb.ts";
    assert.deepEqual(spanwire(folder, ...args), { status: 0, out: `wrote ${file}\n`, error: "" });
    assert.equal(readFileSync(join(folder, file), "utf8"), readFileSync(COMMITTED, "utf8"));
    assert.equal(spanwire(folder, ...args).out, "src/gen: all 1 files are up to date\n");
  });

  it("compares with --check, and writes nothing", (test) => {
    const folder = project(test, { "a.proto": 'syntax = "proto3"; message A {}' });
    const args = ["gen", "a.proto", "--out", ".", "--check"];
    const missing = spanwire(folder, ...args);
    assert.deepEqual(missing, { status: 1, out: "./a_pb.ts: missing\n", error: "1 file is not up to date; run spanwire gen\n" });
    assert.equal(spanwire(folder, "gen", "a.proto", "--out", ".").status, 0);
    assert.deepEqual(spanwire(folder, ...args), { status: 0, out: "", error: "" });
    writeFileSync(join(folder, "a.proto"), 'syntax = "proto3"; message A { int32 n = 1; }');
    const stale = spanwire(folder, ...args);
    assert.equal(stale.status, 1);
    assert.match(stale.out, /^\.\/a_pb\.ts:\d+: differs\n {2}on disk: /);
  });

  it("generates folders, and what is imported from others", (test) => {
    const folder = project(test, {
      "proto/a/a.proto": `
        syntax = "proto3"; package a;
        import "b/b.proto"; import "google/protobuf/timestamp.proto";
        message A { b.B b = 1; google.protobuf.Timestamp at = 2; }
      `,
      "shared/b/b.proto": 'syntax = "proto3"; package b; message B {}',
    });
    const { out } = spanwire(folder, "gen", "-I", "proto", "-I", "shared", "--out", "gen", "proto");
    assert.equal(out, "wrote gen/a/a_pb.ts\nwrote gen/b/b_pb.ts\n");
    const code = readFileSync(join(folder, "gen/a/a_pb.ts"), "utf8");
    assert.match(code, /from "\.\.\/b\/b_pb\.js"/);
    assert.match(code, /from "@bufbuild\/protobuf\/wkt"/);
  });

  it("gives JavaScript that clients and servers take", async (test) => {
    const folder = project(test);
    const { error } = spanwire(folder, "gen", "-I", PROTOS, "--out", "gen", "--opt", "target=js+dts", join(PROTOS, "bench"));
    assert.equal(error, "");
    assert.deepEqual(readdirSync(join(folder, "gen/bench/v1")), ["echo_pb.d.ts", "echo_pb.js"]);
    writeFileSync(join(folder, "package.json"), '{ "type": "module" }');
    const generated = (await import(pathToFileURL(join(folder, "gen/bench/v1/echo_pb.js")).href)) as { Echo: typeof Echo };
    const { channel } = await pair(test, [
      implement(generated.Echo, {
        unary: (request) => request,
        *down({ count }) {
          for (let n = 0n; n < count; n++) yield { count: n };
        },
        up: async (requests) => ({ count: BigInt((await collect(requests)).length) }),
        bidi: (requests) => requests,
      }),
    ]);
    const client = createClient(generated.Echo, channel);
    assert.equal((await client.unary({ count: 5n })).count, 5n);
    assert.deepEqual((await collect(client.down({ count: 2n }))).map(({ count }) => count), [0n, 1n]);
    assert.equal((await client.up([{}, {}, {}])).count, 3n);
    assert.equal((await collect(client.bidi([{ count: 9n }])))[0]?.count, 9n);
  });

  it("hands options on", (test) => {
    const folder = project(test, { "a.proto": 'syntax = "proto3"; import "b.proto"; message A { B b = 1; }', "b.proto": 'syntax = "proto3"; message B {}' });
    spanwire(folder, "gen", "a.proto", "--out", ".", "--opt", "import_extension=ts", "--opt", "json_types=true");
    const code = readFileSync(join(folder, "a_pb.ts"), "utf8");
    assert.match(code, /parameter "target=ts,import_extension=ts,json_types=true"/);
    assert.match(code, /from "\.\/b_pb\.ts"/);
    const wrong = spanwire(folder, "gen", "a.proto", "--out", ".", "--opt", "colour=red");
    assert.equal(wrong.status, 1);
    assert.match(wrong.error, /^protoc-gen-es: invalid option "colour=red"/);
  });

  it("says where a file is wrong", (test) => {
    const folder = project(test, {
      "proto/bad.proto": 'syntax = "proto3";\nmessage A {\n  Missing x = 1;\n}\n',
      "empty/readme.txt": "",
    });
    const cases: [string[], RegExp][] = [
      [["proto"], /^proto\/bad\.proto:3:3: name 'Missing' is not defined\n$/],
      [["none"], /^none: no such file\n$/],
      [["none.proto"], /^none\.proto: no such file\n$/],
      [["empty"], /^empty: no \.proto files in this folder\n$/],
      [["proto", "-I", "nowhere"], /^nowhere: the include folder does not exist\n$/],
    ];
    for (const [args, error] of cases) {
      const done = spanwire(folder, "gen", ...args, "--out", "gen");
      assert.equal(done.status, 1, args.join(" "));
      assert.match(done.error, error);
    }
    assert.deepEqual(readdirSync(folder).sort(), ["empty", "node_modules", "proto"]);
  });

  it("says what a file of an edition needs", (test) => {
    const folder = project(test, { "e.proto": '// Comment.\nedition = "2023";\nmessage M {}\n' });
    const args = [join(PACKAGE, "esm/cli.js"), "gen", "e.proto", "--out", "gen"];
    const { status, stderr } = spawnSync(process.execPath, args, { cwd: folder, env: { PATH: folder }, encoding: "utf8" });
    assert.equal(status, 1);
    assert.match(stderr, /^\.\/e\.proto:2:1: edition "2023" needs protoc, and there is none on PATH/);
  });

  it("explains wrong calls, and itself", (test) => {
    const folder = project(test);
    const cases: [string[], RegExp][] = [
      [["gen", "--lang", "node"], /^error: Unknown option '--lang'/],
      [["gen", "a.proto"], /^error: no folder to write to: give --out DIR\n/],
      [["gen", "--out", "gen"], /^error: nothing to generate from: name \.proto files or folders\n/],
      [["gen", "--out"], /^error: Option '--out <value>' argument missing/],
      [["gne"], /^error: there is no command "gne"\n/],
    ];
    for (const [args, error] of cases) {
      const done = spanwire(folder, ...args);
      assert.equal(done.status, 2, args.join(" "));
      assert.match(done.error, error);
    }
    assert.match(spanwire(folder, "gen", "--help").out, /--check +Write nothing/);
    assert.match(spanwire(folder, "--help").out, /gen +Generate code/);
    assert.equal(spanwire(folder).status, 2);
  });

  it("says which generator it needs", (test) => {
    const proto = { "a.proto": 'syntax = "proto3"; message A {}' };
    const bare = project(test, { ...proto, "node_modules/none": "" });
    assert.deepEqual(spanwire(bare, "gen", "a.proto", "--out", "."), {
      status: 1,
      out: "",
      error: "@bufbuild/protoc-gen-es is not installed here: npm install --save-dev @bufbuild/protoc-gen-es\n",
    });
    const old = project(test, {
      ...proto,
      "node_modules/@bufbuild/protoc-gen-es/package.json": '{ "version": "1.10.0", "bin": {} }',
    });
    assert.match(spanwire(old, "gen", "a.proto", "--out", ".").error, /^@bufbuild\/protoc-gen-es is of version 1\.10\.0, and 2 is needed/);
  });
});
