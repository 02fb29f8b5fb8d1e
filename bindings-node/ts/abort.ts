/** What ends when a signal aborts. */
export interface Abortable {
  aborted(reason: unknown): void;
}

/**
 * Who waits for a signal: it has one listener of ours, however many calls it is given to, so that none is one too many for
 * Node, and none stays behind.
 */
const watched = new WeakMap<AbortSignal, Set<Abortable>>();

/** Tells `call` when the signal aborts. */
export function watch(signal: AbortSignal, call: Abortable): void {
  let calls = watched.get(signal);
  if (calls === undefined) {
    const all = new Set<Abortable>();
    const tell = (): void => {
      for (const call of all) call.aborted(signal.reason);
      all.clear();
    };
    signal.addEventListener("abort", tell, { once: true });
    watched.set(signal, (calls = all));
  }
  calls.add(call);
}

/** The call is over. */
export function unwatch(signal: AbortSignal, call: Abortable): void {
  watched.get(signal)?.delete(call);
}
