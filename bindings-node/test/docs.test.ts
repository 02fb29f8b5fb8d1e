// Follows docs/node.md as a reader would: its files and commands in order, then each snippet against a shop, and those of
// docs/server.md, docs/security.md and docs/web.md. And the programs in the README of the package.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { Channel, Code, implement, loadProto, RpcError, type Server, serve } from "spanwire";

const PACKAGE = fileURLToPath(new URL("../../", import.meta.url));
const ROOT = join(PACKAGE, "..");
const SHOP = join(ROOT, "proto/examples/shop/v1/orders.proto");

interface Block {
  /** The document. */
  guide: string;
  language: string;
  /** The number of the first line. */
  line: number;
  code: string;
  /** The name of the file that a block is, if it begins with one. */
  name: string | undefined;
  heading: string;
}

function blocksOf(guide: string): Block[] {
  const text = readFileSync(join(ROOT, `docs/${guide}.md`), "utf8");
  return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map((found) => {
    const before = text.slice(0, found.index);
    const code = found[2]!;
    return {
      guide,
      language: found[1]!,
      line: before.split("\n").length + 1,
      code,
      name: /^(?:\/\/|#) ([\w./-]+\.\w+)\n/.exec(code)?.[1],
      heading: [...before.matchAll(/^## (.*)$/gm)].at(-1)?.[1] ?? "",
    };
  });
}

const blocks = blocksOf("node");
const snippets = [...blocks, ...blocksOf("server"), ...blocksOf("security"), ...blocksOf("web")].filter(({ language, name }) => language === "ts" && name === undefined);
const commands = blocks.filter(({ language }) => language === "sh").flatMap(({ code }) => code.trimEnd().split("\n"));
// Installing is done already, in another way.
const run = commands.filter((line) => !line.startsWith("npm "));

/** The whole programs of the README. */
const programs = [...readFileSync(join(PACKAGE, "README.md"), "utf8").matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code!);

/** A snippet as a module: what the guide says is imported is, and it has a client of the shop. */
function moduleOf({ code, line, guide, heading }: Block): string {
  if (guide === "web" && heading === "Clients") return webModuleOf(code, line);
  // So that the compiler's lines are those of the guide.
  const head = `/* eslint-disable */ import assert from "node:assert/strict"; import { X509Certificate } from "node:crypto"; import { Channel, Code, createClient, implement, loadProto, Metadata, only, RpcError, serve, setLogger, uncompressed, type Context, type Interceptor, type ServerInterceptor } from "spanwire"; import { Orders, OrderSchema, State, type GetOrder } from "../gen/shop/v1/orders_pb.js"; export async function run(channel: Channel) { const orders = createClient(Orders, channel);`;
  return `${"\n".repeat(line - 2)}${head}\n${code}}\n`;
}

/** The same for a snippet of a page, whose client is one of gRPC-Web. */
function webModuleOf(code: string, line: number): string {
  const head = `/* eslint-disable */ import assert from "node:assert/strict"; import { Channel, Code, createClient, RpcError, type Interceptor } from "spanwire/web"; import { Orders, State } from "../gen/shop/v1/orders_pb.js"; export async function run(_: unknown, url: string) { const channel = new Channel(url); const orders = createClient(Orders, channel); {`;
  return `${"\n".repeat(line - 2)}${head}\n${code}}}\n`;
}

/** A shop as the guide has it. */
async function shop(): Promise<Server> {
  const handlers = {
    get({ id }: { id: bigint }, context: import("spanwire").Context): unknown {
      if (id === 0n) throw new RpcError(Code.NOT_FOUND, "there is no order 0");
      if (id === 99n) return new Promise((_, reject) => context.signal.addEventListener("abort", () => reject(context.signal.reason)));
      const given = context.metadata.get("x-request-id");
      if (given !== undefined) context.headers.set("x-request-id", given);
      context.trailers.set("x-cost", "1");
      return { id, state: 2 };
    },
    watch: () => [{ state: 2 }, { state: 3 }],
    async place(requests: AsyncIterable<unknown>) {
      const lines = [];
      for await (const line of requests) lines.push(line);
      return { id: 7n, lines };
    },
    async *quote(requests: AsyncIterable<{ article: string; pieces: number }>) {
      for await (const { article, pieces } of requests) yield { article, cents: 10n * BigInt(pieces) };
    },
  };
  const services = [implement(loadProto(SHOP).service("shop.v1.Orders"), handlers)];
  return serve({ address: "127.0.0.1:0", services, web: { origins: [] } });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

describe("the guide", () => {
  let reader = "";
  let server: Server | undefined;
  let channel: Channel;
  const ports = new Map<string, number>();

  /** What a shell prints. */
  function shell(script: string): string {
    // Its tests are no part of these.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    return execFileSync("bash", ["-euc", script], { cwd: reader, env, encoding: "utf8", timeout: 120_000 });
  }

  before(async () => {
    reader = mkdtempSync(join(tmpdir(), "spanwire-"));
    // What installing has made.
    mkdirSync(join(reader, "node_modules/.bin"), { recursive: true });
    symlinkSync(PACKAGE, join(reader, "node_modules/spanwire"));
    for (const name of ["@bufbuild", "@types", "typescript", "undici-types"]) {
      symlinkSync(join(PACKAGE, "node_modules", name), join(reader, "node_modules", name));
    }
    for (const [name, file] of [["spanwire", "spanwire/esm/cli.js"], ["tsc", "typescript/bin/tsc"]] as const) {
      writeFileSync(join(reader, "node_modules/.bin", name), `#!/bin/sh\nexec node "${reader}/node_modules/${file}" "$@"\n`, { mode: 0o755 });
    }
    writeFileSync(join(reader, "package.json"), '{ "type": "module" }');
    // Others may use the ports of the guide.
    for (const port of ["50051", "50052"]) ports.set(port, await freePort());
    for (const { name, code } of blocks) {
      if (name === undefined) continue;
      mkdirSync(dirname(join(reader, name)), { recursive: true });
      writeFileSync(join(reader, name), code.replace(/5005\d/g, (port) => String(ports.get(port))));
    }
    mkdirSync(join(reader, "snippets"));
    for (const snippet of snippets) writeFileSync(join(reader, `snippets/${snippet.guide}_${snippet.line}.ts`), moduleOf(snippet));
    programs.forEach((code, i) => writeFileSync(join(reader, `readme_${i}.ts`), code.replaceAll("50051", String(ports.get("50051")))));
    cpSync(join(ROOT, "proto/examples/greeter"), join(reader, "proto/greeter"), { recursive: true });
    execFileSync(join(ROOT, "ffi-c/tests/certs.sh"), [join(reader, "made")], { stdio: "pipe" });
    for (const name of ["ca.pem", "server.pem", "server.key", "client.pem", "client.key", "keys.json", "token"]) cpSync(join(reader, "made", name), join(reader, name));
    server = await shop();
    channel = new Channel(server.target);
    process.chdir(reader);
  });
  after(async () => {
    process.chdir("/");
    channel.close();
    await server?.close({ graceMs: 0 });
    rmSync(reader, { recursive: true });
  });

  it("has the service of the examples", () => {
    const ours = blocks.find(({ language }) => language === "proto")?.code ?? "";
    assert.equal(ours.slice(ours.indexOf("\n") + 1), readFileSync(SHOP, "utf8"));
  });

  it("has commands that do what it says", () => {
    const printed = shell(`trap 'kill $(jobs -p)' EXIT\n${run.join("\n")}`);
    const lines = printed.split("\n");
    assert.ok(lines.includes("wrote gen/shop/v1/orders_pb.ts"), printed);
    assert.ok(lines.includes("order 7 is PAID"), printed);
    assert.ok(lines.includes("order 7"), printed);
    assert.ok(lines.includes("a thread got order 7"), printed);
    assert.match(printed, /\bpass 1$/m);
  });

  it("begins as the README says", async () => {
    assert.equal(programs.length, 2);
    assert.equal(shell("node dist/readme_0.js"), "hello you\n");
    const { service } = loadProto("proto/greeter/v1/greeter.proto");
    const services = [implement(service("greeter.v1.Greeter"), { greet: ({ name }: { name: string }) => ({ text: `hi ${name}` }) })];
    const server = await serve({ address: `127.0.0.1:${ports.get("50051")}`, services });
    const program = spawn(process.execPath, ["dist/readme_1.js"], { stdio: ["ignore", "pipe", "inherit"] });
    assert.equal(Buffer.concat(await program.stdout.toArray()).toString(), "hi you\n");
    await server.close();
  });

  it("has a cluster that serves and ends", async () => {
    const cluster = spawn(process.execPath, ["dist/cluster.js"], { stdio: "inherit" });
    const exit = once(cluster, "exit");
    using channel = new Channel(`127.0.0.1:${ports.get("50052")}`);
    await channel.unary("/shop.v1.Orders/Get", new Uint8Array(), { waitForReady: true, timeoutMs: 20_000 });
    cluster.kill("SIGTERM");
    assert.deepEqual(await exit, [0, null]);
  });

  for (const { guide, line, heading } of snippets) {
    it(`has a snippet that runs: ${guide}.md, ${heading}, line ${line}`, { timeout: 60_000 }, async () => {
      const file = pathToFileURL(join(reader, `dist/snippets/${guide}_${line}.js`)).href;
      const { run } = (await import(file)) as { run: (channel: Channel, url: string) => Promise<void> };
      await run(channel, `http://127.0.0.1:${server!.port}`);
    });
  }
});
