// Calls that end badly, by the ten thousand, and what they leave behind: `npm run soak` does all of it, the tests a fiftieth.
// It prints how the memory of the process went, and fails if it grew between the second and the last third of a load.
import assert from "node:assert/strict";
import { Channel, createClient, implement, type Server, serve } from "spanwire";
import { Echo } from "./gen/echo_pb.js";
import { gc, openCalls, sleep, until } from "./support.js";

/** What the process may grow by from the second third of a load to the last: of the long one, 128 bytes for each aborted call. */
const MOST_GROWTH_BYTES = 4 << 20;
/** Times that the memory is looked at during a load. */
const SAMPLES = 30;
/** What is under way at once. */
const BATCH = 50;
/** Batches before anything is measured: V8 has made its young generation as large as it wants it by then. */
const WARM_UP = 10;

const services = [
  implement(Echo, {
    // Waits until nobody waits for it.
    unary: ({ count }, { signal }) =>
      count === 0n ? { count } : new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    async *down() {
      for (;;) yield { body: new Uint8Array(100) };
    },
  }),
];

type Client = ReturnType<typeof createClient<typeof Echo>>;

/** Half of them while they leave, half while the server works. */
async function abortedCalls(client: Client, calls: number): Promise<void> {
  const abort = new AbortController();
  const all = Promise.allSettled(Array.from({ length: calls }, (_, i) => {
    const early = i % 2 === 0 ? new AbortController() : abort;
    const call = client.unary({ count: 1n }, { signal: early.signal });
    if (early !== abort) early.abort();
    return call;
  }));
  await client.unary({});
  abort.abort();
  for (const { status } of await all) assert.equal(status, "rejected");
}

/** Nobody has them any more, and nobody said so. */
async function abandonedIterators(client: Client, calls: number): Promise<void> {
  await Promise.all(Array.from({ length: calls }, async () => client.down({}).next()));
  await collected();
}

/** Half of them closed, half forgotten. */
async function channels(target: string, count: number): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const channel = new Channel(target);
      await createClient(Echo, channel).unary({});
      if (i % 2 === 0) channel.close();
    }),
  );
  await collected();
}

/** Waits until no call is left. */
async function collected(): Promise<void> {
  await until(() => {
    gc();
    const { here, addon } = openCalls();
    return here + addon === 0;
  }, "no call is kept");
}

/** The memory of the process when nothing is under way. */
async function rss(): Promise<number> {
  await collected();
  await sleep(1);
  gc();
  return process.memoryUsage.rss();
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

/** Runs a load in steps. */
async function judge(what: string, count: number, load: (count: number) => Promise<void>): Promise<void> {
  for (let i = 0; i < WARM_UP; i++) await load(Math.min(BATCH, count));
  const samples: number[] = [];
  const step = Math.max(1, Math.ceil(count / SAMPLES));
  for (let done = 0; done < count; done += step) {
    for (let i = 0; i < step; i += BATCH) await load(Math.min(BATCH, step - i));
    samples.push(await rss());
  }
  const third = Math.floor(samples.length / 3);
  const [second, last] = [samples.slice(third, 2 * third), samples.slice(2 * third)].map(median) as [number, number];
  const mib = (bytes: number): string => (bytes / (1 << 20)).toFixed(1);
  console.log(`${count} ${what}: ${mib(second)} MiB in the second third, ${mib(last)} MiB in the last`);
  assert.ok(last - second <= MOST_GROWTH_BYTES, `${what}: the process grew by ${mib(last - second)} MiB`);
}

const share = Number(process.argv[2] ?? 1);
// Calls that end early are what servers defend themselves against.
const server: Server = await serve({ address: "127.0.0.1:0", services, floodResetsBurst: Infinity });
const channel = new Channel(server.target);
const client = createClient(Echo, channel);
await judge("aborted calls", 100_000 * share, (count) => abortedCalls(client, count));
await judge("abandoned iterators", 10_000 * share, (count) => abandonedIterators(client, count));
await judge("channels", 1000 * share, (count) => channels(server.target, count));
channel.close();
await server.close();
