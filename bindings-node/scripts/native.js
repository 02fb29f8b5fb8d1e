// Builds the addon and puts it where the loader looks first. Arguments go to cargo: `npm run native -- --release`.
import { spawnSync } from "node:child_process";
import { copyFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(new URL("..", import.meta.url));
const args = process.argv.slice(2);

function cargo(...command) {
  const { status, stdout } = spawnSync("cargo", command, { cwd: here, stdio: ["inherit", "pipe", "inherit"] });
  if (status !== 0) process.exit(status ?? 1);
  return stdout.toString();
}

cargo("build", "-p", "spanwire-node", ...args);
const { target_directory: target } = JSON.parse(cargo("metadata", "--format-version", "1", "--no-deps"));
const profile = args.includes("--release") ? "release" : (args[args.indexOf("--profile") + 1] ?? "debug");
const file = { darwin: "libspanwire_node.dylib", win32: "spanwire_node.dll" }[process.platform] ?? "libspanwire_node.so";
// Renamed into place: a process that has the old one loaded keeps it.
copyFileSync(join(target, args.length === 0 ? "debug" : profile, file), join(here, "native", "spanwire.new"));
renameSync(join(here, "native", "spanwire.new"), join(here, "native", "spanwire.node"));
