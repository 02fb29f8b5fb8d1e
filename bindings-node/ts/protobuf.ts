// What is used of protobuf-es. It costs more to load than all the rest: as CommonJS, scripts/protobuf.cjs is in the place of this,
// which loads it when it is needed.
export { create, createFileRegistry, fromBinary, isMessage, toBinary } from "@bufbuild/protobuf";
export { BinaryReader, BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
export { FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
