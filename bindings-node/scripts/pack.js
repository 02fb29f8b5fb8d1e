// Packs what is published: node scripts/pack.js OUT TRIPLE=ADDON... writes to OUT the tarball of the package, from what was built,
// and one for each platform whose addon is given. All have one version; the package names all platforms as optional dependencies.
import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

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

const here = fileURLToPath(new URL("..", import.meta.url));
const [out, ...built] = process.argv.slice(2);
const { devDependencies: _, scripts: __, ...main } = JSON.parse(readFileSync(join(here, "package.json"), "utf8"));
const { version, license, repository, engines } = main;
const work = mkdtempSync(join(tmpdir(), "spanwire-pack-"));

/** Packs a folder of these files, which `fill` puts there, and the licenses. */
function pack(manifest, fill) {
  const folder = join(work, manifest.name);
  mkdirSync(folder);
  for (const text of ["LICENSE-APACHE", "LICENSE-MIT"]) copyFileSync(join(here, "..", text), join(folder, text));
  writeFileSync(join(folder, "package.json"), `${JSON.stringify(manifest, undefined, 2)}\n`);
  fill(folder);
  execFileSync("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", resolve(out)], {
    cwd: folder,
    stdio: ["ignore", "ignore", "inherit"],
    shell: process.platform === "win32",
  });
}

mkdirSync(out, { recursive: true });
const names = Object.values(PLATFORMS).map(({ name }) => [`spanwire-${name}`, version]);
pack({ ...main, optionalDependencies: Object.fromEntries(names) }, (folder) => {
  for (const path of [...main.files, "README.md"]) cpSync(join(here, path), join(folder, path), { recursive: true });
});
for (const argument of built) {
  const [target, file] = argument.split("=");
  const { name, os, cpu, libc } = PLATFORMS[target] ?? {};
  if (name === undefined) throw new Error(`${target} is none of ${Object.keys(PLATFORMS).join(", ")}`);
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
  pack(manifest, (folder) => {
    const addon = join(folder, "spanwire.node");
    copyFileSync(file, addon);
    // Symbols are a sixth of it. On Windows they are in a file of their own.
    if (os !== "win32") execFileSync(process.env.STRIP ?? "strip", os === "darwin" ? ["-x", addon] : [addon]);
  });
}
rmSync(work, { recursive: true });
