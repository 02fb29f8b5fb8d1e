// Runs the suites against servers, in Node and in Chromium: node driver.mjs CONFIG, a file of JSON. `run.py` writes it.
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { chromium } from "playwright-core";

const HERE = fileURLToPath(new URL(".", import.meta.url));

/** Most bytes of our client as pages load it, without messages. */
const MOST_BYTES = 12 * 1024;

const { browser: executablePath, generated, out, pagePort, servers } = JSON.parse(readFileSync(process.argv[2], "utf8"));
let good = true;

function say(line) {
  console.log(line);
}

function tell(where, results) {
  const failed = results.filter(({ failure }) => failure !== undefined);
  for (const { name, failure } of failed) say(`FAIL ${where}: ${name}: ${failure}`);
  if (failed.length > 0) good = false;
  const ms = results.reduce((sum, { ms }) => sum + ms, 0);
  say(`${failed.length === 0 ? "ok" : "FAIL"} ${where}: ${results.length - failed.length} of ${results.length} cases (${(ms / 1000).toFixed(1)} s)`);
}

/** A bundle, as programs and pages make them. */
async function bundle(entry, outfile, options = {}) {
  await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    format: "esm",
    target: "es2022",
    platform: "browser",
    nodePaths: [join(HERE, "node_modules")],
    alias: { testing: join(generated, "grpc/testing/test_pb.js") },
    logLevel: "warning",
    ...options,
  });
  return readFileSync(outfile);
}

async function size() {
  const file = join(out, "size.mjs");
  const bytes = await bundle("spanwire/web", file, { minify: true, external: ["@bufbuild/protobuf", "@bufbuild/protobuf/*"] });
  const zipped = gzipSync(bytes, { level: 9 }).length;
  const text = bytes.toString();
  const failure =
    zipped > MOST_BYTES ? `${zipped} bytes, more than ${MOST_BYTES}` : /["']node:|\brequire\(/.test(text) ? "it needs Node" : undefined;
  tell(`spanwire/web is ${zipped} bytes, min+gzip`, [{ name: "size", failure, ms: 0 }]);
}

/** A connection to a server that can be cut. */
async function proxyTo(url) {
  const sockets = new Set();
  const proxy = createServer((socket) => {
    const onward = connect(Number(new URL(url).port), "127.0.0.1");
    for (const one of [socket, onward]) {
      sockets.add(one);
      one.on("error", () => {}).on("close", () => {
        sockets.delete(one);
        socket.destroy();
        onward.destroy();
      });
    }
    socket.pipe(onward).pipe(socket);
  });
  proxy.listen(0, "127.0.0.1");
  await once(proxy, "listening");
  const cut = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  return { url: `http://127.0.0.1:${proxy.address().port}`, cut, close: () => proxy.close() };
}

/** The pages that call: one with the suites, from each host name. */
function servePages(script) {
  const pages = createHttpServer((request, response) => {
    const isScript = request.url === "/suites.mjs";
    response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
    response.end(isScript ? script : '<!doctype html><title>tests</title><script type="module" src="suites.mjs"></script>');
  });
  pages.listen(pagePort, "127.0.0.1");
  return pages;
}

async function openPage(browser, host, cut) {
  const page = await browser.newPage();
  await page.exposeFunction("cut", cut);
  await page.goto(`http://${host}:${pagePort}/`);
  await page.waitForFunction(() => globalThis.runSuite !== undefined);
  return page;
}

async function meet({ name, url, ...facts }, browser, runSuite) {
  const proxy = await proxyTo(url);
  const context = { url, proxied: proxy.url, ...facts };
  const inPage = async (host, suite) => {
    const page = await openPage(browser, host, proxy.cut);
    const results = await page.evaluate(([suite, context]) => runSuite(suite, { ...context, cut: globalThis.cut }), [suite, context]);
    tell(`${suite} in Chromium, ${name}`, results);
    await page.close();
  };
  for (const suite of ["spanwire/web", "connect-web"]) {
    tell(`${suite} in Node, ${name}`, await runSuite(suite, { ...context, cut: async () => proxy.cut() }));
  }
  for (const suite of ["spanwire/web", "connect-web", "grpc-web, binary", "grpc-web, text"]) {
    if (!facts.lacks?.includes(suite)) await inPage("127.0.0.1", suite);
  }
  await inPage("localhost", "a page that may not call");
  proxy.close();
}

await size();
const file = join(out, "suites.mjs");
const script = await bundle(join(HERE, "suites.mjs"), file);
const { runSuite } = await import(pathToFileURL(file).href);
const pages = servePages(script);
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
for (const server of servers) await meet(server, browser, runSuite);
await browser.close();
pages.close();
process.exit(good ? 0 : 1);
