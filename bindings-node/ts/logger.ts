import { env } from "./crossing.js";
import { nameOf, typeErrors } from "./misuse.js";

/** How important a line of the log is. */
export type LogLevel = "error" | "warn" | "info" | "debug" | "trace";

/** A line of the log. */
export interface LogLine {
  readonly level: LogLevel;
  /** The part of the engine that says it. */
  readonly target: string;
  readonly message: string;
}

const LEVELS: readonly LogLevel[] = ["error", "warn", "info", "debug", "trace"];

/**
 * Hands the engine's log to a function. A process has one log: the thread that asked for it last gets it. It is silent until
 * somebody asks.
 *
 * @param logger gets each line; undefined is silence again.
 * @param options `level`: the most talkative one that is wanted; "warn" by default.
 * @throws TypeError if there is no such level.
 */
export function setLogger(logger: ((line: LogLine) => void) | undefined, options: { level?: LogLevel } = {}): void {
  const { level = "warn" } = options;
  const most = LEVELS.indexOf(level) + 1;
  if (most === 0) throw new TypeError(`level: ${JSON.stringify(level)} is none of ${LEVELS.join(", ")}`);
  if (logger !== undefined && typeof logger !== "function") {
    throw new TypeError(`logger: a function is due, not ${nameOf(logger)}`);
  }
  const take = logger && ((level: number, target: string, message: string): void => {
    logger({ level: LEVELS[level - 1] ?? "trace", target, message });
  });
  typeErrors(() => env().log(most, take));
}
