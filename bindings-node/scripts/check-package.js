// Has the tools of the npm world look at the package as it is published: its manifest, and its types in every way to import it.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

process.chdir(new URL("..", import.meta.url).pathname);
const out = mkdtempSync(join(tmpdir(), "spanwire-"));

function run(program, ...args) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args]);
  if (status === 0) return;
  process.stderr.write(Buffer.concat([stdout, stderr]));
  process.exitCode = 1;
}

run("scripts/pack.js", out);
const [tarball] = readdirSync(out);
run("node_modules/publint/src/cli.js", "run", "--strict", join(out, tarball));
run("node_modules/@arethetypeswrong/cli/dist/index.js", "--no-emoji", "--format", "ascii", join(out, tarball));
rmSync(out, { recursive: true });
