// What the cases share, in Node and in browsers.

/** What is due is not there. */
export function check(good, what) {
  if (!good) throw new Error(what);
}

/** Two values are the same, as JSON. */
export function same(seen, due, what = "value") {
  const text = (value) => JSON.stringify(value, (_, part) => (typeof part === "bigint" ? `${part}n` : part));
  check(text(seen) === text(due), `${what}: ${text(seen)}, not ${text(due)}`);
}

/** What a promise is rejected with. */
export async function rejection(promise) {
  const error = await Promise.resolve(promise).then(() => undefined, (error) => error);
  check(error !== undefined, "it succeeded");
  return error;
}

/** Longest that a case may take. */
const LIMIT_MS = 30_000;

/** Runs cases one after the other; gives what each took or why it failed. */
export async function runAll(cases, context) {
  const results = [];
  for (const [name, run] of Object.entries(cases)) {
    const began = Date.now();
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`not over after ${LIMIT_MS} ms`)), LIMIT_MS);
    });
    const failure = await Promise.race([run(context), late]).then(() => undefined, (error) => String(error?.stack ?? error));
    clearTimeout(timer);
    results.push({ name, failure, ms: Date.now() - began });
  }
  return results;
}
