// Builds and packs a release for this machine, and fails if what it installs is too large: the package and one addon. protobuf-es,
// which generated code needs, is shown beside it.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const MOST_BYTES = 6_150_000;

process.chdir(new URL("..", import.meta.url).pathname);
const { status, stdout } = spawnSync("cargo", ["build", "--release", "-p", "spanwire-node", "--message-format", "json"], {
  stdio: ["ignore", "pipe", "inherit"],
  encoding: "utf8",
  maxBuffer: Infinity,
});
if (status !== 0) process.exit(status ?? 1);
const built = stdout.split("\n").filter(Boolean).map((line) => JSON.parse(line)).find(({ target }) => target?.name === "spanwire_node");
const host = /host: (\S+)/.exec(execFileSync("rustc", ["-vV"], { encoding: "utf8" }))[1];

const out = mkdtempSync(join(tmpdir(), "spanwire-"));
execFileSync(process.execPath, ["scripts/pack.js", out, `${host}=${built.filenames.at(-1)}`]);

function bytesBelow(folder) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return entries.reduce((sum, entry) => sum + statSync(join(entry.parentPath, entry.name)).size, 0);
}

let sum = 0;
for (const tarball of readdirSync(out)) {
  const folder = mkdtempSync(join(out, "unpacked-"));
  execFileSync("tar", ["-xzf", join(out, tarball), "-C", folder]);
  const bytes = bytesBelow(folder);
  sum += bytes;
  console.log(`${tarball}: ${bytes} bytes installed, ${statSync(join(out, tarball)).size} to download`);
}
rmSync(out, { recursive: true });
console.log(`together: ${sum} bytes; ${MOST_BYTES} are the most`);
console.log(`@bufbuild/protobuf, beside them: ${bytesBelow("node_modules/@bufbuild/protobuf")} bytes`);
if (sum > MOST_BYTES) process.exitCode = 1;
