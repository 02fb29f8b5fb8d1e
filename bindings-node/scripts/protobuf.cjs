// cjs/protobuf.js: what is used of protobuf-es, by the names in ts/protobuf.ts. Each is loaded when it is first used, and is a
// plain property from then on.
"use strict";

function lazily(names, load) {
  for (const name of names) {
    const get = () => {
      const value = load()[name];
      Object.defineProperty(exports, name, { value });
      return value;
    };
    Object.defineProperty(exports, name, { enumerable: true, configurable: true, get });
  }
}

lazily(["create", "createFileRegistry", "fromBinary", "isMessage", "toBinary"], () => require("@bufbuild/protobuf"));
lazily(["BinaryReader", "BinaryWriter", "WireType"], () => require("@bufbuild/protobuf/wire"));
lazily(["FileDescriptorSetSchema"], () => require("@bufbuild/protobuf/wkt"));
