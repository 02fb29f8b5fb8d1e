// Time zones and where they are.

import { readFileSync } from "node:fs";

const earthRadiusKm = 6371.0088;
const radians = (degrees) => (degrees * Math.PI) / 180;

export const isOnEarth = ({ latitude, longitude }) =>
  Math.abs(latitude) <= 90 && Math.abs(longitude) <= 180;

/** Kilometres between two places along a great circle, by the haversine formula. */
export function distanceKm(from, to) {
  const [start, end] = [radians(from.latitude), radians(to.latitude)];
  const halfTurn = Math.sin(radians(to.longitude - from.longitude) / 2);
  const halfClimb = Math.sin((end - start) / 2);
  const square = halfClimb ** 2 + Math.cos(start) * Math.cos(end) * halfTurn ** 2;
  // Rounding may lift the antipode a little above 1.
  return 2 * earthRadiusKm * Math.asin(Math.min(1, Math.sqrt(square)));
}

/** Reads zones.tsv; the zones come in the order of their names. */
export function readAtlas(path) {
  const zones = readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [name, countries, latitude, longitude] = line.split("\t");
      const position = { latitude: Number(latitude), longitude: Number(longitude) };
      return { name, countries: countries.split(","), position };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  const byName = new Map(zones.map((zone) => [zone.name, zone]));

  /** All zones with their distances from a place, nearest first; the sort keeps names in order. */
  const around = (place) =>
    zones
      .map((zone) => ({ ...zone, distance_km: distanceKm(place, zone.position) }))
      .sort((a, b) => a.distance_km - b.distance_km);

  return { byName, around, nearest: (place) => around(place)[0] };
}
