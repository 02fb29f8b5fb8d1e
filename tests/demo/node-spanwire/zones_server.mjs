// The demo service on Spanwire: node zones_server.mjs --port=PORT [--data=FILE]

import { parseArgs } from "node:util";

import { Code, RpcError, implement, serve } from "spanwire";

import { distanceKm, isOnEarth, readAtlas } from "../node/atlas.mjs";
import { Zones } from "./zones.mjs";

const { values: options } = parseArgs({
  options: { port: { type: "string" }, data: { type: "string", default: "tests/demo/data/zones.tsv" } },
});
const atlas = readAtlas(options.data);

/** The position, if there is such a place; one that is left out is 0, 0. */
function place(position) {
  const { latitude = 0, longitude = 0 } = position ?? {};
  if (!isOnEarth({ latitude, longitude })) {
    throw new RpcError(Code.INVALID_ARGUMENT, `latitude ${latitude}, longitude ${longitude} is not on Earth`);
  }
  return { latitude, longitude };
}

/** A zone of the atlas as a message; what has no distance has none there. */
const zone = ({ name, countries, position, distance_km }) => ({ name, countries, position, distanceKm: distance_km });

const zones = implement(Zones, {
  get({ name }) {
    const found = atlas.byName.get(name);
    if (found === undefined) throw new RpcError(Code.NOT_FOUND, `no zone is called "${name}"`);
    return zone(found);
  },

  *near({ position, count, radiusKm }) {
    for (const found of atlas.around(place(position)).slice(0, count || undefined)) {
      if (radiusKm > 0 && found.distance_km > radiusKm) return;
      yield zone(found);
    }
  },

  async journey(positions) {
    const summary = { legs: 0, kilometres: 0, zones: [] };
    let previous;
    for await (const position of positions) {
      const here = place(position);
      if (previous !== undefined) {
        summary.legs += 1;
        summary.kilometres += distanceKm(previous, here);
      }
      previous = here;
      const { name } = atlas.nearest(here);
      if (summary.zones.at(-1) !== name) summary.zones.push(name);
    }
    return summary;
  },

  async *locate(positions) {
    for await (const position of positions) yield zone(atlas.nearest(place(position)));
  },
});

await serve({ address: `127.0.0.1:${options.port}`, services: [zones], signals: ["SIGTERM", "SIGINT"] });
