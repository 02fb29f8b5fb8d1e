import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";

const PACKAGE = fileURLToPath(new URL("../../", import.meta.url));

/** The largest that the package may be without addons. */
const MOST_BYTES = 460_000;

/** The files below a folder. */
function filesOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}

describe("the package", () => {
  let project = "";

  function node(...args: string[]): string {
    return execFileSync(process.execPath, args, { cwd: project, encoding: "utf8" });
  }

  function npm(...args: string[]): string {
    return execFileSync("npm", args, { cwd: project, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  }

  before(() => {
    project = mkdtempSync(join(tmpdir(), "spanwire-"));
    const { arch, platform } = process;
    const cpu = { arm64: "aarch64", x64: "x86_64" }[arch as string];
    const target = platform === "darwin" ? `${cpu}-apple-darwin` : `${cpu}-unknown-linux-gnu`;
    const addon = `${target}=${join(PACKAGE, "native/spanwire.node")}`;
    execFileSync(process.execPath, [join(PACKAGE, "scripts/pack.js"), join(project, "packed"), addon]);
    // What its users get from the registry, from where it was installed to already.
    for (const name of ["@bufbuild/protobuf", "@types/node", "undici-types"]) {
      npm("pack", "--silent", "--ignore-scripts", "--pack-destination", "packed", join(PACKAGE, "node_modules", name));
    }
    writeFileSync(join(project, "package.json"), '{ "private": true }');
    const tarballs = readdirSync(join(project, "packed")).map((name) => `./packed/${name}`);
    npm("install", "--silent", "--offline", "--no-audit", "--no-fund", ...tarballs);
  });
  after(() => rmSync(project, { recursive: true }));

  it("installs into an empty folder, with the addon of this platform alone", () => {
    const installed = readdirSync(join(project, "node_modules")).filter((name) => name.startsWith("spanwire"));
    assert.equal(installed.length, 2, installed.join(", "));
    assert.match(installed[1]!, new RegExp(`^spanwire-${process.platform}-${process.arch}`));
    const files = filesOf(join(project, "node_modules/spanwire"));
    assert.deepEqual(files.filter((file) => file.endsWith(".node")), []);
    const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0);
    assert.ok(bytes <= MOST_BYTES, `${bytes} bytes`);
  });

  it("names every platform's package, of its own version", () => {
    const manifest = (name: string): Record<string, unknown> =>
      JSON.parse(readFileSync(join(project, "node_modules", name, "package.json"), "utf8")) as Record<string, unknown>;
    const main = manifest("spanwire");
    const optional = main.optionalDependencies as Record<string, string>;
    assert.deepEqual(Object.keys(optional).sort(), [
      "spanwire-darwin-arm64",
      "spanwire-darwin-x64",
      "spanwire-linux-arm64-gnu",
      "spanwire-linux-arm64-musl",
      "spanwire-linux-x64-gnu",
      "spanwire-linux-x64-musl",
      "spanwire-win32-x64-msvc",
    ]);
    for (const [name, version] of Object.entries(optional)) assert.equal(version, main.version, name);
    assert.equal(main.devDependencies, undefined);
    assert.equal(main.scripts, undefined);
  });

  // All kinds of programs: what they print is the same.
  const program = `
async function main() {
  const server = await serve({ address: "127.0.0.1:0", services: [implement(Echo, { unary: (request) => request })] });
  const channel = new Channel(server.target);
  const { count } = await createClient(Echo, channel).unary({ count: 7n });
  console.log(String(count));
  channel.close();
  await server.close();
}
void main();
`;
  const names = "Channel, createClient, implement, serve";
  const load = `loadProto(${JSON.stringify(join(PACKAGE, "../proto/bench/v1/echo.proto"))}).service("bench.v1.Echo")`;

  it("works as an ES module", () => {
    writeFileSync(join(project, "a.mjs"), `import { ${names}, loadProto } from "spanwire";\nconst Echo = ${load};\n${program}`);
    assert.equal(node("a.mjs"), "7\n");
  });

  it("works as CommonJS", () => {
    writeFileSync(join(project, "a.cjs"), `const { ${names}, loadProto } = require("spanwire");\nconst Echo = ${load};\n${program}`);
    assert.equal(node("a.cjs"), "7\n");
  });

  for (const [kind, module, moduleResolution] of [
    ["module", "node16", "node16"],
    ["commonjs", "node16", "node16"],
    ["module", "esnext", "bundler"],
  ] as const) {
    it(`works from TypeScript: "${kind}", resolved as ${moduleResolution}`, () => {
      const folder = join(project, `${kind}-${moduleResolution}`);
      mkdirSync(folder);
      writeFileSync(join(folder, "package.json"), JSON.stringify({ type: kind }));
      cpSync(join(PACKAGE, "test/gen/echo_pb.ts"), join(folder, "echo_pb.ts"));
      const imports = `import { ${names} } from "spanwire";\nimport { Echo } from "./echo_pb.js";\n`;
      writeFileSync(join(folder, "main.ts"), imports + program);
      const options = { strict: true, target: "es2022", types: ["node"], module, moduleResolution, rootDir: ".", outDir: "out" };
      writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions: options, files: ["main.ts"] }));
      node(join(PACKAGE, "node_modules/typescript/bin/tsc"), "--project", folder);
      writeFileSync(join(folder, "out/package.json"), JSON.stringify({ type: kind }));
      assert.equal(node(join(folder, "out/main.js")), "7\n");
    });
  }

  it("has a client for browsers, without the addon and without types of Node", () => {
    const use = 'console.log(new Channel("https://a.example/").target);';
    const loaded = "console.log(process.report.getReport().sharedObjects.filter((name) => name.endsWith('.node')).length);";
    writeFileSync(join(project, "web.mjs"), `import { Channel } from "spanwire/web";\n${use}\n${loaded}`);
    writeFileSync(join(project, "web.cjs"), `const { Channel } = require("spanwire/web");\n${use}\n${loaded}`);
    for (const program of ["web.mjs", "web.cjs"]) assert.equal(node(program), "https://a.example/\n0\n", program);
    cpSync(join(PACKAGE, "test/gen/echo_pb.ts"), join(project, "echo_pb.ts"));
    const page = `import { Channel, createClient, type Call } from "spanwire/web";
import { Echo, type Block } from "./echo_pb.js";
const echo = createClient(Echo, new Channel("/", { credentials: "include", fetch: window.fetch }));
const call: Call<Block> = echo.unary({}, { timeoutMs: 1000 });
call.then(({ body }) => document.append(String(body.length)));
// @ts-expect-error -- No option of gRPC-Web.
void echo.unary({}, { waitForReady: true });
`;
    writeFileSync(join(project, "page.ts"), page);
    for (const [module, moduleResolution] of [["node16", "node16"], ["esnext", "bundler"]]) {
      const options = { strict: true, target: "es2022", lib: ["es2022", "dom", "dom.iterable"], types: [], noEmit: true, module, moduleResolution };
      writeFileSync(join(project, "tsconfig.json"), JSON.stringify({ compilerOptions: options, files: ["page.ts"] }));
      node(join(PACKAGE, "node_modules/typescript/bin/tsc"), "--project", project);
    }
  });

  it("brings the command along", () => {
    assert.match(execFileSync("npx", ["spanwire", "gen", "--help"], { cwd: project, encoding: "utf8" }), /^Generate code/);
  });
});
