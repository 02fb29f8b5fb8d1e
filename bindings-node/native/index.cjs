// Loads the addon: one built here, else that of the package for this platform.
"use strict";

const { existsSync, readFileSync } = require("node:fs");
const { join } = require("node:path");

function isMusl() {
  try {
    return readFileSync("/usr/bin/ldd", "latin1").includes("musl");
  } catch {
    return process.report.getReport().header.glibcVersionRuntime === undefined;
  }
}

/** The name of the platform, as in the names of the packages. */
function platform() {
  const { platform: system, arch } = process;
  if (system === "linux") return `linux-${arch}-${isMusl() ? "musl" : "gnu"}`;
  if (system === "win32") return `win32-${arch}-msvc`;
  return `${system}-${arch}`;
}

function load() {
  const built = join(__dirname, "spanwire.node");
  if (existsSync(built)) return require(built);
  const name = `spanwire-${platform()}`;
  try {
    return require(name);
  } catch (cause) {
    throw new Error(
      `spanwire has no addon for this platform, or it was not installed: ${name} is an optional dependency, which ` +
        "npm leaves out with --omit=optional, and when node_modules was made on another platform",
      { cause },
    );
  }
}

module.exports = load();
