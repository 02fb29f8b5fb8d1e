/** A `grpc-timeout` has eight digits at most. */
const MOST = 99_999_999;

/** A whole number of milliseconds as a `grpc-timeout`; beyond a day in seconds, rounded up. What `timeoutOf` gives fits. */
export function encodeTimeout(ms: number): string {
  return ms <= MOST ? `${ms}m` : `${Math.ceil(ms / 1000)}S`;
}

/** Longest that a timer of JavaScript waits; beyond it fires at once. */
const LONGEST_MS = 0x7fff_ffff;

/** Calls `then` in so many milliseconds, unless what it gives is called before. */
export function after(ms: number, then: () => void): () => void {
  let timer: ReturnType<typeof setTimeout>;
  const wait = (left: number): void => {
    const now = Math.min(left, LONGEST_MS);
    timer = setTimeout(() => (left > now ? wait(left - now) : then()), now);
  };
  wait(ms);
  return () => clearTimeout(timer);
}
