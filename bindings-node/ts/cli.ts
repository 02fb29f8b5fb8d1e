#!/usr/bin/env node
import { type Failure, gen } from "./generate.js";

const HELP = `gRPC for Node

Usage: spanwire gen [OPTIONS] FILE_OR_DIR...

Commands:
  gen   Generate code for messages and services from .proto files; spanwire gen --help says how
`;

/** Runs the command. What is wrong goes to standard error; the exit code is 1 if it failed, and 2 if it was called wrongly. */
function main(args: readonly string[]): number {
  const [command, ...rest] = args;
  if (command === "--help" || command === "-h" || command === undefined) {
    process.stdout.write(HELP);
    return command === undefined ? 2 : 0;
  }
  const failure = command === "gen" ? gen(rest) : usage(`there is no command ${JSON.stringify(command)}`);
  if (failure === undefined) return 0;
  process.stderr.write(`${failure.message}\n`);
  return failure.code;
}

function usage(message: string): Failure {
  return { code: 2, message: `error: ${message}\n\nFor more information, try 'npx spanwire --help'.` };
}

process.exitCode = main(process.argv.slice(2));
