// A client of the demo service on Spanwire: node zones_client.mjs --target=HOST:PORT --work=FILE
//
// Makes the calls of the work file, one after the other, and prints a report as JSON: for each method the calls, the
// messages, the seconds and the answers.

import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

import { Channel, RpcError, createClient } from "spanwire";

import { Zones } from "./zones.mjs";

const { values: options } = parseArgs({ options: { target: { type: "string" }, work: { type: "string" } } });
const work = JSON.parse(readFileSync(options.work, "utf8"));
const channel = new Channel(options.target);
const zones = createClient(Zones, channel);

const toMessage = ([latitude, longitude]) => ({ latitude, longitude });
const distance = ({ name, distanceKm }) => [name, distanceKm];

/** Each gives the messages of a call, both ways, and its answer. */
const calls = {
  async get(name) {
    const zone = await zones.get({ name });
    const { latitude, longitude } = zone.position;
    return [2, [zone.name, zone.countries, latitude, longitude, zone.distanceKm ?? null]];
  },

  async near({ position, count, radius_km }) {
    const answers = [];
    const request = { position: toMessage(position), count, radiusKm: radius_km };
    for await (const zone of zones.near(request)) answers.push(distance(zone));
    return [1 + answers.length, answers];
  },

  async journey(positions) {
    const summary = await zones.journey(positions.map(toMessage));
    return [positions.length + 1, [summary.legs, summary.kilometres, summary.zones]];
  },

  async locate(positions) {
    const call = zones.locate();
    const answers = [];
    for (const position of positions) {
      await call.send(toMessage(position));
      const { value, done } = await call.next();
      if (done) throw new Error("the stream ended early");
      answers.push(distance(value));
    }
    call.end();
    if (!(await call.next()).done) throw new Error("a zone came that nobody asked for");
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
      if (!(error instanceof RpcError)) throw error;
      messages += 1;
      answers.push({ code: error.code });
    }
  }
  return { calls: items.length, messages, seconds: (performance.now() - began) / 1000, answers };
}

// Connecting is not what is timed.
await zones.get({ name: "Europe/Zurich" }, { waitForReady: true });
const reports = {};
for (const [name, call] of Object.entries(calls)) reports[name] = await report(work[name], call);
console.log(JSON.stringify(reports));
channel.close();
