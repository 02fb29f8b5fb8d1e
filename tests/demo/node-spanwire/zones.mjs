// The demo service, read from the project's own proto folder.

import { loadProto } from "spanwire";

const includePaths = [new URL("../../../proto", import.meta.url)];

export const Zones = loadProto("spanwire/demo/v1/zones.proto", { includePaths }).service("spanwire.demo.v1.Zones");
