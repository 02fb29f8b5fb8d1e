// What the examples share.
import { type Implementation, RpcError, serve } from "spanwire";

/** Serves until Ctrl-C or SIGTERM, lets the calls that run finish, and says goodbye. */
export async function serveUntilStopped(address: string, service: Implementation): Promise<void> {
  const server = await serve({ address, services: [service] });
  console.log(`listening on ${server.target}`);
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => server.close({ graceMs: 5000 }));
  await server.closed;
  console.log("bye");
}

/** Runs a program; a call that failed is told on standard error, with exit code 1. */
export async function run(program: Promise<void>): Promise<void> {
  try {
    await program;
  } catch (error) {
    if (!(error instanceof RpcError)) throw error;
    console.error(error.message);
    // Also if somebody may still type something.
    process.exit(1);
  }
}

/** Ends a program that was called wrongly. */
export function usage(text: string): never {
  console.error(`usage: ${text}`);
  process.exit(1);
}
