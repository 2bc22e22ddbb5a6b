import { createReadStream } from 'node:fs';
import Module from 'node:module';
import { pipeline, Readable } from 'node:stream';
import { setImmediate } from 'node:timers';
import type * as Threads from 'node:worker_threads';
import { crypto } from './crypto.js';

/** What the library needs of Node, Bun and Deno. `web.ts` has the same for all other runtimes. */

export { EventEmitter } from 'node:events';
export { types } from 'node:util';
export { readWhole, toPath, writeWhole } from './whole-file.js';

/** The 32 bytes of the SHA-256, as characters. A text is hashed as UTF-8. */
export function sha256(data: string | Uint8Array): string {
  const { hash, createHash } = crypto();
  // From Node 20.12 on there is `hash`, which takes a third of the time.
  return hash ? hash('sha256', data, 'binary') : createHash('sha256').update(data).digest('binary');
}

export function toBase64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

/** The bytes of base64. Other characters are skipped or end it. */
export function fromBase64(text: string): Uint8Array {
  return Buffer.from(text, 'base64');
}

/** Resolves after whatever waits in the event loop. `node:timers` is not replaced by a test's fake timers. */
export function nextTurn(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve));
}

export function warn(message: string, name: string): void {
  // A test may have taken it away.
  if (typeof process !== 'undefined') process.emitWarning?.(message, name);
}

/** Bytes of a file, from `from` to before `to`. */
export interface ByteRange {
  from: number;
  to: number;
}

/** The bytes of a file, or of a part of it. @throws What the file system throws, while reading. */
export function bytesOfFile(
  _call: string,
  path: string | URL,
  { from, to }: ByteRange = { from: 0, to: Infinity },
): AsyncIterable<Uint8Array> {
  // `end` is the last byte, and may not lie before the first.
  return to === from ? Readable.from([]) : createReadStream(path, { start: from, end: to - 1 });
}

/** Decompressed gzip. @throws {@link DamagedGzip}, and what the source throws, while reading. */
export async function* gunzip(packed: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  const { createGunzip } = await import('node:zlib');
  try {
    // Errors of the source come out of the last stream, where they are thrown.
    yield* pipeline(Readable.from(packed), createGunzip(), () => {});
  } catch (cause) {
    // The codes of zlib: a file that is cut off, or damaged.
    if (cause instanceof Error && 'code' in cause && String(cause.code).startsWith('Z_'))
      throw new DamagedGzip(cause.message, { cause });
    throw cause;
  }
}

export class DamagedGzip extends Error {}

/** Why there can be no helper threads here, or undefined. */
export function whyNoWorkers(): string | undefined {
  return undefined;
}

/**
 * Starts a thread that does not keep the process alive.
 *
 * @param source A script. It finds `data` as `workerData`.
 */
export function startWorker(source: string, data: object): { end(): void } {
  // As in crypto.ts.
  const { Worker } = Module.createRequire(process.execPath)('node:worker_threads') as typeof Threads;
  // Without the options of the program: its loaders and hooks are not for these lines.
  const worker = new Worker(source, { eval: true, workerData: data, execArgv: [], env: {} });
  worker.on('error', () => {});
  worker.unref();
  return { end: () => void worker.terminate() };
}
