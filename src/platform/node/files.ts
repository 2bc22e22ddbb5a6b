import {
  closeSync,
  createReadStream,
  fchmodSync,
  fsyncSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

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

/** A path as `node:fs` takes it. */
export function toPath(_call: string, path: string | URL): string {
  return path instanceof URL ? fileURLToPath(path) : path;
}

/** The bytes of a file. */
export function readWhole(call: string, path: string): Uint8Array {
  const stats = statsOf(path);
  if (!stats) throw new RangeError(`${call}: there is no file at ${path}`);
  checkFile(call, path, stats);
  return readFileSync(path);
}

/**
 * Replaces a file, whole or not at all: a reader finds the earlier file or the new one, whenever the process or the
 * machine stops. Each call has its own temporary file, so that writers of one path do not mix.
 */
export function writeWhole(call: string, path: string, bytes: Uint8Array): void {
  const earlier = statsOf(path);
  if (earlier) checkFile(call, path, earlier);
  // A symbolic link stays: the file that it points to is replaced.
  const target = earlier ? realpathSync(path) : path;
  const folder = dirname(target);
  if (!statsOf(folder)?.isDirectory()) throw new RangeError(`${call}: the folder of ${path} does not exist`);
  const temporary = join(folder, `.${basename(target)}.${randomName()}.tmp`);
  const descriptor = openSync(temporary, 'wx');
  try {
    try {
      if (earlier) fchmodSync(descriptor, earlier.mode);
      for (let done = 0; done < bytes.length; ) done += writeSync(descriptor, bytes, done);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, target);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  syncFolder(folder);
}

function checkFile(call: string, path: string, stats: Stats): void {
  if (stats.isFile()) return;
  throw new RangeError(`${call}: ${path} is ${stats.isDirectory() ? 'a folder' : 'a device or pipe'}, not a file`);
}

/** Writes the new name to the disk. Systems that cannot open folders do so by themselves. */
function syncFolder(folder: string): void {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(folder, 'r');
    fsyncSync(descriptor);
  } catch {
    // The file is whole even if this fails.
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function statsOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    // A part of the path is a file instead of a folder.
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined;
    throw error;
  }
}

/** 16 hex digits. The file is opened only if there is none of its name, so the digits need not be secret. */
function randomName(): string {
  return Array.from({ length: 16 }, () => Math.floor(16 * Math.random()).toString(16)).join('');
}
