import { relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** A user's mistake, described in one sentence: in the command line (exit code 2) or in the data (exit code 1). */
export class UserError extends Error {
  constructor(message, exitCode = 1) {
    super(message);
    this.exitCode = exitCode;
  }
}

/** Runs a script's main function. Prints user mistakes and errors of the system as one line on standard error. */
export async function runCommand(name, main) {
  // A closed pipe, such as that of `| head`, is not an error.
  process.stdout.on('error', error => process.exit(error.code === 'EPIPE' ? 0 : 1));
  try {
    await main();
  } catch (error) {
    if (!(error instanceof UserError) && error.syscall === undefined) throw error;
    console.error(`${name}: ${error.message}`);
    process.exitCode = error.exitCode ?? 1;
  }
}

/** The values of the flags, as `parseArgs` of `node:util` returns them. */
export function parseOptions(options) {
  try {
    return parseArgs({ options: { ...options, help: { type: 'boolean', default: false } } }).values;
  } catch (error) {
    const [sentence] = error.message.replace('is ambiguous', 'must not start with a dash').split(/\.\s|\n/);
    throw new UserError(`${sentence} (--help lists the options)`, 2);
  }
}

export function wholeNumber(flag, text, min, max) {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new UserError(`${flag} must be a whole number from ${min} to ${max}, not "${text}"`, 2);
}

/** A path in the folder of the example, relative to the working directory. */
export function inExample(name) {
  return relative('', fileURLToPath(new URL(`../${name}`, import.meta.url)));
}
