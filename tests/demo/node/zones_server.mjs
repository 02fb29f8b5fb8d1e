// The demo service on @grpc/grpc-js: node zones_server.mjs --port=PORT [--data=FILE]

import { parseArgs } from "node:util";

import grpc from "@grpc/grpc-js";

import { distanceKm, isOnEarth, readAtlas } from "./atlas.mjs";
import { loadDemo } from "./lib.mjs";

const { values: options } = parseArgs({
  options: {
    port: { type: "string" },
    data: { type: "string", default: "tests/demo/data/zones.tsv" },
  },
});
const atlas = readAtlas(options.data);

const notOnEarth = ({ latitude, longitude }) => ({
  code: grpc.status.INVALID_ARGUMENT,
  details: `latitude ${latitude}, longitude ${longitude} is not on Earth`,
});
const nowhere = { latitude: 0, longitude: 0 };

const handlers = {
  Get({ request }, answer) {
    const zone = atlas.byName.get(request.name);
    if (zone) answer(null, zone);
    else answer({ code: grpc.status.NOT_FOUND, details: `no zone is called "${request.name}"` });
  },

  async Near(call) {
    const { count, radius_km } = call.request;
    const position = call.request.position ?? nowhere;
    if (!isOnEarth(position)) return call.emit("error", notOnEarth(position));
    for (const zone of atlas.around(position).slice(0, count || undefined)) {
      if (radius_km > 0 && zone.distance_km > radius_km) break;
      if (!call.write(zone)) await new Promise((ready) => call.once("drain", ready));
    }
    call.end();
  },

  Journey(call, answer) {
    const summary = { legs: 0, kilometres: 0, zones: [] };
    let previous;
    let refused = false;
    call.on("data", (position) => {
      if (refused) return;
      if (!isOnEarth(position)) {
        refused = true;
        answer(notOnEarth(position));
        return;
      }
      if (previous) {
        summary.legs += 1;
        summary.kilometres += distanceKm(previous, position);
      }
      previous = position;
      const { name } = atlas.nearest(position);
      if (summary.zones.at(-1) !== name) summary.zones.push(name);
    });
    call.on("end", () => {
      if (!refused) answer(null, summary);
    });
  },

  Locate(call) {
    call.on("data", (position) => {
      if (isOnEarth(position)) call.write(atlas.nearest(position));
      else call.emit("error", notOnEarth(position));
    });
    call.on("end", () => call.end());
  },
};

const server = new grpc.Server();
server.addService(loadDemo().Zones.service, handlers);
server.bindAsync(
  `127.0.0.1:${options.port}`,
  grpc.ServerCredentials.createInsecure(),
  (error) => {
    if (error) {
      console.error(error.message);
      process.exit(1);
    }
  },
);
for (const signal of ["SIGTERM", "SIGINT"]) {
  process.on(signal, () => {
    server.forceShutdown();
    process.exit(0);
  });
}
