import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { it } from "node:test";
import { fileURLToPath } from "node:url";

// A process of its own: what the tests keep is not to be seen.
it("memory does not grow with calls that end badly", () => {
  const program = fileURLToPath(new URL("soak.js", import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--expose-gc", program, "0.02"], { encoding: "utf8" });
  assert.equal(status, 0, stdout + stderr);
  assert.equal(stdout.trim().split("\n").length, 3, stdout);
});
