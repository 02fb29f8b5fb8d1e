/** Runs native code; what it says of a wrong argument becomes a TypeError. */
export function typeErrors<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    throw typeError(error);
  }
}

/** The error of native code, as JavaScript has it. */
export function typeError(error: unknown): unknown {
  if (error instanceof Error && (error as { code?: unknown }).code === "InvalidArg") return new TypeError(error.message);
  return error;
}

/** What a value is, for messages. */
export function nameOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === "object") return value.constructor?.name ?? "an object";
  return typeof value;
}
