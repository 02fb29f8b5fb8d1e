// Writes the packages of the platforms, one addon each, from those that were built: node scripts/platforms.js OUT TRIPLE=FILE...
// What is published together has one version; the main package names them all as optional dependencies.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** By the target of Rust: what npm and the loader know the platform by. */
const PLATFORMS = {
  "aarch64-apple-darwin": { name: "darwin-arm64", os: "darwin", cpu: "arm64" },
  "aarch64-unknown-linux-gnu": { name: "linux-arm64-gnu", os: "linux", cpu: "arm64", libc: "glibc" },
  "aarch64-unknown-linux-musl": { name: "linux-arm64-musl", os: "linux", cpu: "arm64", libc: "musl" },
  "x86_64-apple-darwin": { name: "darwin-x64", os: "darwin", cpu: "x64" },
  "x86_64-pc-windows-msvc": { name: "win32-x64-msvc", os: "win32", cpu: "x64" },
  "x86_64-unknown-linux-gnu": { name: "linux-x64-gnu", os: "linux", cpu: "x64", libc: "glibc" },
  "x86_64-unknown-linux-musl": { name: "linux-x64-musl", os: "linux", cpu: "x64", libc: "musl" },
};

const [out, ...built] = process.argv.slice(2);
const main = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
const { version, license, repository, engines } = main;

for (const argument of built) {
  const [target, file] = argument.split("=");
  const { name, os, cpu, libc } = PLATFORMS[target] ?? {};
  if (name === undefined) throw new Error(`${target} is none of ${Object.keys(PLATFORMS).join(", ")}`);
  const folder = join(out, name);
  mkdirSync(folder, { recursive: true });
  copyFileSync(file, join(folder, "spanwire.node"));
  const manifest = {
    name: `spanwire-${name}`,
    version,
    description: `The addon of spanwire for ${name}`,
    license,
    repository,
    engines,
    os: [os],
    cpu: [cpu],
    ...(libc && { libc: [libc] }),
    main: "spanwire.node",
    files: ["spanwire.node"],
  };
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, undefined, 2)}\n`);
}
// The main package as it is published: without what only its development needs.
const names = Object.values(PLATFORMS).map(({ name }) => [`spanwire-${name}`, version]);
const { devDependencies: _, scripts: __, ...published } = main;
const manifest = { ...published, optionalDependencies: Object.fromEntries(names) };
writeFileSync(join(out, "package.json"), `${JSON.stringify(manifest, undefined, 2)}\n`);
