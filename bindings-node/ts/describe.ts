import type { DescFile } from "@bufbuild/protobuf";
import type { Implementation } from "./implement.js";
import { create, FileDescriptorSetSchema, toBinary } from "./protobuf.js";

/** What reflection tells of services: the files that declare them, and all that those import. */
export function describe(services: readonly Implementation[]): Uint8Array {
  const files = new Map<string, DescFile>();
  const add = (file: DescFile): void => {
    if (files.has(file.proto.name)) return;
    files.set(file.proto.name, file);
    file.dependencies.forEach(add);
  };
  for (const { file } of services) if (file !== undefined) add(file);
  return toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file: [...files.values()].map(({ proto }) => proto) }));
}
