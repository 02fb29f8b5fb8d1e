// Builds the package from TypeScript: once as ES modules, once as CommonJS.
import { spawnSync } from "node:child_process";
import { copyFileSync, rmSync, writeFileSync } from "node:fs";

function tsc(project) {
  const { status } = spawnSync(process.execPath, ["node_modules/typescript/bin/tsc", "--project", project], {
    stdio: "inherit",
  });
  if (status !== 0) process.exit(status ?? 1);
}

process.chdir(new URL("..", import.meta.url).pathname);
for (const folder of ["cjs", "esm"]) rmSync(folder, { recursive: true, force: true });
tsc("tsconfig.json");
tsc("tsconfig.cjs.json");
copyFileSync("scripts/protobuf.cjs", "cjs/protobuf.js");
// What stands in a folder without a package.json of its own is an ES module here.
writeFileSync("cjs/package.json", '{ "type": "commonjs" }\n');
