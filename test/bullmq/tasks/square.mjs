import { appendFileSync, existsSync } from 'node:fs';

/** Squares a number. It writes a line to `log` when it is done, so that a test can count runs. */
export default async function square({ number, log, waitMs = 0, busyMs = 0, waitFor, failUntil, exit, asBytes }) {
  if (failUntil && !existsSync(failUntil)) throw new Error(`${number} is poisoned`);
  if (exit) process.exit(3);
  while (waitFor && !existsSync(waitFor)) await new Promise(resolve => setTimeout(resolve, 20));
  if (waitMs > 0) await new Promise(resolve => setTimeout(resolve, waitMs));
  for (const end = Date.now() + busyMs; Date.now() < end; );
  if (log) appendFileSync(log, `${number}\n`);
  return asBytes ? Uint8Array.of(number & 255, (number * number) & 255) : number * number;
}
