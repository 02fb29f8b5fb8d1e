import { fileURLToPath } from "node:url";
import type { DescService, FileRegistry } from "@bufbuild/protobuf";
import native from "../native/index.cjs";
import { nameOf } from "./misuse.js";
import { FileDescriptorSetSchema, createFileRegistry, fromBinary } from "./protobuf.js";

/** Of {@link loadProto}. */
export interface LoadOptions {
  /**
   * The folders below which the files and their imports are searched for, the first one first. By default the folder of
   * each file is one. `google/protobuf/*.proto` are always there.
   */
  includePaths?: readonly (string | URL)[];
}

/** What is declared in `.proto` files and in those that they import. */
export interface LoadedProto {
  /** All descriptors by their full names: those of messages make details of errors, for example. */
  readonly registry: FileRegistry;
  /**
   * The descriptor of a service, for `createClient` and `implement`.
   *
   * @param name the full name, `package.Service`.
   * @throws TypeError if there is none of this name; the message says which there are.
   */
  readonly service: (name: string) => DescService;
}

/**
 * Loads `.proto` files at run time, without generated code and without protoc (which is needed, on PATH or in `$PROTOC`,
 * only by files that declare an edition). Files are read before it returns: it is for the start of a program.
 *
 * @param files a path, or several; relative ones are relative to the current folder.
 * @throws Error if a file is missing or wrong; the message says where, a line for each mistake.
 */
export function loadProto(files: string | URL | readonly (string | URL)[], options: LoadOptions = {}): LoadedProto {
  const paths = pathsOf("files", typeof files === "string" || files instanceof URL ? [files] : files);
  if (paths.length === 0) throw new TypeError("files: there is none");
  const set = native.compile(paths, pathsOf("includePaths", options.includePaths ?? []));
  const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, set));
  return {
    registry,
    service(name) {
      const service = registry.getService(name);
      if (service !== undefined) return service;
      const all = [...registry].filter((desc) => desc.kind === "service").map((desc) => desc.typeName);
      throw new TypeError(`${paths.join(", ")}: there is no service ${name}, only ${all.join(", ") || "messages"}`);
    },
  };
}

function pathsOf(setting: string, paths: readonly (string | URL)[]): string[] {
  if (!Array.isArray(paths)) throw new TypeError(`${setting}: paths are due, not ${nameOf(paths)}`);
  return (paths as unknown[]).map((path) => {
    if (path instanceof URL) return fileURLToPath(path);
    if (typeof path === "string") return path;
    throw new TypeError(`${setting}: a path is due, not ${nameOf(path)}`);
  });
}
