// A grpc-js client of the demo service: node zones_client.mjs --target=HOST:PORT --work=FILE
//
// Makes the calls of the work file, one after the other, and prints a report as JSON.

import { readFileSync } from "node:fs";
import { parseArgs, promisify } from "node:util";

import grpc from "@grpc/grpc-js";

import { loadDemo } from "./lib.mjs";

const { values: options } = parseArgs({
  options: { target: { type: "string" }, work: { type: "string" } },
});
const work = JSON.parse(readFileSync(options.work, "utf8"));
const { Zones } = loadDemo();
const stub = new Zones(options.target, grpc.credentials.createInsecure());

const toMessage = ([latitude, longitude]) => ({ latitude, longitude });
const distance = (zone) => [zone.name, zone.distance_km];
const getZone = promisify(stub.Get.bind(stub));

const calls = {
  async get(name) {
    const { countries, position, ...zone } = await getZone({ name });
    const distanceKm = zone._distance_km === undefined ? null : zone.distance_km;
    return [2, [zone.name, countries, position.latitude, position.longitude, distanceKm]];
  },

  async near({ position, count, radius_km }) {
    const answers = [];
    const zones = stub.Near({ position: toMessage(position), count, radius_km });
    for await (const zone of zones) answers.push(distance(zone));
    return [1 + answers.length, answers];
  },

  journey: (positions) =>
    new Promise((resolve, reject) => {
      const call = stub.Journey((error, summary) => {
        if (error) reject(error);
        else resolve([positions.length + 1, [summary.legs, summary.kilometres, summary.zones]]);
      });
      for (const position of positions) call.write(toMessage(position));
      call.end();
    }),

  async locate(positions) {
    const call = stub.Locate();
    const zones = call[Symbol.asyncIterator]();
    const answers = [];
    for (const position of positions) {
      call.write(toMessage(position));
      const { value, done } = await zones.next();
      if (done) throw new Error("the answers ended early");
      answers.push(distance(value));
    }
    call.end();
    if (!(await zones.next()).done) throw new Error("a zone came that nobody asked for");
    return [2 * positions.length, answers];
  },
};

async function report(items, call) {
  let messages = 0;
  const answers = [];
  const began = performance.now();
  for (const item of items) {
    try {
      const [count, answer] = await call(item);
      messages += count;
      answers.push(answer);
    } catch (error) {
      if (typeof error.code !== "number") throw error;
      messages += 1;
      answers.push({ code: error.code });
    }
  }
  return { calls: items.length, messages, seconds: (performance.now() - began) / 1000, answers };
}

// Connecting is not what is timed.
await promisify(stub.waitForReady.bind(stub))(Date.now() + 10_000);
await getZone({ name: "Europe/Zurich" });
const reports = {};
for (const [name, call] of Object.entries(calls)) reports[name] = await report(work[name], call);
console.log(JSON.stringify(reports));
stub.close();
