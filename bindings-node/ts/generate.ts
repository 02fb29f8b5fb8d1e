import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import native from "../native/index.cjs";

/** Why a command ends without success: 1, it could not be done; 2, it was called wrongly. */
export interface Failure {
  code: 1 | 2;
  message: string;
}

const HELP = `Generate code for messages and services from .proto files

Usage: spanwire gen [OPTIONS] FILE_OR_DIR...

For each file there is one of the same name: orders_pb.ts for orders.proto. Files that are only imported are generated, too, but
for google/protobuf/*.proto. The generator is @bufbuild/protoc-gen-es, version 2, of the project:

  npm install --save-dev @bufbuild/protoc-gen-es

Arguments:
  FILE_OR_DIR...       .proto files, and folders whose .proto files are all taken

Options:
      --out DIR        Folder to write to; it is made if it is missing
  -I, --include DIR    Folder to search imports in; may be repeated [default: the given folders, and the folders of the
                       given files]
      --opt KEY=VALUE  Option of protoc-gen-es; may be repeated [default: target=ts and import_extension=js]
      --check          Write nothing; compare with what is on disk, print what differs, and exit with 1 if anything does
  -h, --help           Print this
`;

/** Options of protoc-gen-es, where nothing else is said. */
const DEFAULTS = ["target=ts", "import_extension=js"];

const GENERATOR = "@bufbuild/protoc-gen-es";

/** `spanwire gen`, with its arguments. Nothing, if it was done. */
export function gen(args: readonly string[]): Failure | undefined {
  let given;
  try {
    given = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        out: { type: "string" },
        include: { type: "string", short: "I", multiple: true, default: [] },
        opt: { type: "string", multiple: true, default: [] },
        check: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    });
  } catch (error) {
    return usage((error as Error).message);
  }
  const { out, include, opt, check, help } = given.values;
  if (help) {
    process.stdout.write(HELP);
    return undefined;
  }
  if (given.positionals.length === 0) return usage("nothing to generate from: name .proto files or folders");
  if (out === undefined) return usage("no folder to write to: give --out DIR");
  try {
    const request = native.pluginRequest(given.positionals, include, parameterOf(opt));
    const [text, differences] = native.takeGenerated(generate(request), out, check);
    process.stdout.write(text);
    if (differences === 0) return undefined;
    const files = differences === 1 ? "1 file is" : `${differences} files are`;
    return { code: 1, message: `${files} not up to date; run spanwire gen` };
  } catch (error) {
    return { code: 1, message: (error as Error).message };
  }
}

function usage(message: string): Failure {
  return { code: 2, message: `error: ${message}\n\nFor more information, try 'npx spanwire gen --help'.` };
}

/** The options, behind the defaults that they do not change. */
function parameterOf(options: readonly string[]): string {
  const keyOf = (option: string): string => option.split("=", 1)[0]!;
  const changed = new Set(options.map(keyOf));
  return [...DEFAULTS.filter((option) => !changed.has(keyOf(option))), ...options].join(",");
}

/** The answer of the project's generator. */
function generate(request: Uint8Array): Uint8Array {
  const { status, error, stdout, stderr } = spawnSync(process.execPath, [generator()], {
    input: request,
    maxBuffer: Infinity,
  });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(stderr.toString().trimEnd() || `${GENERATOR} ended with ${status}`);
  return stdout;
}

/** The program of the generator, as the current folder's project has it. */
function generator(): string {
  let path;
  try {
    path = createRequire(resolve("package.json")).resolve(`${GENERATOR}/package.json`);
  } catch {
    throw new Error(`${GENERATOR} is not installed here: npm install --save-dev ${GENERATOR}`);
  }
  const { version, bin } = JSON.parse(readFileSync(path, "utf8")) as { version: string; bin: Record<string, string> };
  if (!version.startsWith("2.")) {
    throw new Error(`${GENERATOR} is of version ${version}, and 2 is needed: npm install --save-dev ${GENERATOR}@2`);
  }
  return join(dirname(path), bin["protoc-gen-es"]!);
}
