// Shows what loading the package adds to the start of a process. Reported, not judged: the machine may do other things.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const RUNS = 20;
const PROGRAMS = {
  "node alone": ["--eval", "0"],
  'require("spanwire")': ["--eval", 'require("spanwire")'],
  "node alone, a module": ["--input-type=module", "--eval", "0"],
  'import "spanwire"': ["--input-type=module", "--eval", 'import "spanwire"'],
  "its generated code alone": ["--input-type=module", "--eval", 'import "@bufbuild/protobuf/codegenv2"'],
};

const cwd = fileURLToPath(new URL("..", import.meta.url));
const times = new Map(Object.keys(PROGRAMS).map((name) => [name, []]));
// In turns, so that all of them meet the same machine.
for (let run = 0; run < RUNS; run++) {
  for (const [name, args] of Object.entries(PROGRAMS)) {
    const start = performance.now();
    if (spawnSync(process.execPath, args, { cwd, stdio: "inherit" }).status !== 0) process.exit(1);
    times.get(name).push(performance.now() - start);
  }
}
for (const [name, all] of times) {
  all.sort((a, b) => a - b);
  console.log(`${name}: ${all[RUNS / 2].toFixed(1)} ms (${all[0].toFixed(1)} at best)`);
}
